"""Statements as data: what words and codes name, which reader gives which, and what is not understood."""

from collections.abc import Callable
from dataclasses import replace

import pydicom
import pytest
from pydicom.dataset import Dataset

from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.files.payload import pack_record
from ecgfm_connectors.statements.understanding import said_of, understood, unread
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.statements.words import from_words
from ecgfm_connectors.testing import aecg_writer, dicom_writer
from ecgfm_connectors.testing.wfdb_writer import write_record
from tests.helpers import vendor_files as write

ReadOne = Callable[[bytes], Ecg]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Normal sinus rhythm", {"sinus-rhythm": "stated"}),
        ("Sinusrhythmus", {"sinus-rhythm": "stated"}),
        ("Rythme sinusal", {"sinus-rhythm": "stated"}),
        ("Ritmo sinusale", {"sinus-rhythm": "stated"}),
        ("Sinusrytme", {"sinus-rhythm": "stated"}),
        ("Rytm zatokowy", {"sinus-rhythm": "stated"}),
        ("Vorhofflimmern", {"atrial-fibrillation": "stated"}),
        ("Fibrillation auriculaire", {"atrial-fibrillation": "stated"}),
        ("Fibrilación auricular", {"atrial-fibrillation": "stated"}),
        ("Fibrilação atrial", {"atrial-fibrillation": "stated"}),
        ("Förmaksflimmer", {"atrial-fibrillation": "stated"}),
        ("Atrieflimren", {"atrial-fibrillation": "stated"}),
        ("Atriefibrillatie", {"atrial-fibrillation": "stated"}),
        ("Migotanie przedsionków", {"atrial-fibrillation": "stated"}),
        ("Kein Infarkt", {"infarction": "denied"}),
        ("Inferior infarct, age undetermined", {"infarction": "stated"}),
        ("Possible anterior infarct", {"infarction": "possible"}),
        ("AV-Block I. Grades", {"av-block": "stated", "av-block-1": "stated"}),
        ("Linksschenkelblock", {"left-bundle-branch-block": "stated"}),
        ("Incomplete right bundle branch block", {"unread": "stated"}),
        ("Premature atrial complexes", {"unread": "stated"}),
        ("", {}),
    ],
)
def test_words(text: str, expected: dict[str, str]) -> None:
    assert {one.concept: one.certainty for one in from_words(text)} == expected


@pytest.mark.parametrize(
    ("source", "code", "concept"),
    [
        ("SNOMED", "10370003", "paced"),
        ("SNOMED", "164889003", "atrial-fibrillation"),
        ("SCP", "PACE", "paced"),
        ("Minnesota", "6-8", "paced"),
        ("Minnesota", "7-1-1", "left-bundle-branch-block"),
        ("Minnesota", "8-3", "unread"),
        ("SNOMED", "1", "unread"),
        ("HOUSE", "PACE", "unread"),
    ],
)
def test_codes(source: str, code: str, concept: str) -> None:
    found = from_code(source, code, "words")
    assert (found.concept, found.source, found.code, found.wording) == (concept, source, code, "words")


def paced(ecg: Ecg) -> tuple[str, str, str]:
    (one,) = (one for one in understood(ecg) if one.category == "pacing")
    return one.concept, one.source, one.code


def test_muse_pace_spikes(ecg: Ecg, read_one: ReadOne) -> None:
    plain = write.write_muse(replace(ecg, statements=("Undetermined rhythm",)))
    marks = b"<PaceSpikes><PaceType>VENTRICULAR</PaceType><IndexOffsets>200 616</IndexOffsets></PaceSpikes></Waveform>"
    assert paced(read_one(plain.replace(b"</Waveform>", marks))) == ("paced", "MUSE", "PaceSpikes")
    for empty in (b"<PaceSpikes/></Waveform>", b"<PaceSpikes><PaceType>NONE</PaceType></PaceSpikes></Waveform>"):
        assert read_one(plain.replace(b"</Waveform>", empty)).coded == ()


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ("<pacemodes>VVI</pacemodes>", "pacemodes"),
        ("<pacepulses>12</pacepulses>", "pacepulses"),
        ('<groupmeasurement atrialpaceflag="False" ventdualpaceflag="True"/>', "ventdualpaceflag"),
    ],
)
def test_philips_marks(ecg: Ecg, read_one: ReadOne, element: str, code: str) -> None:
    content = write.write_philips(replace(ecg, statements=()))
    inside = content.replace(b"</restingecgdata>", f"<x>{element}</x></restingecgdata>".encode())
    assert paced(read_one(inside)) == ("paced", "DXL", code)
    none = content.replace(b"</restingecgdata>", b"<x><pacepulses></pacepulses><pacemodes/></x></restingecgdata>")
    assert read_one(none).coded == ()


def test_scp_measured_spikes(ecg: Ecg, read_one: ReadOne) -> None:
    assert read_one(write.write_scp(ecg)).coded == ()
    assert paced(read_one(write.write_scp(ecg, spikes=9))) == ("paced", "SCP-ECG", "section 7 spikes")


def test_dicom_snomed(ecg: Ecg, read_one: ReadOne) -> None:
    from io import BytesIO

    dataset = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(replace(ecg, statements=("x",)))))
    item, code = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "344994008", "SCT", "ventricular pacing"
    item.ConceptCodeSequence = [code]
    dataset.WaveformAnnotationSequence = [item]
    stream = BytesIO()
    dataset.save_as(stream)
    found = read_one(stream.getvalue())
    assert [(one.source, one.code) for one in understood(found) if one.concept == "paced"] == [
        ("SNOMED", "344994008"),
        ("words", ""),
    ]


def test_aecg_codes(ecg: Ecg, read_one: ReadOne) -> None:
    content = aecg_writer.write_ecg(replace(ecg, statements=("x",)))
    marked = content.replace(b"MDC_ECG_INTERPRETATION_STATEMENT", b"MDC_ECG_RHY_PACED", 1)
    assert marked != content
    assert paced(read_one(marked)) == ("paced", "MDC", "MDC_ECG_RHY_PACED")


def test_wfdb_diagnoses(ecg: Ecg, read_one: ReadOne) -> None:
    files = write_record(replace(ecg, statements=()), "r")
    files["r.hea"] += b"#Dx: 10370003,164909002,999\n"
    found = read_one(pack_record(files))
    assert [one.concept for one in found.coded] == ["paced", "left-bundle-branch-block", "unread"]
    assert unread(found) == 1
    assert said_of("paced", understood(found)) == "stated"


def test_one_that_states_it_is_enough(ecg: Ecg) -> None:
    told = replace(ecg, statements=("No pacemaker detected", "Possible paced rhythm"))
    assert said_of("paced", understood(told)) == "possible"
    assert said_of("infarction", understood(told)) is None
