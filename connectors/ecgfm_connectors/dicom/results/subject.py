"""Whose study an object goes into: that of the waveform object, as it is written there."""

from dataclasses import dataclass, field

from ecgfm_connectors.dicom.results import values
from ecgfm_connectors.dicom.results.profile import ObjectProfile
from ecgfm_connectors.dicom.results.uids import uid
from ecgfm_connectors.errors import Refused
from ecgfm_connectors.people import real_birth_date
from ecgfm_connectors.result import Result
from ecgfm_connectors.waveform_object import WaveformObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Patient and study as they are written, every value within its VR."""

    study_uid: str
    study_date: str
    study_time: str
    study_id: str
    accession: str
    referring_physician: str = field(repr=False)
    patient_id: str = field(repr=False)
    issuer: str
    patient_name: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str
    waveform: WaveformObject | None  #: what the report refers to


def subject_of(result: Result, profile: ObjectProfile) -> Subject:
    """Raises Refused: `no-waveform-object`, `waveform-object-incomplete`, `no-identifier`, `patient-differs`, and as
    `values.text` does.
    """
    if result.waveform is None:
        return _own_study(result, profile)
    waveform = result.waveform
    _require_complete(waveform)
    if result.status not in ("W", "D"):  # what is taken back is taken back where it was stored
        _require_same_patient(result, waveform)
    return _written(waveform, profile.character_set)


def _require_complete(waveform: WaveformObject) -> None:
    uids = (waveform.sop_class_uid, waveform.sop_instance_uid, waveform.series_uid, waveform.study_uid)
    if not all(map(values.is_uid, uids)):
        text = "the waveform object lacks a valid SOP Class, SOP Instance, Series or Study Instance UID to refer to"
        raise Refused("waveform-object-incomplete", text)


def _require_same_patient(result: Result, waveform: WaveformObject) -> None:
    stated, known = waveform.identifier, result.patient.identifiers
    if stated is None or not known:
        raise Refused("no-identifier", "the ECG names no patient, so its result cannot be filed")
    if stated.identity != known[0].identity:
        text = (
            "the recording belongs to another patient number by now than its waveform object in the archive says (a "
            "merge or a correction): nothing is stored into that study; once the archive has the object under the new "
            "number, send it here again"
        )
        raise Refused("patient-differs", text)


def _written(waveform: WaveformObject, charset: str) -> Subject:
    return Subject(
        study_uid=waveform.study_uid,
        study_date=values.date(waveform.study_date),
        study_time=values.time(waveform.study_time),
        study_id=values.text(waveform.study_id, "SH", "the Study ID", charset),
        accession=values.text(waveform.accession, "SH", "the Accession Number", charset),
        referring_physician=values.person(waveform.referring_physician, "the Referring Physician's Name", charset),
        patient_id=values.text(waveform.patient_id, "LO", "the Patient ID", charset),
        issuer=values.text(waveform.issuer, "LO", "the Issuer of Patient ID", charset),
        patient_name=values.person(waveform.patient_name, "the Patient's Name", charset),
        birth_date=values.date(waveform.birth_date),
        sex=waveform.sex if waveform.sex in ("M", "F", "O") else "",
        waveform=waveform,
    )


def _own_study(result: Result, profile: ObjectProfile) -> Subject:
    """A study of our own for an ECG that is no DICOM object anywhere, by what its message or file says."""
    if profile.without_waveform == "refuse":
        text = (
            "the ECG came as no DICOM object, or to a version of this program that did not keep which, so there is no "
            'study to store into; without_waveform = "own-study" at the destination would open one'
        )
        raise Refused("no-waveform-object", text)
    if not result.patient.identifiers:
        raise Refused("no-identifier", "the ECG names no patient, so its result cannot be filed")
    charset, patient, at = profile.character_set, result.patient, result.acquired_at
    born = real_birth_date(patient.birth_date)
    name = f"{patient.family_name}^{patient.given_name}".rstrip("^").replace("=", " ")
    return Subject(
        study_uid=uid("study", profile.installation, result.filler_number),
        study_date=f"{at:%Y%m%d}" if at else "",
        study_time=f"{at:%H%M%S}" if at else "",
        study_id="",
        accession=_accession(result),
        referring_physician="",
        patient_id=values.text(patient.identifiers[0].value, "LO", "the Patient ID", charset),
        issuer=values.text(patient.identifiers[0].authority, "LO", "the Issuer of Patient ID", charset),
        patient_name=values.person(name, "the Patient's Name", charset),
        birth_date=f"{born:%Y%m%d}" if born else "",
        sex=patient.sex if patient.sex in ("M", "F", "O") else "",
        waveform=None,
    )


def _accession(result: Result) -> str:
    """The ECG's own number where it is one that an Accession Number can be; the element is type 2."""
    number = result.ecg_filler_number.split("^")[0]
    return number if len(number) <= 16 and number.isascii() and "\\" not in number else ""
