"""Writes what other systems say of ECGs, as a reading station, another AI and a cart's printer would."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from tests.helpers import report_writer as sr
from tests.helpers.report_writer import Code, coded

TWELVE_LEAD = "1.2.840.10008.5.1.4.1.1.9.1.1"
ECG, EARLIER, REPORT = "2.25.4801", "2.25.4802", "2.25.4803"

ECG_REPORT: Code = ("11524-0", "LN", "ECG Report")
MEASUREMENT_REPORT: Code = ("126000", "DCM", "Imaging Measurement Report")
PRIOR: Code = ("55114-3", "LN", "Prior Procedure Descriptions")


def waveform(uid: str) -> Dataset:
    """A WAVEFORM item (PS3.3 C.18.5)."""
    item, reference = Dataset(), Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "WAVEFORM"
    item.ConceptNameCodeSequence = [coded(("121112", "DCM", "Source of Measurement"))]
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = TWELVE_LEAD, uid
    item.ReferencedSOPSequence = [reference]
    return item


def text(name: str, value: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", value
    item.ConceptNameCodeSequence = [coded(("121071", "DCM", name))]
    return item


def ecg_report(*, prior: bool = False, uid: str = REPORT, refers_to: Sequence[str] = (ECG,)) -> Dataset:
    """A report of a reading station (TID 3700), perhaps with the ECG that it was compared with."""
    content = [
        sr.container(
            ("122158", "DCM", "ECG Global Measurements"),
            sr.number("402", concept=("8634-8", "LN", "QT Interval"), unit="ms"),
        ),
        sr.container(("121070", "DCM", "Findings"), text("Finding", "Atrial fibrillation"), *map(waveform, refers_to)),
    ]
    if prior:
        content.append(sr.container(PRIOR, waveform(EARLIER)))
    report = sr.report(*content, title=ECG_REPORT, uid=uid)
    report.VerificationFlag, report.ManufacturerModelName = "VERIFIED", "Reader 3"
    report.VerifyingObserverSequence = [_observer()]
    report.CurrentRequestedProcedureEvidenceSequence = [_evidence([*refers_to, *([EARLIER] if prior else [])])]
    return report


def ai_report(uid: str = "2.25.4804") -> Dataset:
    """Another AI's answer (TID 1500, 4019)."""
    probability = sr.number("0.87", concept=("AMY", "99OTHER", "Probability of amyloidosis"), unit="{0:1}")
    named = text("Algorithm Name", "OTHER-AI")
    group = sr.container(("125007", "DCM", "Measurement Group"), named, probability, waveform(ECG))
    return sr.report(sr.container(("126010", "DCM", "Imaging Measurements"), group), title=MEASUREMENT_REPORT, uid=uid)


def page(*, title: str = "ECG resting report", refers: bool = True, uid: str = "2.25.4805") -> Dataset:
    """An Encapsulated PDF."""
    document = sr.report(uid=uid, sop_class="1.2.840.10008.5.1.4.1.1.104.1")
    for absent in ("ContentSequence", "ValueType", "ContinuityOfContent", "ConceptNameCodeSequence"):
        delattr(document, absent)
    document.Modality, document.DocumentTitle, document.BurnedInAnnotation = "DOC", title, "YES"
    document.MIMETypeOfEncapsulatedDocument, document.EncapsulatedDocument = "application/pdf", b"%PDF-1.7 invent\n"
    if refers:
        source = Dataset()
        source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = TWELVE_LEAD, ECG
        document.SourceInstanceSequence = [source]
    return document


def _observer() -> Dataset:
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "TEST^DOCTOR", "TESTHOSP"
    observer.VerificationDateTime = "20260301100000"
    observer.VerifyingObserverIdentificationCodeSequence = []
    return observer


def _evidence(uids: Sequence[str]) -> Dataset:
    study, series = Dataset(), Dataset()
    references = []
    for uid in uids:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = TWELVE_LEAD, uid
        references.append(reference)
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "2.25.4810", references
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "2.25.4700", [series]
    return study
