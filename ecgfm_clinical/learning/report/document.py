"""Everything that the report on one judged head says: kept as `report.json`, shown as `report.html`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from ecgfm.provenance import ModelVersion
from ecgfm_clinical.learning.cohort.members import Flow
from ecgfm_clinical.learning.documents import Instant, read_document
from ecgfm_clinical.learning.judging.judgement import LabelJudgement
from ecgfm_clinical.learning.provenance import HeadRecord

DEMO_NOTE = (
    "A demo model stands behind these numbers; it was trained on generated recordings with invented outcomes. Where "
    "the outcomes judged here are invented too, they were drawn by written rules from the very ECGs that the model "
    "sees: the figures are circular, they show that the path works and say nothing about patients. NOT FOR CLINICAL "
    "USE."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate says."""

    passed: bool
    refusals: tuple[str, ...]
    must_beat: tuple[str, ...] | None = None  #: rivals that the gate demanded to beat; None in reports of before


def _verdict(own: Verdict | None) -> dict[str, object] | None:
    """As before where nobody knows what was demanded."""
    return own if own is None else {name: value for name, value in asdict(own).items() if value is not None}


def _record(told: object) -> object:
    return told if told is None or isinstance(told, HeadRecord) else HeadRecord.from_json(told, what="training")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One head of one candidate, judged."""

    head: str
    target: str
    site: str
    as_of: Instant
    notes: tuple[str, ...]
    candidate: ModelVersion
    champion: ModelVersion | None
    verdict: Annotated[Verdict | None, PlainSerializer(_verdict)]  #: None where no gate was asked
    labels: Mapping[str, LabelJudgement]
    cohort: Flow
    training: Annotated[
        HeadRecord | None, BeforeValidator(_record), PlainSerializer(lambda own: None if own is None else own.to_json())
    ]


def read(folder: Path) -> Report:
    """The report that lies in this folder. Raises LearningError."""
    return read_document(Report, folder / "report.json")
