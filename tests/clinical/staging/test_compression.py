"""Whatever goes into the store comes out bit for bit, and real recordings become much smaller."""

from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sqlalchemy import text

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.shipped import recordings
from ecgfm_clinical.staging.compression import (
    BYTES,
    PLAIN,
    SIGNAL,
    Packed,
    pack_payload,
    pack_signal,
    unpack_payload,
    unpack_signal,
)
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.files import payload
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import dicom_writer
from tests.clinical.staging.conftest import NOW, Ward
from tests.helpers.fakes import make_ecg

pytestmark = pytest.mark.slow(5)

Signal = NDArray[np.float32]


def _as_read(gain: float, *, scale: str = "float32", offset: float = 0.0) -> Signal:
    """A shipped recording as a reader gives it that scales integers by `gain` mV."""
    integers = np.rint(recordings.load(3) / gain)
    if scale == "float32":
        return np.asarray(integers.astype(np.float32) * np.float32(gain) + np.float32(offset))
    return np.asarray((integers * gain + offset).astype(np.float32))


SIGNALS = {
    "whole µV, float32": _as_read(0.001),
    "whole µV, float64": _as_read(0.001, scale="float64"),
    "2.5 µV": _as_read(0.0025),
    "4.88 µV": _as_read(5 / 1024, scale="float64"),
    "200 per mV": _as_read(1 / 200, scale="float64"),
    "with a baseline": _as_read(0.00375, offset=0.0123),
    "a negative gain": -_as_read(0.0025),
    "no integers": np.random.default_rng(1).normal(size=(12, 5000)).astype(np.float32),
    "flat": np.zeros((12, 5000), np.float32),
    "one value": np.full((12, 5000), 0.3, np.float32),
    "enormous": np.full((12, 100), 3e38, np.float32) * np.linspace(-1, 1, 100, dtype=np.float32),
    "tiny": np.full((12, 100), 1e-44, np.float32),
    "nothing": np.zeros((12, 0), np.float32),
    "one sample": np.ones((12, 1), np.float32),
}


def _with_gaps(signal: Signal) -> Signal:
    gappy = signal.copy()
    gappy[3] = np.nan
    gappy[0, 100:200] = np.nan
    gappy[5, 7] = -0.0
    gappy[6, 8:10] = np.inf, -np.inf
    gappy[7, 9] = np.frombuffer(b"\x01\x00\xc0\x7f", "<f4")[0]  # another NaN than numpy's own
    return gappy


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_comes_back_to_the_last_bit(name: str) -> None:
    signals = [SIGNALS[name]] + ([_with_gaps(SIGNALS[name])] if SIGNALS[name].shape[1] > 1000 else [])
    for signal in signals:
        found = unpack_signal(pack_signal(signal))
        assert found.dtype == np.float32
        assert found.shape == signal.shape
        assert found.tobytes() == signal.tobytes()


@pytest.mark.parametrize("gain", [0.001, 0.0025, 5 / 1024, 1 / 200])
@pytest.mark.parametrize("scale", ["float32", "float64"])
def test_a_recording_needs_a_sixth_of_its_room(gain: float, scale: str) -> None:
    signal = _as_read(gain, scale=scale)
    packed = pack_signal(signal)
    assert packed.coding == SIGNAL
    assert len(packed.value) < signal.nbytes / 6


