"""Lines of pages: a source, a part that can be paused, a model, its shadow."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ecgfm_clinical.pipeline.shadow import Compared
    from ecgfm_clinical.staging.model_records import KeptVerdict, ModelRow
    from ecgfm_clinical.staging.pauses import Part, Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """One way in."""

    name: str
    last: "datetime | None"
    ago: float | None  #: seconds
    usual: str  #: its working hours, for people
    is_learnt: bool  #: its working hours are known
    is_silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLine:
    """One part that can be paused."""

    part: "Part"
    pause: "Pause | None"  #: in force
    follows: str
    waits: str  #: what waits for it


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLine:
    """One registered model as it stands."""

    row: "ModelRow"
    state: str
    verdicts: "tuple[KeptVerdict, ...]"  #: the newest of each head


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Whether a model answers in the shadow, and how it did."""

    is_on: bool
    compared: "Compared | None"
