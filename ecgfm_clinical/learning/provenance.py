"""What a bundle says about how its heads were made: read by cards, drift and reports,
written when a head is made or changed.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import PlainSerializer

from ecgfm.calibration import CalibrationMethod
from ecgfm.checkpoint import Bundle
from ecgfm.operating_rule import OperatingRule
from ecgfm.provenance import Json, ModelName, Provenance
from ecgfm_clinical.learning.cohort.members import Cohort, Flow
from ecgfm_clinical.learning.documents import Instant, Notes, parse, plain
from ecgfm_clinical.learning.judging.judgement import Figures
from ecgfm_clinical.learning.selected import SELECTION, Selection
from ecgfm_clinical.rules import GateRules

if TYPE_CHECKING:  # records are read without torch
    from ecgfm.finetuning.trained import Trained
    from ecgfm_clinical.learning.judging.comparison import Judgement
    from ecgfm_clinical.learning.plan import Plan


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


#: In the origin of a bundle: the fine-tunings that its encoder has behind it.
FINE_TUNED = "fine_tuned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """One fine-tuning: an encoder learnt the labels of a site's patients, but not of its test patients."""

    head: str
    site: str
    as_of: Instant


def _gate(rules: GateRules) -> dict[str, object]:
    """Without rivals to beat where there are none, as records of the version before hold it."""
    return {name: own for name, own in asdict(rules).items() if name != "must_beat" or own}


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
    gate: Annotated[GateRules, PlainSerializer(_gate)]
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
class ShiftRecord:
    """How a label's probabilities were moved to another prevalence."""

    as_of: Instant
    learnt: float  #: share of positive ECGs where it was calibrated
    stated: float  #: share that is to be expected
    source: str  #: who says so


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRecord:
    """One head's past. A head that came with its bundle has no training record."""

    trained: TrainingRecord | None = None
    recalibrated: Recalibration | None = None
    shifted: Mapping[str, ShiftRecord] = field(default_factory=dict)  #: by label

    def to_json(self) -> dict[str, Json]:
        """As bundles and reports hold it: recalibration and shifts stand inside the training record."""
        told: dict[str, Json] = {} if self.trained is None else plain(self.trained)
        told |= {} if self.recalibrated is None else {"recalibrated": plain(self.recalibrated)}
        return told | ({"shifted": {label: plain(own) for label, own in self.shifted.items()}} if self.shifted else {})

    @classmethod
    def from_json(cls, told: object, *, what: str) -> "HeadRecord":
        """Raises LearningError."""
        own = parse(dict[str, object], told, what=what)
        recalibrated, shifted = own.pop("recalibrated", None), own.pop("shifted", {})
        return cls(
            trained=parse(TrainingRecord, own, what=what) if own else None,
            recalibrated=None if recalibrated is None else parse(Recalibration, recalibrated, what=what),
            shifted=parse(dict[str, ShiftRecord], shifted, what=what),
        )


def head_records(bundle: Bundle) -> dict[str, HeadRecord]:
    """What the bundle says of each head's past. Raises LearningError where it was changed by hand."""
    told = bundle.provenance.heads
    return {head: _read(bundle, head, record) for head, record in told.items()}


def head_record(bundle: Bundle, head: str) -> HeadRecord | None:
    """What the bundle says of one head's past; None where it says nothing. Raises LearningError."""
    told = bundle.provenance.heads.get(head)
    return None if told is None else _read(bundle, head, told)


def after(parent: Bundle, head: str, record: HeadRecord, kept: Collection[str]) -> Provenance:
    """Of a bundle made from `parent` in which one head is new or changed; of its other heads the `kept` stay."""
    told = {**parent.provenance.heads, head: record.to_json()}
    made = parent.provenance.after(parent.named, {name: own for name, own in told.items() if name in kept})
    known = teachings(parent)
    new = _teaching(record)
    if new is None or new in known:
        return made
    return replace(made, origin={**made.origin, FINE_TUNED: [plain(one) for one in (*known, new)]})


def teachings(bundle: Bundle) -> tuple[Teaching, ...]:
    """Every fine-tuning that the bundle's encoder has behind it, of this program, the first one first.

    It stays in the origin when the head is gone for which it was done. Raises LearningError where the provenance was
    changed by hand.
    """
    told = bundle.provenance.origin.get(FINE_TUNED, [])
    kept = parse(tuple[Teaching, ...], told, what=f"the provenance of {bundle.name} {bundle.version}, {FINE_TUNED}")
    own = [_teaching(record) for record in head_records(bundle).values()]  # of a bundle from before it was kept there
    return (*kept, *(one for one in own if one is not None and one not in kept))


def _teaching(record: HeadRecord) -> Teaching | None:
    trained = record.trained
    if trained is None or trained.training.get("method") not in ("lora", "full"):
        return None
    return Teaching(head=trained.head, site=trained.site, as_of=trained.as_of)


def _read(bundle: Bundle, head: str, told: object) -> HeadRecord:
    return HeadRecord.from_json(told, what=f"the provenance of {bundle.name} {bundle.version}, {head}")


def record_of_training(
    plan: "Plan",
    cohort: Cohort,
    trained: "Trained",
    judgement: "Judgement",
    *,
    as_of: datetime,
    champion: Bundle | None,
    selection: Selection | None,
    calibrated_on: str,
    chosen_on: Mapping[str, str],
    adaptation: Json = None,
) -> HeadRecord:
    """How a head was trained by a plan. `chosen_on`: site with its own rule -> ECGs that its threshold rests on.
    `adaptation`: how its encoder learnt on from this site's ECGs, where it did.
    """
    return HeadRecord(
        trained=TrainingRecord(
            head=plan.head,
            training={
                **trained.record,
                **({} if adaptation is None else {"adaptation": adaptation}),
                **({} if selection is None else {SELECTION: plain(selection)}),
            },
            as_of=as_of,
            site=plan.site,
            note=plan.note,
            code_version=plan.code_version,
            cohort=cohort.flow,
            evaluability=plan.evaluability.model_dump() | {"allow": list(plan.evaluability.allow)},
            calibration=CalibrationRecord(method=plan.calibration, fitted_on=calibrated_on),
            operating_point=MainPoint(**asdict(plan.operating_point), site=plan.site, chosen_on=calibrated_on),
            site_operating_points={
                site: SitePoint(**asdict(rule), chosen_on=chosen_on[site])
                for site, rule in plan.site_operating_points.items()
            },
            gate=plan.gate,
            seed=plan.seed,
            champion=None if champion is None else ModelName(name=champion.name, model_id=champion.model_id),
            metrics=judgement.labels,
            refusals=judgement.refusals,
        )
    )