@settings(deadline=None, max_examples=200)
@given(
    arrays(
        np.float32,
        st.tuples(st.just(12), st.integers(0, 40)),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_any_floats_come_back(signal: Any) -> None:
    assert unpack_signal(pack_signal(signal)).tobytes() == signal.tobytes()


@settings(deadline=None, max_examples=200)
@given(arrays(np.int32, st.tuples(st.just(12), st.integers(1, 40)), elements=st.integers(-(2**25), 2**25)))
def test_any_integers_of_any_size_come_back(integers: Any) -> None:
    signal = integers.astype(np.float32) * np.float32(0.0025)
    assert unpack_signal(pack_signal(signal)).tobytes() == signal.tobytes()


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.integers(1, 200))
def test_any_bytes_come_back(some: bytes, times: int) -> None:
    content = some * times
    assert unpack_payload(pack_payload(content)) == content


def test_an_object_of_a_cart_needs_less_than_a_third_of_its_room() -> None:
    content = dicom_writer.write_ecg(replace(make_ecg(1), signal=_as_read(0.0025)))
    packed = pack_payload(content)
    assert packed.coding == BYTES
    assert len(packed.value) < len(content) / 3
    assert unpack_payload(packed) == content
    odd = content + b"\0"
    assert unpack_payload(pack_payload(odd)) == odd


def test_what_does_not_become_smaller_is_stored_as_it_is() -> None:
    noise = np.random.default_rng(1).bytes(5000)
    assert pack_payload(noise) == Packed(coding=PLAIN, value=noise)
    assert pack_payload(b"") == Packed(coding=PLAIN, value=b"")


def test_a_value_of_a_newer_program_or_a_changed_row_is_said() -> None:
    with pytest.raises(StoreError, match="newer ecgfm-clinical"):
        unpack_payload(Packed(coding="bytes/2", value=b"x"))
    with pytest.raises(StoreError, match="newer ecgfm-clinical"):
        unpack_signal(Packed(coding="signal/2", value=b"x"))
    whole = pack_signal(SIGNALS["2.5 µV"])
    for value in (b"", whole.value[:10], whole.value[:-5000], whole.value[:50] + b"\0" + whole.value[51:]):
        with pytest.raises(StoreError, match="does not unpack"):
            unpack_signal(Packed(coding=SIGNAL, value=value))
    for value in (b"", b"\x0c", b"\x0cabcdef"):
        with pytest.raises(StoreError, match="does not unpack"):
            unpack_payload(Packed(coding=BYTES, value=value))


def test_a_store_holds_an_ecg_in_a_fraction_of_its_bytes(ward: Ward) -> None:
    signal = _as_read(0.0025)
    content = dicom_writer.write_ecg(make_ecg(1))
    verdict = ward.take(ward.ecg(signal=signal), ward.received(content))
    with ward.store.database.reading() as ask:
        stored = ask.connection.scalar(text("SELECT length(samples) FROM signal"))
        kept = ask.connection.scalar(text("SELECT length(content) FROM payload_content"))
    assert stored is not None
    assert kept is not None
    assert stored + kept < (signal.nbytes + len(content)) / 3
    (back,) = ward.store.ecgs.load(verdict.ecg_ids)
    assert back.ecg.signal.tobytes() == signal.tobytes()
    assert ward.store.ecgs.payload(back.ecg_id).content == content


def test_what_is_sealed_was_compressed_before(store_url: str, ward_of: type[Ward]) -> None:
    keyring = Keyring(keys={1: bytes(32)})
    store = Store.open(store_url, create=True, keyring=keyring)
    ward = ward_of(store)
    (ecg_id,) = ward.take(ward.ecg(signal=_as_read(0.0025))).ecg_ids
    with store.database.reading() as ask:
        stored = ask.connection.scalar(text("SELECT length(samples) FROM signal"))
    assert stored is not None
    assert stored < 60_000
    store.care.reseal(now=NOW + timedelta(days=1), actor="operator", plain=True)
    (back,) = store.ecgs.load([ecg_id])
    assert back.ecg.signal.tobytes() == _as_read(0.0025).tobytes()
    store.close()


def test_recordings_of_every_maker_come_back() -> None:
    corpus = Path(__file__).parents[3].parent / "shared" / "corpus"
    if not corpus.is_dir():
        pytest.skip("the corpus of real recordings is not on this machine")
    context = ReadingContext(default_authority="TEST", zone=UTC)
    tried = 0
    for path in sorted(one for one in corpus.rglob("*") if one.is_file())[::7]:
        try:
            content = payload.load(path)
            ecgs = read(content, context).ecgs
        except PayloadError:
            continue
        assert unpack_payload(pack_payload(content)) == content
        for ecg in ecgs:
            assert unpack_signal(pack_signal(ecg.signal)).tobytes() == ecg.signal.tobytes()
            tried += 1
    assert tried
