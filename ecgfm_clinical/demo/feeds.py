"""A year of an invented hospital's feeds as files, to walk from feeds to a head by hand: ECGs as DICOM, echo and
troponin results as HL7, and the model that such a hospital begins with.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ecgfm_clinical.demo import clinic
from ecgfm_clinical.demo.learning import start_bundle
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.learning.training import Progress, quiet
from ecgfm_connectors.testing import dicom_writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeds:
    """What was written."""

    year: Path  #: folder of a year's ECGs and results
    next: Path  #: folder of the ECG that comes afterwards
    start: Path  #: bundle of the model before the first head


def write_feeds(folder: Path, patients: int, *, now: datetime, progress: Progress = quiet) -> Feeds:
    """The same patients at each call but for their dates, the year before `now`. Raises InputError."""
    year, later = folder / "year", folder / "next"
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a new folder")
    try:
        for one in (year, later):
            one.mkdir(parents=True)
        for visit in clinic.visits(patients + 1, now=now - timedelta(hours=1)):
            progress("writing feeds", visit.number, patients)
            ecg = dicom_writer.write_ecg(visit.ecg)
            if visit.number > patients:
                (later / "ecg.dcm").write_bytes(ecg)
                break
            name = f"{visit.number:05d}"
            (year / f"{name}-ecg.dcm").write_bytes(ecg)
            (year / f"{name}-echo.hl7").write_bytes(clinic.echo_message(visit, sent_at=now))
            (year / f"{name}-troponin.hl7").write_bytes(clinic.laboratory_message(visit, sent_at=now))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; choose a folder of your own") from error
    return Feeds(year=year, next=later, start=start_bundle(folder))
