"""Formats of makers: Mortara's XML as an independent reader reads it, and the others refused by the maker's name."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ecgdatakit.parsing.parsers.mfer import MFERParser
from ecgdatakit.parsing.parsers.mortara_el250 import MortaraEL250Parser

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError, Refused
from ecgfm_connectors.files.makers import MAKERS
from ecgfm_connectors.files.payload import load
from ecgfm_connectors.reading import read
from ecgfm_connectors.statements.understanding import said_of, understood
from tests.helpers import vendor_files as write

ReadOne = Callable[[bytes], Ecg]


def refusal(content: bytes, context: ReadingContext) -> str:
    with pytest.raises(PayloadError) as caught:
        read(content, context)
    return f"{type(caught.value).__name__} {caught.value.code}"


def test_mortara_as_ecgdatakit_reads_it(ecg: Ecg, read_one: ReadOne, tmp_path: Path) -> None:
    content = write.write_mortara(ecg)
    (tmp_path / "one.xml").write_bytes(content)
    other = MortaraEL250Parser().parse(tmp_path / "one.xml")
    found = read_one(content)
    by_label = {lead.label: np.asarray(lead.samples) * lead.resolution / 1000 for lead in other.leads}
    np.testing.assert_allclose(found.signal, np.stack([by_label[lead] for lead in LEADS]), atol=1e-5)
    assert found.statements == ecg.statements
    assert found.patient.birth_date == ecg.patient.birth_date
    assert found.filters.low_pass == 150.0


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('OFFSET="0"', 'OFFSET="12"', "Refused sample-interpretation"),
        ('BITS="16"', 'BITS="12"', "Refused sample-interpretation"),
        ('ENCODING="BASE64"', 'ENCODING="HEX"', "Refused sample-interpretation"),
        ('UNITS_PER_MV="200" D', 'UNITS_PER_MV="0" D', "Refused no-sensitivity"),
        ('DURATION="5000"', 'DURATION="4000"', "Unreadable waveform-length"),
        ('SAMPLE_FREQ="500" E', 'SAMPLE_FREQ="x" E', "Unreadable sampling-frequency"),
        ('DATA="', 'DATA="!', "Unreadable sample-text"),
    ],
)
def test_mortara_refusals(ecg: Ecg, context: ReadingContext, old: str, new: str, reason: str) -> None:
    text = write.write_mortara(ecg).decode()
    assert old in text
    assert refusal(text.replace(old, new).encode(), context) == reason


def test_mortara_rates_that_differ(ecg: Ecg, context: ReadingContext) -> None:
    text = write.write_mortara(ecg).decode().replace('SAMPLE_FREQ="500" E', 'SAMPLE_FREQ="250" E', 1)
    assert refusal(text.encode(), context) == "Refused mixed-rates"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<type>ECG_RHYTHMS", "<type>OTHER", "Refused no-recording"),
        ("<type>ECG_AVERAGES", "<type>ECG_RHYTHMS", "Refused multiple-recordings"),
        ("<exponent>1", "<exponent>2", "Refused sample-interpretation"),
        ("<value>500", "<value>0", "Unreadable sampling-frequency"),
        ("<unitperbit>5", "<unitperbit>", "Refused no-sensitivity"),
        ("<units>UV", "<units>LSB", "Refused unknown-unit"),
        ("COMMASEPARATE", "BASE64", "Refused sample-interpretation"),
    ],
)
def test_schiller_refusals(ecg: Ecg, context: ReadingContext, old: str, new: str, reason: str) -> None:
    text = write.write_schiller(ecg).decode()
    assert old in text
    assert refusal(text.replace(old, new).encode(), context) == reason


def test_schiller_patient_time_and_device(ecg: Ecg, read_one: ReadOne) -> None:
    found = read_one(write.write_schiller(ecg))
    assert (found.patient.family_name, found.patient.sex) == (ecg.patient.family_name, ecg.patient.sex)
    assert found.patient.birth_date == ecg.patient.birth_date
    assert ecg.acquired is not None
    assert found.acquired is not None
    assert found.acquired.at.replace(tzinfo=None) == ecg.acquired.at.replace(tzinfo=None, microsecond=0)
    assert (found.device.manufacturer, found.device.model) == ("SCHILLER", ecg.device.model)
    assert found.coded == ()


@pytest.mark.parametrize(("written", "said"), [("YES", "possible"), ("NO", None), ("", None), ("VVI", "possible")])
def test_schiller_pacemaker(ecg: Ecg, read_one: ReadOne, written: str, said: str | None) -> None:
    found = read_one(write.write_schiller(ecg, pacemaker=written))
    assert said_of("paced", understood(found)) == said


def test_another_programs_element_ecg_is_no_mortara_file(context: ReadingContext) -> None:
    assert refusal(b"<ECG><lead>1 2 3</lead></ECG>", context) == "Refused unknown-xml"


def pec(*sections: tuple[int, int]) -> bytes:
    """Sections (type, bytes of data) of Nihon Kohden's PEC file, with nothing in them."""
    return b"".join(
        bytes(10) + (14 + size).to_bytes(2, "big") + kind.to_bytes(2, "big") + bytes(size) + b"\0\0"
        for kind, size in sections
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (pec((0, 172), (1, 60), (2, 380), (7, 200), (8, 9000)), "PEC file (.DAT) of Nihon Kohden's own"),
        (b"<x>Nihon Kohden Corporation</x>", "format of Nihon Kohden's own"),
        (b"\x01\x02NIHON KOHDEN\0\0" + bytes(300), "format of Nihon Kohden's own"),
        (b"\xeb\xec\x12\x34\x20" + bytes(4000), "BeneHeart file (.PAT) of Mindray's own"),
        (b"<root><Manufacturer>Mindray</Manufacturer></root>", "format of Mindray's own"),
        (b"<BeneHeartR12><Leads/></BeneHeartR12>", "format of Mindray's own"),
        (b"<?xml version='1.0'?><examination><device>SCHILLER AT-102</device></examination>", "of Schiller's own"),
        (bytes(4) + b"##NEUTRAL HOLTER RECORDING##" + bytes(4096), "Holter archive (.arc) of Edan's own"),
        ("<a><b>EDAN SE-1200</b></a>".encode("utf-16"), "format of Edan's own"),
        (b"<x>Welch Allyn CardioPerfect</x>", "format of Welch Allyn's own"),
        (b"<report><system>Mortara E-Scribe</system></report>", "format of Mortara's own"),
        (bytes(600) + b"FX-8322\0" + bytes(2000) + b"\x00\x09\x02" + bytes(100), "FX file (.ECG) of Fukuda's own"),
        (b"<ecgdata><maker>FUKUDA DENSHI</maker></ecgdata>", "format of Fukuda's own"),
        (b"ISHNE1.0" + bytes(600), "ISHNE"),
    ],
)
def test_other_makers_are_refused_by_name_and_with_a_way_out(
    context: ReadingContext, content: bytes, told: str
) -> None:
    with pytest.raises(Refused) as caught:
        read(content, context)
    assert caught.value.code == "maker-format"
    assert told in caught.value.text
    assert re.search(r"not read; export .*(DICOM|ELI XML)", caught.value.text)


