"""Settings and command-line choices become a `Plan`: which outcomes, which rules, where things lie."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from ecgfm.finetuning.settings import LOW_RANK, FineTuning, Method
from ecgfm.rivals.scratch import Scratch
from ecgfm.version import version
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.learning.cohort.archive import Archive
from ecgfm_clinical.learning.cohort.labelling import Given, Labelling, Measurement, RaisedTroponin, ReducedLvef
from ecgfm_clinical.learning.cohort.members import CohortRules
from ecgfm_clinical.learning.cohort.mortality import Mortality
from ecgfm_clinical.learning.cohort.statements import Statements
from ecgfm_clinical.learning.folders import Folders
from ecgfm_clinical.learning.judging.rivals import Rivals
from ecgfm_clinical.learning.plan import Plan
from ecgfm_clinical.learning.training import Training
from ecgfm_clinical.settings import HeadLabels, Learning, RivalRules, Settings, TroponinLabels
from ecgfm_connectors.decision import DEATH

#: For choosing the method where nobody says how long: with the trainings that follow, the whole of a `retrain` but its
#: rivals.
BUDGET_SECONDS = 15 * 60.0
HEADS = ("reduced_lvef", "troponin", "interpretation")


def folders(settings: Settings) -> Folders:
    return Folders(root=settings.resolve(settings.learning.folder))


def labelling(head: str, learning: Learning) -> Labelling:
    """What the head learns from the store's outcomes. Raises InputError."""
    if head == "reduced_lvef":
        lvef = learning.lvef
        return ReducedLvef(threshold=float(lvef.threshold), window=timedelta(days=lvef.window_days))
    if head == "troponin":
        return _troponin(learning.troponin)
    if head == "interpretation":
        return Statements()
    declared = next((one for one in learning.heads if one.name == head), None)
    if declared is not None and declared.kind == DEATH:
        return Mortality(name=declared.name, target=declared.target, window=timedelta(days=declared.days))
    if declared is not None:
        return _measurement(declared)
    raise InputError(
        f"no rules for a head {head!r} from the store; it knows {', '.join(heads(learning))}, others are declared in "
        "[[learning.heads]] or come from a table"
    )


def heads(learning: Learning) -> tuple[str, ...]:
    """The heads that learn from what a store holds: the program's own, and those that the settings declare."""
    return (*HEADS, *(one.name for one in learning.heads))


#: Between 0 and 1, as a finding that is absent or there is kept.
FOUND = 0.5


def _measurement(rules: HeadLabels) -> Measurement:
    return Measurement(
        name=rules.name,
        target=rules.target,
        outcome_kind=rules.kind,
        threshold=FOUND if rules.threshold is None else rules.threshold,
        above=rules.positive == "above",
        before=timedelta(hours=rules.hours_before),
        after=timedelta(hours=rules.hours_after),
        select=rules.select,
    )


def _troponin(rules: TroponinLabels) -> RaisedTroponin:
    return RaisedTroponin(
        limits=rules.assays,
        select=rules.select,
        before=timedelta(hours=rules.hours_before),
        after=timedelta(hours=rules.hours_after),
        drop_after_peak=rules.drop_after_peak,
    )


def table_labelling(archive: Archive, head: str, columns: Sequence[str], learning: Learning) -> Labelling:
    """Labels of a research archive: named columns; for `interpretation` its statements, for every other head that
    learns from results, those of the settings among them, its table of measured outcomes. Raises InputError.
    """
    if columns:
        return Given(
            table=archive.labels(columns),
            labels=tuple(columns),
            source=archive.table.name,
            meaning=f"As given in the columns {', '.join(columns)} of {archive.table.name}.",
        )
    if head == "interpretation" or (archive.measured is not None and head in heads(learning)):
        return labelling(head, learning)
    measured = ", ".join(one for one in heads(learning) if one != "interpretation")
    raise InputError(
        "name the columns that hold the labels with --label; only `interpretation` needs none, and, with --outcomes, "
        f"the heads that learn from measured results: {measured}, and those that [[learning.heads]] of --settings "
        "declares"
    )


def plan(
    head: str,
    labels: Labelling,
    settings: Settings,
    *,
    method: Method | Literal["auto"],
    fine_tuning: FineTuning | None = None,
    budget_seconds: float = BUDGET_SECONDS,
    encoders: tuple[Path, ...] = (),
    note: str = "",
    seed: int = 0,
    replicates: int = 1000,
) -> Plan:
    """The plan that the settings describe for this head; `encoders`: ONNX files to judge it beside; `budget_seconds`:
    for choosing the method, where it is auto.
    """
    learning, rules = settings.learning, settings.rules(head)
    tuning = fine_tuning or (LOW_RANK if method == "lora" else FineTuning())
    device = settings.model.kind if tuning.device == "auto" else tuning.device
    return Plan(
        head=head,
        labelling=labels,
        training=Training(
            method="linear" if method == "auto" else method, fine_tuning=replace(tuning, seed=seed, device=device)
        ),
        budget_seconds=budget_seconds if method == "auto" else None,
        cohort=CohortRules(
            min_age=rules.min_age,
            max_age=rules.max_age,
            serial=learning.serial,
            drop_if_outcome_first=learning.drop_if_outcome_first,
        ),
        evaluability=rules,
        calibration=learning.calibration,
        calibration_folds=learning.calibration_folds,
        operating_point=learning.operating_point(head),
        site_operating_points=learning.operating_points_by_site(head),
        gate=learning.gate,
        rivals=_rivals(learning.rivals, encoders, seed),
        site=settings.site.name,
        code_version=version(),
        note=note,
        replicates=replicates,
        seed=seed,
    )


def _rivals(rules: RivalRules, encoders: tuple[Path, ...], seed: int) -> Rivals:
    size = Scratch(
        cnn_width=rules.convolutional_width,
        s4d_width=rules.state_space_width,
        s4d_depth=rules.state_space_depth,
        epochs=rules.epochs,
        seed=seed,
    )
    return Rivals(beside=rules.beside, size=size, encoders=encoders)
