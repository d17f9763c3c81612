"""The framer finds the same messages however the bytes were cut, and never holds more than its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgfm_connectors.errors import ProtocolViolation
from ecgfm_connectors.hl7 import framing

BODY = st.binary(max_size=60).map(lambda body: body.replace(b"\x0b", b"").replace(b"\x1c", b""))


@given(st.lists(BODY, max_size=5), st.data())
def test_any_cut_gives_the_same_messages(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(framing.frame(body) for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framer = framing.Framer()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.feed(stream[start:end])
    assert found == bodies
    assert not framer.inside


def test_noise_before_a_frame_is_skipped_and_a_cut_off_frame_is_dropped() -> None:
    framer = framing.Framer()
    assert framer.feed(b"\r\nnoise\x0bcut off\x0bwhole\x1c\rmore noise") == [b"whole"]


def test_fs_without_cr_does_not_end_a_message() -> None:
    framer = framing.Framer()
    assert framer.feed(b"\x0ba\x1cb\x1c") == []
    assert framer.feed(b"\r") == [b"a\x1cb"]


def test_limits() -> None:
    framer = framing.Framer(max_message=10)
    assert framer.feed(framing.frame(b"0123456789")) == [b"0123456789"]
    with pytest.raises(ProtocolViolation):
        framer.feed(framing.frame(b"0123456789X"))
    with pytest.raises(ProtocolViolation):
        framing.Framer(max_message=10).feed(b"\x0b" + b"0" * 11)
    with pytest.raises(ProtocolViolation):
        framing.Framer().feed(b"GET / HTTP/1.1" * 10_000)


def test_a_message_with_framing_bytes_is_not_framed() -> None:
    with pytest.raises(ValueError, match="VT or FS"):
        framing.frame(b"a\x1cb")


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_any_bytes_are_bounded(chunks: list[bytes]) -> None:
    framer = framing.Framer(max_message=100)
    try:
        for chunk in chunks:
            for body in framer.feed(chunk):
                assert len(body) <= 100
    except ProtocolViolation:
        pass
