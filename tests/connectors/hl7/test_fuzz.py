"""Whatever bytes arrive, the answer is a reading or one of our errors, within bounded time and memory."""

import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ecgfm_connectors.base import Disposition, Verdict
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError, ProtocolViolation
from ecgfm_connectors.hl7 import ack, batch, framing, inbound
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import oru_writer

pytestmark = pytest.mark.slow

RELAXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
QUARTER = 256 * 1024  # bytes


@pytest.fixture
def seeds(ecg: Ecg) -> list[bytes]:
    """Small messages of every kind that we look into."""
    shared = {"patient": ecg.patient, "control_id": "M1", "sent_at": datetime(2026, 3, 1, tzinfo=UTC)}
    xml = b"<AnnotatedECG xmlns='urn:hl7-org:v3'><id root='1.2'/></AnnotatedECG>"
    head = b"MSH|^~\\&|A|B|C|D|20260301||ORU^R01|M1|P|2.5.1\rPID|1||1^^^H^MR\rOBR|1|P^A|F^B|93306^Echo^C|||20260301\r"
    return [
        oru_writer.write_message([(b"DICM" * 40, "DICOM"), (xml, "XML")], **shared),  # type: ignore[arg-type]  # as the writer names them
        head + b"OBX|1|NM|18043-0^LVEF^LN||35|%|||||F\rOBX|2|ST|89579-7^hs^LN||<3 ng/L||<26||||C\r",
        head + b"OBX|1|TX|59462-2^Echo^LN||LVEF 35-40 %. Prior EF was 20%.||||||F\r",
        head + b"OBX|1|CD|9&CHN^E^C|1|1&I^I^2&uV^1&0&0^500~2&II^II||||||F\rOBX|2|MA|9&WAV^E^C|1|1^2~3^4||||||F\r",
        head + b"OBX|1|NA|131329^MDC_ECG_ELEC_POTL_I^MDC|1.1|1^2^^4\rOBX|2|NM|0^MDC_ATTR_SAMP_RATE^MDC|1.1.1|500\r",
        b"MSH|^~\\&|A|B|C|D|2026||ADT^A40|M1|P|2.5.1\rPID|1||1^^^H^MR~2^^^R^PI\rMRG|3^^^H^MR\r",
        b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + head + b"BTS|1\rFTS|1\r",
    ]


def read_or_refuse(content: bytes, context: ReadingContext) -> None:
    """Without the catch-all of `read`: the HL7 reader itself must raise nothing else."""
    refusal = None
    try:
        inbound.read_message(content, context, read)
    except PayloadError as error:
        refusal = error
    assert refusal is None or (refusal.code and "PATIENT" not in str(refusal))


@RELAXED
@given(data=st.data())
def test_mutated_messages(seeds: list[bytes], context: ReadingContext, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(seeds)))
    pieces = st.sampled_from(
        [b"", b"|", b"^", b"~", b"&", b"\\", b"\r", b"\n", b"\xff", b"\xa5|", b"-1", b"1e999", b"nan"]
    )
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(pieces | st.binary(max_size=4))
    read_or_refuse(bytes(content), context)


