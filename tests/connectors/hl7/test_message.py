"""The splitter gives every field of a message back, whatever line ends, delimiters and characters it was sent with."""

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.hl7 import batch, escapes, message

PLAIN = (
    "MSH|^~\\&|CART|ECG|ENGINE|HOSP|20260301090000+0100||ORU^R01^ORU_R01|M1|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||123^^^HOSP&1.2.3&ISO^MR~987^^^REGION^PI||TEST^PATIENT\r"
    "ZPV|local|anything\r"
    "OBX|1|ST|A^B^L||one\\T\\two\\S\\three\\.br\\four~second||||||F\r"
)


def test_fields_components_repetitions_and_escapes() -> None:
    parsed = message.parse(PLAIN.encode())
    assert (parsed.code, parsed.event, parsed.control_id, parsed.version) == ("ORU", "R01", "M1", "2.5.1")
    pid = parsed.first("PID")
    assert pid is not None
    assert pid.value(3) == "123"
    assert pid.value(3, 4, 2) == "1.2.3"
    assert pid.value(3, 5, repetition=1) == "PI"
    obx = parsed.first("OBX")
    assert obx is not None
    assert obx.text(5) == "one&two^three\nfour\nsecond"
    assert [segment.name for segment in parsed.segments] == ["MSH", "PID", "ZPV", "OBX"]
    assert parsed.findings == ()


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_are_repaired(ending: str) -> None:
    parsed = message.parse(PLAIN.replace("\r", ending).encode())
    assert [segment.fields for segment in parsed.segments] == [
        segment.fields for segment in message.parse(PLAIN.encode()).segments
    ]
    assert ("line-ends" in [finding.code for finding in parsed.findings]) == ("\n" in ending)


def test_a_wrapped_line_continues_its_segment() -> None:
    parsed = message.parse(PLAIN.replace("three", "thr\r\nee").encode())
    assert parsed.segments[-1].text(5) == "one&two^thr\r\nee\nfour\nsecond"
    assert "segment-continued" in [finding.code for finding in parsed.findings]


def test_spans_point_at_the_bytes_of_each_segment() -> None:
    content = PLAIN.encode()
    for segment in message.parse(content).segments:
        assert content[slice(*segment.span)].decode() == "|".join(segment.fields)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not-hl7"),
        (b"hello", "not-hl7"),
        (b"MSH", "not-hl7"),
        (b"MSHA^~\\&A1A2A\rPIDA", "bad-delimiters"),
        (b"MSH|abcd|x\rPID|1", "bad-delimiters"),
        (b"MSH|^~\\&|A|B|||2026||ADT^A01|1|P|2.3||| EVN|A01| PID|1||2", "single-segment"),
        (b"MSH|^~\\&|A|B|||2026||ORU^R01|1|P|2.5||||||UNICODE UTF-16\rPID|1", "charset-unsupported"),
    ],
)
def test_what_cannot_be_split_says_why(content: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        message.parse(content)
    assert refusal.value.code == code


def test_doubled_escape_in_msh_2_is_repaired() -> None:
    parsed = message.parse(PLAIN.replace("^~\\&", "^~\\\\&").encode())
    assert parsed.delimiters == escapes.STANDARD
    assert [finding.code for finding in parsed.findings] == ["encoding-characters"]


def test_other_delimiters() -> None:
    swapped = PLAIN.translate(str.maketrans("|^&~", "#*!+"))
    parsed = message.parse(swapped.encode())
    assert parsed.segments[1].value(3, 4, 2) == "1.2.3"
    assert parsed.segments[3].text(5) == "one!two*three\nfour\nsecond"


def in_charset(declared: str, codec: str, family: str) -> bytes:
    text = PLAIN.replace("UNICODE UTF-8", declared).replace("TEST^PATIENT", f"{family}^PATIENT^X")
    return text.encode(codec)


@pytest.mark.parametrize(
    ("declared", "codec", "family", "findings"),
    [
        ("8859/1", "latin-1", "TÄST", []),
        ("8859/7", "iso8859-7", "Δοκιμή", []),
        ("", "utf-8", "TÄST", ["charset-undeclared"]),
        ("", "cp1252", "TÄST", ["charset-undeclared"]),
        ("BIG-5", "big5", "許功蓋", []),  # second bytes equal \\, | and other marks
        ("", "big5", "許功蓋陳小明測試病人", ["charset-undeclared"]),
        ("", "gb18030", "测试病人王小明", ["charset-undeclared"]),
        ("~ISO IR87", "iso2022_jp_2", "山田^太郎", []),
        ("UNICODE UTF-8", "latin-1", "TÄST", ["charset-mismatch"]),
        ("8859/1", "utf-8", "TÄST", ["charset-mismatch"]),
        ("NO SUCH SET", "utf-8", "TÄST", ["charset-unknown"]),
    ],
)
def test_character_sets(declared: str, codec: str, family: str, findings: list[str]) -> None:
    parsed = message.parse(in_charset(declared, codec, family))
    pid = parsed.first("PID")
    assert pid is not None
    assert pid.value(5) == family.split("^")[0]
    assert pid.value(3) == "123"
    assert [finding.code for finding in parsed.findings] == findings


def test_batch_files_fall_into_messages() -> None:
    one = PLAIN.encode()
    file = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + one + one + b"BTS|2\rFTS|1\r"
    assert [message.parse(item).control_id for item in batch.messages(file)] == ["M1", "M1"]
    assert batch.batch_count_findings(file) == ()
    assert [f.code for f in batch.batch_count_findings(file.replace(b"BTS|2", b"BTS|3"))] == ["batch-count"]
    assert len(batch.messages(b"\x0b" + one + b"\x1c\r\x0b" + one + b"\x1c\r")) == 2


@given(st.text())
def test_an_escaped_leaf_cannot_break_out_and_comes_back(text: str) -> None:
    leaf = escapes.escape(text)
    assert not any(mark in leaf for mark in "|^~&\r\n\x0b\x1c")
    assert escapes.unescape(leaf) == text


@given(st.text())
def test_formatted_text_comes_back_with_plain_line_ends(text: str) -> None:
    assert escapes.unescape(escapes.escape(text, formatted=True)) == text.replace("\r\n", "\n").replace("\r", "\n")


@given(st.lists(st.text(alphabet="abc|^~\\&123 é", max_size=30), min_size=1, max_size=8))
def test_agrees_with_python_hl7_on_clean_messages(fields: list[str]) -> None:
    line = "OBX|" + "|".join(field.replace("|", "") for field in fields)
    content = PLAIN.split("\r")[0] + "\r" + line + "\r"
    ours = message.parse(content.encode()).segments[1]
    theirs = hl7.parse(content)[1]
    assert [ours.raw(number) for number in range(1, len(fields) + 1)] == [
        str(theirs[number]) for number in range(1, len(fields) + 1)
    ]


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed_or_refused(noise: bytes) -> None:
    for content in (noise, b"MSH|^~\\&|A|B\r" + noise, b"MSH" + noise):
        for item in batch.messages(content):
            try:
                parsed = message.parse(item)
            except Unreadable:
                continue
            for segment in parsed.segments:
                segment.text(5)
                segment.value(3, 2)
