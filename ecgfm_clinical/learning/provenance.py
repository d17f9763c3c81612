"""What a bundle says about how its heads were made: read by cards, drift and reports,
written when a head is made or changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import CalibrationMethod
from ecgfm.operating_rule import OperatingRule
from ecgfm_clinical.learning.cohort.members import Flow
from ecgfm_clinical.learning.documents import Instant, Notes, parse, plain
from ecgfm_clinical.learning.judging.judgement import Figures
from ecgfm_clinical.rules import GateRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """One bundle by name."""

    name: str
    model_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(ModelName):
    """One bundle by name and version."""

    version: str

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        return cls(name=bundle.name, version=bundle.version, model_id=bundle.model_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecord:
    """How probabilities were calibrated."""

    method: CalibrationMethod
    fitted_on: str = "validation"


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePoint(OperatingRule):
    """The rule by which one site's threshold was chosen."""

    chosen_on: str  #: which ECGs


@dataclass(frozen=True, slots=True, kw_only=True)
class MainPoint(OperatingRule):
    """The rule by which the threshold of every other site was chosen."""

    chosen_on: str = "validation"
    site: str  #: who trained the head


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """How one head was trained and judged; nothing in it leads back to a patient."""

    head: str
    training: Notes  #: method, settings, seed, selection
    as_of: Instant  #: what was received later was not looked at
    site: str
    note: str = ""
    code_version: str
    cohort: Flow
    evaluability: Notes
    calibration: CalibrationRecord
    operating_point: MainPoint
    site_operating_points: Mapping[str, SitePoint] = field(default_factory=dict)
    gate: GateRules
    seed: int
    champion: ModelName | None
    metrics: Mapping[str, Figures]  #: label -> how it did on the test patients
    refusals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibration:
    """How a head's calibration and thresholds, or one site's threshold, were chosen anew."""

    as_of: Instant
    cohort_digest: str
    calibration: str  #: method, or `kept`
    operating_point: str
    chosen_on: str | Mapping[str, str]  #: which ECGs; by site where only a site's threshold was chosen
    site: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRecord:
    """One head's past. A head that came with its bundle has no training record."""

    trained: TrainingRecord | None = None
    recalibrated: Recalibration | None = None

    def to_json(self) -> dict[str, object]:
        """As bundles and reports hold it: the recalibration stands inside the training record."""
        told: dict[str, object] = {} if self.trained is None else plain(self.trained)
        return told | ({} if self.recalibrated is None else {"recalibrated": plain(self.recalibrated)})

    @classmethod
    def from_json(cls, told: object, *, what: str) -> "HeadRecord":
        """Raises LearningError."""
        own = parse(dict[str, object], told, what=what)
        recalibrated = own.pop("recalibrated", None)
        return cls(
            trained=parse(TrainingRecord, own, what=what) if own else None,
            recalibrated=None if recalibrated is None else parse(Recalibration, recalibrated, what=what),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a bundle comes from."""

    heads: Mapping[str, HeadRecord]
    lineage: tuple[ModelVersion, ...] = ()  #: the bundles it was made from, the first one first
    origin: Notes  #: what the first of them says of its encoder

    @classmethod
    def of(cls, bundle: Bundle) -> "Provenance":
        """Raises LearningError where the bundle was changed by hand."""
        what, told = _named(bundle), bundle.provenance
        own = {name: value for name, value in told.items() if name not in ("heads", "lineage", "origin")}
        heads = parse(dict[str, object], told.get("heads", {}), what=what)
        return cls(
            heads={head: HeadRecord.from_json(record, what=f"{what}, {head}") for head, record in heads.items()},
            lineage=lineage_of(bundle),
            origin=parse(dict[str, object], told.get("origin", own), what=what),  # type: ignore[arg-type]  # it was JSON
        )

    def to_json(self) -> dict[str, object]:
        return {
            "heads": {head: record.to_json() for head, record in self.heads.items()},
            "lineage": [plain(one) for one in self.lineage],
            "origin": dict(self.origin),
        }

    def after(self, parent: Bundle, head: str, record: HeadRecord) -> "Provenance":
        """Of a bundle made from `parent`, whose provenance this is, in which one head is new or changed."""
        return replace(self, heads={**self.heads, head: record}, lineage=(*self.lineage, ModelVersion.of(parent)))

    def kept(self, heads: frozenset[str]) -> "Provenance":
        """Without the records of heads that were left behind."""
        return replace(self, heads={name: own for name, own in self.heads.items() if name in heads})


def lineage_of(bundle: Bundle) -> tuple[ModelVersion, ...]:
    """The bundles that it was made from. Read by itself where a model is only registered: what its heads say of their
    training must not keep it from scoring. Raises LearningError."""
    return parse(tuple[ModelVersion, ...], bundle.provenance.get("lineage", ()), what=_named(bundle))


def _named(bundle: Bundle) -> str:
    return f"the provenance of {bundle.name} {bundle.version}"
