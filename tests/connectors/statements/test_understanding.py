"""Statements as data: what words and codes name, which reader gives which, and what is not understood."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.files.payload import pack_record
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.understanding import said_of, understood, unread
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.statements.words import from_words
from ecgfm_connectors.testing import aecg_writer, dicom_writer, oru_writer
from ecgfm_connectors.testing.wfdb_writer import write_record
from tests.helpers import scp_writer
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
        ("Incomplete right bundle branch block", {"other": "stated"}),
        ("Premature atrial complexes", {"other": "stated"}),
        ("Nonspecific T wave abnormality", {"other": "stated"}),
        ("Zorbic rhythm", {"unread": "stated"}),
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
        ("SCP", "BIGU", "other"),
        ("12SL", "161", "atrial-fibrillation"),
        ("12SL", "183", "paced"),
        ("12SL", "AFIB", "atrial-fibrillation"),
        ("12SL", "999", "unread"),
        ("DXL", "SB", "sinus-bradycardia"),
        ("DXL", "XYZ", "unread"),
        ("MDC", "MDC_ECG_RHY_EPVDM", "paced"),
        ("MDC", "10:10240", "paced"),
        ("MDC", "MDC_ECG_RHY_ATR_FIB", "atrial-fibrillation"),
        ("MDC", "MDC_ECG_NOTHING", "unread"),
        ("MDC", "MDC_ECG_RHY_PACED", "paced"),  # no term of the standard, but a device may write it
        ("MDC", "MDC_ECG_RHY_UNPACED", "unread"),
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
    assert read_one(scp_writer.write_scp(ecg)).coded == ()
    assert paced(read_one(scp_writer.write_scp(ecg, spikes=9))) == ("paced", "SCP-ECG", "section 7 spikes")


def dicom_coded(ecg: Ecg, code: str, scheme: str, place: str = "ConceptCodeSequence") -> bytes:
    """An ECG in DICOM whose one annotation is a code, as its value or as its name."""
    dataset = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(replace(ecg, statements=("x",)))))
    item, written = Dataset(), Dataset()
    written.CodeValue, written.CodingSchemeDesignator, written.CodeMeaning = code, scheme, "ventricular pacing"
    setattr(item, place, [written])
    dataset.WaveformAnnotationSequence = [item]
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_dicom_snomed(ecg: Ecg, read_one: ReadOne) -> None:
    found = read_one(dicom_coded(ecg, "344994008", "SCT"))
    assert [(one.source, one.code) for one in understood(found) if one.concept == "paced"] == [
        ("SNOMED", "344994008"),
        ("words", ""),
    ]


@pytest.mark.parametrize(("meaning", "count"), [("ventricular pacing", 0), ("xyzzy", 1)])
def test_a_code_of_a_scheme_without_a_table_is_kept(ecg: Ecg, read_one: ReadOne, meaning: str, count: int) -> None:
    dataset = pydicom.dcmread(BytesIO(dicom_coded(ecg, "5.10.5.3-1", "SCPECG")))
    dataset.WaveformAnnotationSequence[0].ConceptCodeSequence[0].CodeMeaning = meaning
    stream = BytesIO()
    dataset.save_as(stream)
    found = read_one(stream.getvalue())
    assert [(one.source, one.code, one.wording) for one in found.coded] == [("SCPECG", "5.10.5.3-1", meaning)]
    assert unread(found) == count


def test_a_measurement_s_code_is_no_statement(ecg: Ecg, read_one: ReadOne) -> None:
    dataset = pydicom.dcmread(BytesIO(dicom_coded(ecg, "5.10.2.5-5", "SCPECG")))
    dataset.WaveformAnnotationSequence[0].NumericValue = "412"
    stream = BytesIO()
    dataset.save_as(stream)
    assert read_one(stream.getvalue()).coded == ()


@pytest.mark.parametrize(
    ("written", "source", "code", "concept"),
    [
        ("183^Electronic pacemaker^MEIECG", "12SL", "183", "paced"),
        ("426453001^Paced rhythm^SCT", "SNOMED", "426453001", "paced"),
        ("X7^xyzzy^99LOCAL", "99LOCAL", "X7", "unread"),
    ],
)
def test_hl7_codes(ecg: Ecg, read_one: ReadOne, written: str, source: str, code: str, concept: str) -> None:
    sent = datetime(2026, 3, 1, tzinfo=UTC)
    content = oru_writer.write_ecg(replace(ecg, statements=()), control_id="M1", sent_at=sent)
    found = read_one(content + f"OBX|9|CE|8601-7^EKG impression^LN||{written}||||||F\r".encode())
    assert [(one.source, one.code, one.concept) for one in found.coded] == [(source, code, concept)]
    assert unread(found) == (concept == "unread")


@pytest.mark.parametrize(
    ("code", "concept"),
    [
        ("MDC_ECG_RHY_EPADM", "paced"),  # atrial, ventricular and AV sequential pacing are named so in the standard
        ("MDC_ECG_RHY_EPVDM", "paced"),
        ("MDC_ECG_RHY_EPAVT", "paced"),
        ("MDC_ECG_WAVP_PACE_V", "paced"),
        ("MDC_ECG_RHY_AV_HEART_BLK_DEG_3", "av-block"),
        ("MDC_ECG_RHY_ATR_FIB", "atrial-fibrillation"),
    ],
)
def test_aecg_rhythms(ecg: Ecg, read_one: ReadOne, code: str, concept: str) -> None:
    content = aecg_writer.write_ecg(replace(ecg, statements=("x",)))
    marked = content.replace(b"MDC_ECG_INTERPRETATION_STATEMENT", code.encode(), 1)
    assert [(one.concept, one.source, one.code) for one in read_one(marked).coded] == [(concept, "MDC", code)]


def test_aecg_code_of_another_system(ecg: Ecg, read_one: ReadOne) -> None:
    content = aecg_writer.write_ecg(replace(ecg, statements=("xyzzy",)))
    value = b'<value xsi:type="CE" code="X7" codeSystem="1.2.3.4.5" codeSystemName="99LOCAL" displayName="xyzzy"/>'
    changed = re.sub(rb"<value [^>]*>xyzzy</value>", value, content)
    assert changed != content
    found = read_one(changed)
    assert [(one.source, one.code, one.wording) for one in found.coded] == [("99LOCAL", "X7", "xyzzy")]
    assert unread(found) == 1


@pytest.mark.parametrize(
    ("code", "concept"),
    [
        ("10:10240", "paced"),
        ("665600", "paced"),
        ("MDC_ECG_RHY_EPVDM", "paced"),
        ("10:9472", "atrial-fibrillation"),
        ("664832", "atrial-fibrillation"),
        ("10:10464", "unread"),
    ],
)
def test_dicom_mdc_rhythms(ecg: Ecg, read_one: ReadOne, code: str, concept: str) -> None:
    assert [(one.concept, one.source) for one in read_one(dicom_coded(ecg, code, "MDC")).coded] == [(concept, "MDC")]


def test_pacing_spike_that_is_an_annotations_name(ecg: Ecg, read_one: ReadOne) -> None:
    content = dicom_coded(ecg, "10:6656", "MDC", place="ConceptNameCodeSequence")
    assert [(one.concept, one.code) for one in read_one(content).coded] == [("paced", "10:6656")]


def test_one_beat_of_a_kind_is_not_the_rhythm(ecg: Ecg, read_one: ReadOne) -> None:
    """A single left bundle branch block beat is no left bundle branch block, a single paced beat is pacing."""
    assert read_one(dicom_coded(ecg, "10:8464", "MDC")).coded == ()
    assert [one.concept for one in read_one(dicom_coded(ecg, "10:8704", "MDC")).coded] == ["paced"]


def test_philips_statement_codes_and_versions(ecg: Ecg, read_one: ReadOne) -> None:
    content = write.write_philips(replace(ecg, statements=("SINUS BRADYCARDIA", "xyzzy", "plugh")))
    for code in (b"SB", b"QQ1"):
        content = content.replace(
            b"<statement><left", b"<statement><statementcode>" + code + b"</statementcode><left", 1
        )
    found = read_one(content)
    assert [(one.code, one.concept, one.wording) for one in found.coded] == [
        ("SB", "sinus-bradycardia", "SINUS BRADYCARDIA"),
        ("QQ1", "unread", "xyzzy"),
    ]
    assert unread(found) == 2  # the code with its words counts once, the words without a code once


def test_an_unknown_code_beside_known_words_is_understood(ecg: Ecg) -> None:
    known = from_code("DXL", "QQ1", "Sinus rhythm")
    assert unread(replace(ecg, statements=("Sinus rhythm",), coded=(known,))) == 0
    assert unread(replace(ecg, statements=("xyzzy",), coded=(from_code("DXL", "QQ1", "xyzzy"),))) == 1


def test_a_later_vocabulary_reads_stored_codes_anew(ecg: Ecg) -> None:
    stored = Statement(concept="unread", source="12SL", code="161")
    assert [one.concept for one in understood(replace(ecg, statements=(), coded=(stored,)))] == ["atrial-fibrillation"]


def test_words_of_no_concern_are_not_counted(ecg: Ecg) -> None:
    told = replace(ecg, statements=("Left axis deviation", "Nonspecific ST abnormality", "xyzzy"), coded=())
    assert unread(told) == 1


def test_scp_universal_statements(ecg: Ecg, read_one: ReadOne) -> None:
    """Section 11: an acronym alone is stated, one with modifiers only possible, one in text is left to section 8."""
    record = scp_writer.write_scp(replace(ecg, statements=()), universal=("SR", "PACE", "AMI\0AC\0", "ZZZZ"))
    assert [(one.source, one.code, one.concept, one.certainty) for one in read_one(record).coded] == [
        ("SCP", "SR", "sinus-rhythm", "stated"),
        ("SCP", "PACE", "paced", "stated"),
        ("SCP", "AMI", "infarction", "possible"),
        ("SCP", "ZZZZ", "unread", "stated"),
    ]


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


@pytest.mark.parametrize(
    "text",
    [
        "As deviatie naar links",
        "Axe gauche",
        "Déviation axiale droite",
        "Asse deviato a sinistra",
        "Eje eléctrico desviado a la izquierda",
        "Desvio do eixo para a esquerda",
        "Venstreakse",
        "Elektrisk akse til venstre",
        "Vänsterställd elaxel",
        "Oś serca w lewo",
        "Linksachse",
        "Minor ST-T changes",
        "Sus-décalage du segment ST",
        "Supradesnivel del ST",
        "Sopraslivellamento ST",
        "ST-høyning",
        "Uniesienie odcinka ST",
        "Aspecifieke ST-veranderingen",
    ],
)
def test_axis_and_st_in_many_languages(ecg: Ecg, text: str) -> None:
    assert [one.concept for one in understood(replace(ecg, statements=(text,), coded=()))] == ["other"]


@pytest.mark.parametrize(
    "text", ["Xyz as before Abc", "Xyz os Abc", "Axe Abc", "Asse", "Eje Xyz", "Axel Jensen", "St. Mary", "St Abc tower"]
)
def test_a_short_word_of_another_language_is_not_understood_by_itself(ecg: Ecg, text: str) -> None:
    """Else an update of a device that changes its wording would go unnoticed."""
    assert [one.concept for one in understood(replace(ecg, statements=(text,), coded=()))] == ["unread"]