def test_edans_holter_files_are_no_wfdb_record(tmp_path: Path) -> None:
    (tmp_path / "patient.hea").write_bytes(bytes(64) + b"SE-2012" + bytes(4096))
    (tmp_path / "ecgraw.dat").write_bytes(bytes(2400))
    with pytest.raises(Refused, match="Edan's own"):
        load(tmp_path / "patient.hea")


def test_the_conformance_statement_names_each_maker() -> None:
    statement = (Path(__file__).parents[3] / "connectors" / "CONFORMANCE.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([A-Z][\w ]+) \| [^|]+ \| [^|]+ \| ([^|]+) \|$", statement, re.MULTILINE))
    assert {maker: rows.get(maker) for maker in MAKERS} == {maker: told.exports for maker, told in MAKERS.items()}


@pytest.mark.parametrize("content", [b"<x>Kenzo Sedan</x>", b"<note>edano</note>"])
def test_a_word_that_only_looks_like_a_maker(context: ReadingContext, content: bytes) -> None:
    assert refusal(content, context) == "Refused unknown-xml"


@pytest.mark.parametrize("changes", [{}, {"little_endian": False}, {"block": 1}, {"kind": 2}])
def test_mfer_as_ecgdatakit_reads_it(ecg: Ecg, read_one: ReadOne, tmp_path: Path, changes: dict[str, int]) -> None:
    content = write.write_mfer(ecg, **changes)  # type: ignore[arg-type]
    (tmp_path / "one.mwf").write_bytes(content)
    other = MFERParser().parse(tmp_path / "one.mwf")
    found = read_one(content)
    by_label = {lead.label: np.asarray(lead.samples) * lead.resolution / 1000 for lead in other.leads}
    np.testing.assert_allclose(found.signal, np.stack([by_label[lead] for lead in LEADS]), atol=1e-5)
    assert found.sampling_rate == other.leads[0].sampling_rate
    assert other.recording.date is not None
    assert found.acquired is not None
    assert found.acquired.at.replace(tzinfo=None) == other.recording.date
    assert other.patient.birth_date is not None
    assert found.patient.birth_date == other.patient.birth_date.date()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"\x0a\x01\x00", b"\x0a\x01\x09", "Refused sample-interpretation"),
        (b"\x0c\x04\x00\xfa", b"\x0c\x04\x01\xfa", "Refused unknown-unit"),
        (b"\x0c\x04\x00\xfa", b"\x16\x04\x00\xfa", "Refused no-sensitivity"),
        (b"\x08\x02\x01", b"\x08\x02\x09", "Refused no-recording"),
        (b"\x0b\x04\x01", b"\x0b\x04\x02", "Unreadable sampling-frequency"),
        (b"\x06\x02\x0a", b"\x06\x02\xff", "Unreadable waveform-length"),
        (b"\x05\x01\x0c", b"\x05\x01\xff", "Unreadable mfer-structure"),
        (b"\x0a\x01\x00", b"\x0e\x02\x01\x00\x0a\x01\x00", "Refused sample-interpretation"),
        (b"\x0a\x01\x00", b"\x0d\x02\x01\x00\x0a\x01\x00", "Refused sample-interpretation"),
        (b"\x80\0", b"\x1e\x82\xff\xff\x80\0", "Unreadable mfer-structure"),
    ],
)
def test_mfer_refusals(ecg: Ecg, context: ReadingContext, old: bytes, new: bytes, reason: str) -> None:
    content = write.write_mfer(ecg)
    place = content.rindex(old) if old == b"\x80\0" else content.index(old)
    assert refusal(content[:place] + new + content[place + len(old) :], context) == reason
