"""Writes structured reports of echo systems (TID 5200, 5300) with pydicom, as machines and reading stations do."""

from collections.abc import Sequence
from io import BytesIO

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"
SIMPLIFIED_ECHO = "1.2.840.10008.5.1.4.1.1.88.72"

Code = tuple[str, str, str]  #: value, scheme, meaning

ADULT_ECHO: Code = ("125200", "DCM", "Adult Echocardiography Procedure Report")
FINDINGS: Code = ("121070", "DCM", "Findings")
GROUP: Code = ("125007", "DCM", "Measurement Group")
PRE_COORDINATED: Code = ("125301", "DCM", "Pre-coordinated Measurements")
POST_COORDINATED: Code = ("125302", "DCM", "Post-coordinated Measurements")
STAGED: Code = ("125310", "DCM", "Staged Measurements")
PREVIOUS: Code = ("121068", "DCM", "Previous Findings")

SITE: Code = ("363698007", "SCT", "Finding Site")
METHOD: Code = ("370129005", "SCT", "Measurement Method")
MODE: Code = ("399264008", "SCT", "Image Mode")
DERIVATION: Code = ("121401", "DCM", "Derivation")
SELECTION: Code = ("121404", "DCM", "Selection Status")
TYPE: Code = ("125306", "DCM", "Measurement Type")
PROPERTY: Code = ("125307", "DCM", "Measured Property")
STATE: Code = ("109054", "DCM", "Patient State")
SUBJECT: Code = ("121024", "DCM", "Subject Class")

LEFT: Code = ("87878005", "SCT", "Left ventricle")
RIGHT: Code = ("53085002", "SCT", "Right ventricle")
BIPLANE: Code = ("125207", "DCM", "Method of Disks, Biplane")
SINGLE: Code = ("125208", "DCM", "Method of Disks, Single Plane")
TEICHHOLZ: Code = ("125209", "DCM", "Teichholz")
MEAN: Code = ("373098007", "SCT", "Mean")
MAXIMUM: Code = ("56851009", "SCT", "Maximum")
MEAN_CHOSEN: Code = ("121412", "DCM", "Mean value chosen")
USER_CHOSEN: Code = ("121410", "DCM", "User chosen value")
PEAK_STRESS: Code = ("434161005", "SCT", "Peak cardiac stress state")
RESTING: Code = ("128975004", "SCT", "Resting State")
FETUS: Code = ("121026", "DCM", "Fetus")

LVEF: Code = ("18043-0", "LN", "Left Ventricular Ejection Fraction by US")
GENERAL_EF: Code = ("70822001", "SCT", "Cardiac ejection fraction")
LV_VOLUME: Code = ("18026-5", "LN", "Left Ventricular End Diastolic Volume")


def coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def modifier(concept: Code, value: Code, relation: str = "HAS CONCEPT MOD") -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, "CODE"
    item.ConceptNameCodeSequence, item.ConceptCodeSequence = [coded(concept)], [coded(value)]
    return item


def number(
    value: str, *said: tuple[Code, Code], concept: Code = LVEF, unit: str = "%", below: Sequence[Dataset] = ()
) -> Dataset:
    """A NUM item; an empty value is a measurement that failed (PS3.3 C.18.1)."""
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "NUM"
    item.ConceptNameCodeSequence = [coded(concept)]
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = [coded((unit, "UCUM", unit))]
    measured.NumericValue = value
    item.MeasuredValueSequence = [measured] if value else []
    item.ContentSequence = [modifier(*one) for one in said] + list(below)
    return item


def container(concept: Code, *below: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ContinuityOfContent = "CONTAINS", "CONTAINER", "SEPARATE"
    item.ConceptNameCodeSequence = [coded(concept)]
    item.ContentSequence = list(below)
    return item


def findings(*below: Dataset, site: Code = LEFT) -> Dataset:
    """The section of one chamber (TID 5202) with one measurement group."""
    return container(FINDINGS, modifier(SITE, site), container(GROUP, *below))


def report(
    *below: Dataset,
    title: Code = ADULT_ECHO,
    sop_class: str = COMPREHENSIVE,
    preliminary: bool = False,
    replaces: str = "",
    uid: str = "2.25.4711",
    study_time: str = "081500",
) -> Dataset:
    """A whole document of an invented patient."""
    document = Dataset()
    document.SpecificCharacterSet = "ISO_IR 192"
    document.SOPClassUID, document.SOPInstanceUID = sop_class, uid
    document.StudyInstanceUID, document.SeriesInstanceUID = "2.25.4700", "2.25.4701"
    document.StudyID, document.SeriesNumber, document.InstanceNumber = "1", 1, 1
    document.ReferringPhysicianName, document.Manufacturer, document.Modality = "", "Simulated", "SR"
    document.ReferencedPerformedProcedureStepSequence = []
    document.PerformedProcedureCodeSequence = []
    document.PatientName, document.PatientID, document.IssuerOfPatientID = "TESTPERSON^ALEX", "E1", "HOSP"
    document.PatientBirthDate, document.PatientSex, document.AccessionNumber = "19550505", "F", "A1"
    document.StudyDate = document.ContentDate = "20260301"
    document.StudyTime, document.ContentTime = study_time, "094500"
    document.CompletionFlag, document.VerificationFlag = "COMPLETE", "UNVERIFIED"
    document.PreliminaryFlag = "PRELIMINARY" if preliminary else "FINAL"
    if replaces:
        document.PredecessorDocumentsSequence = [_predecessor(replaces)]
    document.ValueType, document.ContinuityOfContent = "CONTAINER", "SEPARATE"
    document.ConceptNameCodeSequence = [coded(title)]
    document.ContentSequence = list(below)
    return document


def write(document: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The document as a Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = document.SOPClassUID, document.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = syntax, UID("2.25.4799")
    meta.ImplementationVersionName = "ECGFM"
    stream = BytesIO()
    FileDataset("", document, file_meta=meta, preamble=bytes(128)).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _predecessor(uid: str) -> Dataset:
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = COMPREHENSIVE, uid
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "2.25.4701", [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "2.25.4700", [series]
    return study
