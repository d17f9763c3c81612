"""The element reader beside pydicom: the same values from the same bytes, in every encoding and character set."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from ecgfm_connectors.dicom.elements import Elements, Syntax, parse
from ecgfm_connectors.dicom.part10 import open_object
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.testing.dicom_writer import write_ecg

SYNTAXES = [Syntax(True, True), Syntax(False, True), Syntax(False, False)]
#: Files that come with pydicom: several makers, encodings and character sets.
BUNDLED = [
    *("waveform_ecg.dcm", "CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"),
    *("rtplan.dcm", "test-SR.dcm", "image_dfl.dcm"),
    *("chrH31.dcm", "chrX1.dcm", "chrRuss.dcm", "chrGreek.dcm", "chrKoreanMulti.dcm", "chrSQEncoding.dcm"),
]
TEXT = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UI", "UT"}


def compare(ours: Elements, theirs: Dataset, depth: int = 0) -> int:
    """Compare all public text, number and sequence elements; returns how many."""
    compared = 0
    for element in theirs:
        keyword = keyword_for_tag(element.tag)
        if not keyword or element.tag.group == 2 or " or " in dictionary_VR(element.tag):
            continue
        if element.VR in TEXT and element.VM <= 1:
            want = "" if element.value is None else str(element.value)
            assert ours.text(keyword).rstrip("=") == want.replace("\0", "").strip().rstrip("="), keyword
            compared += 1
        elif (
            element.VR in ("US", "UL", "SS", "SL", "DS", "IS", "FL", "FD")
            and element.VM == 1
            and element.value is not None
        ):
            assert ours.number(keyword) == pytest.approx(float(element.value)), keyword
            compared += 1
        elif element.VR == "SQ" and depth < 5:
            items = list(ours.items(keyword))
            assert len(items) == len(element.value), keyword
            compared += sum(compare(a, b, depth + 1) for a, b in zip(items, element.value, strict=True))
    return compared


@pytest.mark.parametrize("name", BUNDLED)
def test_files_of_many_makers(name: str) -> None:
    path = pydicom.data.get_testdata_file(name, download=False) or pydicom.data.get_charset_files(name)[0]
    theirs = pydicom.dcmread(str(path), force=True)
    assert compare(open_object(Path(str(path)).read_bytes()), theirs) > 3


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_encoding(ecg: Ecg, syntax: Syntax, undefined: bool) -> None:
    dataset = pydicom.dcmread(BytesIO(write_ecg(ecg)))
    for element in dataset.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax
    write_dataset(stream, dataset)
    content = stream.getvalue()
    parsed, end = parse(content, 0, syntax)
    assert end == len(content)
    assert compare(parsed, dataset) > 150


def test_looking_up_what_is_not_there() -> None:
    empty, _ = parse(b"", 0, SYNTAXES[1])
    assert (empty.text("PatientID"), empty.number("Rows"), empty.raw("PixelData")) == ("", None, None)
    assert list(empty.items("WaveformSequence")) == []
    assert empty.first("WaveformSequence").first("ChannelSourceSequence").text("CodeValue") == ""
    with pytest.raises(KeyError):
        empty.text("NoSuchKeyword")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\x10\0\x10\0PN\xff\0A", Unreadable),
        (b"\0\x54\0\1SQ\0\0\xff\xff\xff\xff", Unreadable),
        (b"\0\x54\0\1SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff", Unreadable),
        (b"\0\x54\0\1SQ\0\0\x10\0\0\0" + b"\x10\0\x10\0PN\2\0AB", Unreadable),
        (b"\x10\0\x10\0PN\0\0" * 200_000, Refused),
        ((b"\0\x54\0\1SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff") * 100, Refused),
    ],
)
def test_broken_and_absurd_data_sets(content: bytes, error: type[PayloadError]) -> None:
    with pytest.raises(error):
        list(parse(content, 0, SYNTAXES[1])[0].items("WaveformSequence"))
