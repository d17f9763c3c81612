"""Settings and command-line choices become a `Plan`: which outcomes, which rules, which base model, where things lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ecgfm.calibration import OperatingRule
from ecgfm.checkpoint import Bundle
from ecgfm.errors import EcgFmError
from ecgfm.finetuning.train import LOW_RANK, FineTuning, Method
from ecgfm_clinical import wiring
from ecgfm_clinical.errors import InputError, ModelError, NotFound
from ecgfm_clinical.learning import governance
from ecgfm_clinical.learning.cohort.archive import Archive
from ecgfm_clinical.learning.cohort.building import CohortRules
from ecgfm_clinical.learning.cohort.labelling import Given, Labelling, RaisedTroponin, ReducedLvef, usable
from ecgfm_clinical.learning.cohort.measurements import AssayLimit
from ecgfm_clinical.learning.cohort.sources import StoreSource
from ecgfm_clinical.learning.cohort.statements import Statements
from ecgfm_clinical.learning.experiment import Plan
from ecgfm_clinical.learning.judging.gate import GateRules
from ecgfm_clinical.settings import Learning, OperatingPoint, Settings
from ecgfm_clinical.staging.cohort_rows import OutcomeKind
from ecgfm_clinical.staging.registry import ModelRow, Registry

HEADS = ("reduced_lvef", "troponin", "interpretation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where learning keeps its things."""

    root: Path

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        return self.root / "embeddings"


def folders(settings: Settings) -> Folders:
    return Folders(root=settings.resolve(settings.learning.folder))


def labelling(
    head: str, learning: Learning, source: StoreSource, *, now: datetime
) -> tuple[Labelling, Mapping[str, int]]:
    """What the head learns from the store's outcomes, and how many outcomes were left out. Raises InputError."""
    if head == "reduced_lvef":
        outcomes, left_out = usable(source.outcomes("lvef"), now=now)
        rules = learning.lvef
        return (
            ReducedLvef(outcomes=outcomes, threshold=float(rules.threshold), window=timedelta(days=rules.window_days)),
            left_out,
        )
    if head == "troponin":
        outcomes, left_out = usable(source.outcomes("troponin"), now=now)
        return _troponin(learning, outcomes), left_out
    if head == "interpretation":
        return Statements(), {}
    raise InputError(
        f"no rules for a head {head!r} from the store; it knows {', '.join(HEADS)}, others come from a table"
    )


def _troponin(learning: Learning, outcomes: Any) -> RaisedTroponin:
    rules = learning.troponin
    return RaisedTroponin(
        outcomes=outcomes,
        limits=tuple(AssayLimit(assay=one.assay, limit=one.limit, unit=one.unit, sex=one.sex) for one in rules.assays),
        select=rules.select,
        before=timedelta(hours=rules.hours_before),
        after=timedelta(hours=rules.hours_after),
        drop_after_peak=rules.drop_after_peak,
    )


def outcome_kind(head: str) -> OutcomeKind | None:
    """The kind of outcome that belongs to a head; None where its labels come from elsewhere."""
    return {"reduced_lvef": "lvef", "troponin": "troponin"}.get(head)  # type: ignore[return-value]  # literals both


def table_labelling(archive: Archive, head: str, columns: Sequence[str]) -> Labelling:
    """Labels of a research table: named columns, or, for `interpretation`, its coded statements. Raises InputError."""
    if columns:
        return Given(
            table=archive.labels(columns),
            labels=tuple(columns),
            source=archive.table.name,
            meaning=f"As given in the columns {', '.join(columns)} of {archive.table.name}.",
        )
    if head == "interpretation":
        return Statements()
    raise InputError("name the columns that hold the labels with --label; only `interpretation` needs none")


def plan(
    head: str,
    labels: Labelling,
    settings: Settings,
    *,
    method: Method,
    fine_tuning: FineTuning | None = None,
    note: str = "",
    seed: int = 0,
    replicates: int = 1000,
) -> Plan:
    """The plan that the settings describe for this head."""
    learning, rules = settings.learning, settings.rules(head)
    tuning = fine_tuning or (LOW_RANK if method == "lora" else FineTuning())
    return Plan(
        head=head,
        labelling=labels,
        method=method,
        cohort=CohortRules(
            min_age=rules.min_age,
            max_age=rules.max_age,
            serial=learning.serial,
            drop_if_outcome_first=learning.drop_if_outcome_first,
        ),
        evaluability=rules,
        fine_tuning=replace(
            tuning, seed=seed, device=settings.model.device if tuning.device == "auto" else tuning.device
        ),
        calibration=learning.calibration,
        operating_point=operating_rule(learning.operating_point(head)),
        site_operating_points={
            site: operating_rule(point) for site, point in learning.operating_points_by_site(head).items()
        },
        gate=gate_rules(learning),
        site=settings.site.name,
        code_version=wiring.program_version(),
        note=note,
        replicates=replicates,
        seed=seed,
    )


def operating_rule(point: OperatingPoint) -> OperatingRule:
    return OperatingRule(what=point.what, at_least=point.at_least, prevalence=point.prevalence)


def gate_rules(learning: Learning) -> GateRules:
    return GateRules(**learning.gate.model_dump())


def options(head: str, method: str, base: Bundle, labels: Labelling, made: Plan) -> dict[str, Any]:
    """What makes two runs the same run: everything asked for, nothing of when."""
    return {
        "head": head,
        "method": method,
        "base": base.model_id,
        "labelling": labels.to_json(),
        "cohort": repr(made.cohort),
        "evaluability": made.evaluability.model_dump(),
        "fine_tuning": repr(made.fine_tuning) if method != "linear" else "",
        "calibration": made.calibration,
        "operating_point": str(made.operating_point),
        "site_operating_points": {site: str(rule) for site, rule in made.site_operating_points.items()},
        "gate": repr(made.gate),
        "seed": made.seed,
    }


# --- models -----------------------------------------------------------------------------------------------------------


def live_model(settings: Settings, registry: Registry, *, now: datetime, actor: str) -> ModelRow:
    """The model that scores; the settings' own is installed where none is live yet. Raises ModelError, GateRefused."""
    bundle = read_bundle(wiring.bundle_path(settings))
    registry.install(governance.model_row(bundle, path=settings.model.bundle, now=now), now=now, actor=actor)
    live = registry.live()
    assert live is not None, "the settings' model was installed where there was none"
    return live


def opened(settings: Settings, row: ModelRow) -> Bundle:
    """The bundle of a registered model. Raises ModelError."""
    return governance.open_bundle(row, wiring.bundle_path(settings, row.path))


def chosen(settings: Settings, registry: Registry, name: str) -> Bundle:
    """A bundle by its folder, or a registered model by name or id. Raises ModelError, NotFound."""
    if name == "demo" or (Path(name) / "bundle.json").is_file():
        return read_bundle(wiring.demo_bundle() if name == "demo" else Path(name))
    try:
        return opened(settings, registry.find(name))
    except NotFound as error:
        raise NotFound(
            f"{name!r} is neither a bundle folder nor a registered model; `ecgfm-clinical model list`"
        ) from error


def read_bundle(path: Path) -> Bundle:
    """Raises ModelError."""
    try:
        return Bundle.read(path)
    except EcgFmError as error:
        raise ModelError(str(error)) from error


def registered_path(settings: Settings, bundle: Bundle) -> str:
    """The bundle's folder as model.bundle would name it: relative to the settings where it lies below them."""
    path = bundle.path.resolve()
    if path == wiring.demo_bundle().resolve():
        return "demo"
    folder = settings.folder.resolve()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
