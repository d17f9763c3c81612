"""HL7 v3 annotated ECGs in the dialects that exporters write."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing.aecg_writer import write_ecg

ReadOne = Callable[[bytes], Ecg]
Corpus = Callable[[str], Path]


@pytest.fixture
def text(ecg: Ecg) -> str:
    """A valid document, to be spoiled."""
    return write_ecg(ecg).decode()


def refusal(content: str | bytes, context: ReadingContext) -> str:
    with pytest.raises(PayloadError) as caught:
        read(content.encode() if isinstance(content, str) else content, context)
    return f"{type(caught.value).__name__} {caught.value.code}"


def test_everything_comes_back(ecg: Ecg, read_one: ReadOne) -> None:
    found = read_one(write_ecg(ecg))
    np.testing.assert_allclose(found.signal, ecg.signal, atol=1e-6)
    assert (found.patient, found.filters, found.statements) == (ecg.patient, ecg.filters, ecg.statements)
    assert (found.device.manufacturer, found.device.model, found.device.serial) == ("Simulated", "Cart 1", "S-1")
    assert found.acquired is not None
    assert ecg.acquired is not None
    assert found.acquired.at == ecg.acquired.at
    assert found.sampling_rate == 500.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MDC_ECG_LEAD_AVR", "MDC_ECG_LEAD_aVR"),
        ('xmlns="urn:hl7-org:v3" ', ""),
        ('value="1" unit="uV"', 'value="0.001" unit="mV"'),
        ('unit="uV"', 'unit="µV"'),
        ('increment value="0.002" unit="s"', 'increment value="2" unit="ms"'),
        ('origin value="0" unit="uV"', 'origin value="0"'),
        ('code="RHYTHM"', 'code="VENDOR_RHYTHM"'),
    ],
)
def test_dialects(ecg: Ecg, text: str, read_one: ReadOne, old: str, new: str) -> None:
    assert old in text
    np.testing.assert_allclose(read_one(text.replace(old, new).encode()).signal, ecg.signal, atol=1e-5)


def test_origin_and_scale_in_different_units(ecg: Ecg, text: str, read_one: ReadOne) -> None:
    shifted = text.replace('origin value="0" unit="uV"', 'origin value="0.25" unit="mV"')
    np.testing.assert_allclose(read_one(shifted.encode()).signal, ecg.signal + 0.25, atol=1e-5)


def test_utf_16(ecg: Ecg, text: str, read_one: ReadOne) -> None:
    content = text.replace("utf-8", "utf-16").encode("utf-16")
    np.testing.assert_allclose(read_one(content).signal, ecg.signal, atol=1e-5)


def test_a_representative_beat_is_no_recording(text: str, context: ReadingContext) -> None:
    assert refusal(text.replace('"RHYTHM"', '"REPRESENTATIVE_BEAT"'), context) == "Refused no-recording"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('scale value="1" unit="uV"', 'scale value="1" unit="mm[Hg]"', "Refused unknown-unit"),
        ('scale value="1" unit="uV"', 'scale value="1"', "Refused unknown-unit"),
        ('scale value="1" unit="uV"', 'scale unit="uV"', "Refused no-sensitivity"),
        ("<digits>", "<digits>NULL ", "Unreadable sample-text"),
        ("<digits>", "<digits>1e999 ", "Unreadable sample-text"),
        ('increment value="0.002"', 'increment value="0"', "Unreadable sampling-frequency"),
        ("</AnnotatedECG>", "", "Unreadable not-xml"),
        ("MDC_ECG_LEAD_V", "MDC_PRESS_V", "Refused not-12-lead"),
    ],
)
def test_refusals(text: str, context: ReadingContext, old: str, new: str, reason: str) -> None:
    assert old in text
    assert refusal(text.replace(old, new), context) == reason


def test_entities_are_refused(text: str, context: ReadingContext) -> None:
    bomb = "<!DOCTYPE AnnotatedECG [<!ENTITY a 'aaaa'>]>"
    assert refusal(text.replace("<AnnotatedECG", bomb + "<AnnotatedECG", 1), context) == "Refused xml-entities"
    external = '<!DOCTYPE AnnotatedECG SYSTEM "file:///etc/passwd">'
    assert refusal(text.replace("<AnnotatedECG", external + "<AnnotatedECG", 1), context) == "Refused xml-entities"


def test_element_floods_are_refused(context: ReadingContext) -> None:
    assert refusal(b"<AnnotatedECG>" + b"<a/>" * 200_000 + b"</AnnotatedECG>", context) == "Refused too-large"
    assert refusal(b"<AnnotatedECG>" + b"<a>" * 5_000, context) == "Refused too-large"


def test_three_leads_at_a_time_are_not_simultaneous(text: str, context: ReadingContext) -> None:
    head = 'value="20260329143000.000+0000"'
    parts = text.split("<component><sequenceSet>")
    body = parts[1]
    cut = body.index('<component><sequence><code code="MDC_ECG_LEAD_V1"')
    time = body[: body.index('<component><sequence><code code="MDC_ECG_LEAD_I"')]
    later = time.replace(head, 'value="20260329143005.000+0000"')
    split = body[:cut] + "</sequenceSet></component><component><sequenceSet>" + later + body[cut:]
    assert refusal(parts[0] + "<component><sequenceSet>" + split, context) == "Refused not-simultaneous"
    together = body[:cut] + "</sequenceSet></component><component><sequenceSet>" + time + body[cut:]
    (found,) = read((parts[0] + "<component><sequenceSet>" + together).encode(), context).ecgs
    assert found.stored_leads == LEADS


@pytest.mark.parametrize(
    "path",
    [
        *(f"hl7v3_aecg/FDA+aecg-python/subject{subject}_{visit}.xml" for subject in (1, 2) for visit in (0, 1, 2)),
        "hl7v3_aecg/FDA+aecg-python/Example_aECG.xml",
        "hl7v3_aecg/marianux+ecg-kit/ecg_hl7.xml",
    ],
)
def test_real_documents(corpus: Corpus, read_one: ReadOne, path: str) -> None:
    found = read_one(corpus(path).read_bytes())
    twin = read_one(
        corpus("dicom/Refactoring+ECGToolkit/Example.dcm").read_bytes()
    )  # converted from the same recording
    np.testing.assert_allclose(found.signal, twin.signal, atol=1e-6)
    assert (found.filters.low_pass, found.filters.notch) == (150.0, 60.0)
    assert found.patient.sex == "M"
    assert found.findings == ()


def test_real_one_lead_document_is_refused(corpus: Corpus, context: ReadingContext) -> None:
    content = corpus("hl7v3_aecg/FDA+aecg-python/minimum_aecg.xml").read_bytes()
    assert refusal(content, context) == "Refused not-12-lead"
