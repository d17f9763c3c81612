"""Ask a DICOM archive which studies of some days hold ECGs (C-FIND, Study Root; PS3.4 C.4.1, C.6.2).

Archives differ: ModalitiesInStudy may be ignored or not returned, and date and time ranges are matched apart, so whole
days are asked for and every answer is checked here again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset
from pynetdicom.association import Association

from ecgfm_connectors.dicom.values import number, text
from ecgfm_connectors.errors import Misconfigured, Unreachable
from ecgfm_connectors.times import parse_date

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_PENDING = (0xFF00, 0xFF01)
_OUT_OF_RESOURCES = 0xA700


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudy:
    """One study as the archive describes it."""

    uid: str
    day: date | None
    modalities: tuple[str, ...]  #: empty where the archive does not say
    instances: int | None  #: Number of Study Related Instances, where the archive says

    @property
    def only(self) -> str:
        """The modality of a study that has a single one; empty where it has several or the archive states none."""
        return self.modalities[0] if len(self.modalities) == 1 else ""


def find_studies(association: Association, *, modality: str, first: date, last: date) -> list[FoundStudy]:
    """Studies of `modality` from `first` to `last`, both included. Raises Misconfigured, Unreachable."""
    identifier = _identifier("STUDY", StudyDate=f"{first:%Y%m%d}-{last:%Y%m%d}", ModalitiesInStudy=modality)
    identifier.StudyInstanceUID = ""
    identifier.NumberOfStudyRelatedInstances = ""
    found = []
    for answer in _find(association, identifier):
        study = _study(answer)
        in_window = study.day is None or first <= study.day <= last
        if study.uid and in_window and (not study.modalities or modality in study.modalities):
            found.append(study)
    return found


def find_series(association: Association, study_uid: str, *, modality: str) -> list[str]:
    """Series Instance UIDs of one study's series of `modality`. Raises Misconfigured, Unreachable."""
    identifier = _identifier("SERIES", StudyInstanceUID=study_uid, Modality=modality)
    identifier.SeriesInstanceUID = ""
    answers = _find(association, identifier)
    return [text(answer, "SeriesInstanceUID") for answer in answers if text(answer, "Modality") in ("", modality)]


def _identifier(level: str, **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _study(answer: Dataset) -> FoundStudy:
    instances = number(answer, "NumberOfStudyRelatedInstances")
    return FoundStudy(
        uid=text(answer, "StudyInstanceUID"),
        day=parse_date(text(answer, "StudyDate")),
        modalities=tuple(filter(None, text(answer, "ModalitiesInStudy").split("\\"))),
        instances=int(instances) if instances is not None else None,
    )


def _find(association: Association, identifier: Dataset) -> Iterator[Dataset]:
    for status, answer in association.send_c_find(identifier, STUDY_ROOT_FIND):
        if "Status" not in status:
            raise Unreachable("the archive ended the association during a C-FIND")
        if status.Status in _PENDING:
            if answer is None:
                raise Unreachable("the archive gave an answer to a C-FIND that cannot be read as a data set")
            yield answer
        elif status.Status == _OUT_OF_RESOURCES:
            raise Unreachable("the archive has no resources for a C-FIND now (0xA700)")
        elif status.Status != 0x0000:
            raise Misconfigured(f"the archive refused a C-FIND with status 0x{status.Status:04X}")
