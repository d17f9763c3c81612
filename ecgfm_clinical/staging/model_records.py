"""What the registry of models gives and takes: models, acts on them, verdicts, drift."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Action = Literal["registered", "installed", "promoted", "rolled-back", "shadow-on", "shadow-off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One registered bundle."""

    model_id: str
    name: str
    version: str
    path: str
    demo: bool
    heads: Mapping[str, str]  #: head -> fingerprint
    parent_id: str | None
    registered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEvent:
    """One act on a model."""

    event_id: int
    at: datetime
    actor: str
    action: Action
    model_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadVerdict:
    """What the gate says of one head of one model; it passed where there are no reasons against it."""

    model_id: str
    head: str
    fingerprint: str  #: of the head: the same one in another bundle is judged too
    champion_id: str | None  #: the live model it was compared with; None where that lacks the head
    cohort_digest: str
    reasons: tuple[str, ...] = ()
    report: str  #: file of the whole report

    @property
    def passed(self) -> bool:
        return not self.reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVerdict(HeadVerdict):
    """The same as the registry keeps it."""

    at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftFinding:
    """One change that is more than chance and large enough to matter."""

    code: str  #: `input`, `mix`, `embedding`, `score`, `auroc`, `calibration`, `prevalence`
    month: str  #: or the device or site, for performance by those; `all` for the whole time since the model was made
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """One drift report."""

    at: datetime
    model_id: str
    findings: tuple[DriftFinding, ...]
    report: str  #: file of the whole report
