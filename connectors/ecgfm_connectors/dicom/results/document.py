"""What every object of a result has in common: patient, study, series, equipment, and its encoding as a file."""

from dataclasses import dataclass
from datetime import datetime

from pydicom.charset import python_encoding
from pydicom.uid import ExplicitVRLittleEndian

from ecgfm_connectors.dicom.part10 import wrap
from ecgfm_connectors.dicom.results import values
from ecgfm_connectors.dicom.results.profile import ObjectProfile
from ecgfm_connectors.dicom.results.subject import Subject
from ecgfm_connectors.dicom.writing import MANUFACTURER, Elements, data_set


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What one object is: its class, its UIDs and its place in a series of its own."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    modality: str
    series_number: int
    series_description: str


def common(identity: Identity, subject: Subject, profile: ObjectProfile, written_at: datetime) -> Elements:
    """Patient, General Study, Series, General Equipment and SOP Common modules (PS3.3 C.7.1.1, C.7.2.1, C.7.5.1,
    C.12.1).
    """
    charset = profile.character_set
    equipment: Elements = {
        "Manufacturer": MANUFACTURER,
        "ManufacturerModelName": MANUFACTURER,
        "DeviceSerialNumber": values.meaning(profile.installation, charset),
        "SoftwareVersions": values.meaning(profile.software, charset),
    }
    if profile.institution:
        equipment["InstitutionName"] = values.meaning(profile.institution, charset)
    return (
        equipment
        | _patient_and_study(subject)
        | {
            "SpecificCharacterSet": charset,
            "SOPClassUID": identity.sop_class_uid,
            "SOPInstanceUID": identity.sop_instance_uid,
            "InstanceCreationDate": f"{written_at:%Y%m%d}",
            "InstanceCreationTime": f"{written_at:%H%M%S}",
            "TimezoneOffsetFromUTC": f"{written_at:%z}",
            "Modality": identity.modality,
            "SeriesInstanceUID": identity.series_uid,
            "SeriesNumber": identity.series_number,
            "SeriesDescription": values.meaning(identity.series_description, charset),
            "InstanceNumber": 1,
            "ContentDate": f"{written_at:%Y%m%d}",
            "ContentTime": f"{written_at:%H%M%S}",
        }
    )


def _patient_and_study(subject: Subject) -> Elements:
    issuer: Elements = {"IssuerOfPatientID": subject.issuer} if subject.issuer else {}
    return issuer | {
        "PatientName": subject.patient_name,
        "PatientID": subject.patient_id,
        "PatientBirthDate": subject.birth_date,
        "PatientSex": subject.sex,
        "StudyInstanceUID": subject.study_uid,
        "StudyDate": subject.study_date,
        "StudyTime": subject.study_time,
        "StudyID": subject.study_id,
        "AccessionNumber": subject.accession,
        "ReferringPhysicianName": subject.referring_physician,
    }


def encoded(identity: Identity, elements: Elements, profile: ObjectProfile) -> bytes:
    """The Part 10 file in Explicit VR Little Endian: the same object gives the same bytes."""
    return wrap(
        data_set(elements, python_encoding[profile.character_set]),
        sop_class=identity.sop_class_uid,
        sop_instance=identity.sop_instance_uid,
        transfer_syntax=str(ExplicitVRLittleEndian),
    )