@RELAXED
@given(data=st.data())
def test_shuffled_segments(seeds: list[bytes], context: ReadingContext, data: st.DataObject) -> None:
    lines = [line for seed in seeds for line in seed.split(b"\r") if line and not line.startswith(b"MSH")]
    chosen = data.draw(st.lists(st.sampled_from(lines), max_size=12))
    read_or_refuse(b"\r".join([b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|M1|P|2.5.1", *chosen]), context)


@RELAXED
@given(
    st.binary(max_size=300),
    st.sampled_from(list(Disposition)),
    st.sampled_from(["", "no-ecg", "base64", "unsupported-type"]),
)
def test_any_bytes_can_be_acknowledged(noise: bytes, disposition: Disposition, code: str) -> None:
    verdict = Verdict(disposition=disposition, code=code, text="reason")
    for content in (noise, b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|M1|P|2.5.1|" + noise, b"MSH" + noise):
        for answer in ack.build(content, verdict, now=datetime(2026, 3, 1, tzinfo=UTC), control_id="A1"):
            framing.frame(answer)
            assert ack.parse(answer).code


@given(st.binary(max_size=300))
@example(b"\x88\xa3")  # a Big5-HKSCS pair that decodes to two characters, the second of which it cannot encode
def test_any_bytes_are_an_acknowledgement_or_not(noise: bytes) -> None:
    for content in (noise, b"MSH|^~\\&|A\rMSA|AA|" + noise):
        try:
            ack.parse(content)
        except ProtocolViolation:
            continue


HEAD = b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|M1|P|2.5.1\rPID|1||1^^^H^MR\rOBR|1|P|F\r"


@pytest.mark.timeout(120)  # each takes a fraction of a second; what grows with the square of its length takes hours
@pytest.mark.parametrize(
    "content",
    [
        b"\r" * QUARTER,
        b"MSH|" * (QUARTER // 4),
        b"MSH|^~\\&|\r" * (QUARTER // 10),
        HEAD + b"\r" * QUARTER,
        HEAD + b"|" * QUARTER,
        HEAD + b"OBX|\r" * (QUARTER // 5),
        HEAD + b"x\r" * (QUARTER // 2),
        HEAD + b"OBX|1|ED|||" + b"^" * QUARTER,
        HEAD + b"OBX|1|ED|||A^B^C^Base64^" + b"\\" * QUARTER,
        HEAD + b"OBX|1|ED|||A^B^C^Base64^" + b"A" * QUARTER,
        HEAD + b"OBX|1|FT|93306^Echo||" + b"\\.br\\" * (QUARTER // 5),
        HEAD + b"OBX|1|TX|93306^Echo||" + b"LVEF " * (QUARTER // 5),
        HEAD + b"OBX|1|TX|93306^Echo||" + b"EF 1" * (QUARTER // 4),
        HEAD + b"OBX|1|TX|93306^Echo||" + b"a" * QUARTER,
        HEAD + b"OBX|1|NM|18043-0^LVEF^LN||" + b"1" * QUARTER,
        HEAD + b"OBX|1|ST|18043-0^LVEF^LN||" + b"1 " * (QUARTER // 2),
        HEAD + b"OBX|1|NA|131329^MDC_ECG_ELEC_POTL_I^MDC|1.1|" + b"12^" * (QUARTER // 3),
        HEAD + b"OBX|1|CD|9&CHN^E^C|1|" + b"1&I~" * (QUARTER // 4) + b"\rOBX|1|MA|9&WAV^E^C|1|1",
        HEAD.replace(b"1^^^H^MR", b"1^^^H^MR~" * (QUARTER // 9)),
        HEAD + b"\xa4\x40" * (QUARTER // 2),
        HEAD + b"\xe4a" * (QUARTER // 2),
    ],
    ids=lambda content: content[len(HEAD) :][:24].decode("latin-1") or content[:24].decode("latin-1"),
)
def test_hostile_input_costs_little(content: bytes, context: ReadingContext) -> None:
    tracemalloc.start()
    try:
        read_or_refuse(content, context)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(content) + 32 * QUARTER


def test_the_framer_is_linear_and_bounded() -> None:
    framer = framing.Framer(max_message=4 * QUARTER)
    tracemalloc.start()
    try:
        framer.feed(b"\x0b")
        for _ in range(3 * QUARTER // 64):
            framer.feed(b"\x1c" * 64)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * QUARTER


def test_messages_of_a_batch_are_limited() -> None:
    with pytest.raises(PayloadError, match="too-many-messages"):
        batch.messages(b"MSH|^~\\&|\r" * (batch.MAX_MESSAGES + 1))
