"""Formats of makers: Mortara's XML as an independent reader reads it, and the others refused by the maker's name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ecgdatakit.parsing.parsers.mortara_el250 import MortaraEL250Parser

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.reading import read
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


def test_another_programs_element_ecg_is_no_mortara_file(context: ReadingContext) -> None:
    assert refusal(b"<ECG><lead>1 2 3</lead></ECG>", context) == "Refused unknown-xml"


@pytest.mark.parametrize(
    ("content", "maker"),
    [
        (b"<?xml version='1.0'?><examination><device>SCHILLER AT-102</device></examination>", "Schiller"),
        (b"<root><Manufacturer>Mindray</Manufacturer></root>", "Mindray"),
        ("<a><b>EDAN SE-1200</b></a>".encode("utf-16"), "Edan"),
        (b"<ecgdata><maker>FUKUDA DENSHI</maker></ecgdata>", "Fukuda"),
        (b"<x>Nihon Kohden Corporation</x>", "Nihon Kohden"),
        (b"<x>Welch Allyn CardioPerfect</x>", "Welch Allyn"),
        (b"\x01\x02NIHON KOHDEN\0\0" + bytes(300), "Nihon Kohden"),
        (b"@ MFR Standard 12 leads ECG" + bytes(100), "MFER"),
        (b"ISHNE1.0" + bytes(600), "ISHNE"),
    ],
)
def test_other_makers_are_refused_by_name(context: ReadingContext, content: bytes, maker: str) -> None:
    with pytest.raises(PayloadError, match=maker) as caught:
        read(content, context)
    assert caught.value.code == "maker-format"


@pytest.mark.parametrize("content", [b"<x>Kenzo Sedan</x>", b"<note>edano</note>"])
def test_a_word_that_only_looks_like_a_maker(context: ReadingContext, content: bytes) -> None:
    assert refusal(content, context) == "Refused unknown-xml"
