"""`retrain`: from the rows of a source to a judged candidate in the registry, every step written down.

Nothing is registered unless everything before it went well; a run that was killed goes on where it was.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ecgfm.calibration import NoOperatingPoint, OperatingRule
from ecgfm.checkpoint import Bundle
from ecgfm.errors import TrainingError
from ecgfm.finetuning import candidate as models
from ecgfm.finetuning.candidate import CalibrationMethod, Model, Place
from ecgfm.finetuning.embedding import embed
from ecgfm.finetuning.train import FineTuning, Method, Split, Trained, fine_tune, launch, train_linear
from ecgfm.heads import INTERPRETATION, HeadSpec
from ecgfm.training.team import Team
from ecgfm_clinical.errors import InputError, LearningError
from ecgfm_clinical.learning.cohort.building import SPLITS, Cohort, CohortRules, Member, build
from ecgfm_clinical.learning.cohort.labelling import Labelling
from ecgfm_clinical.learning.cohort.sources import EcgSource, Reasons, Signals
from ecgfm_clinical.learning.judging.comparison import Judge, Judgement
from ecgfm_clinical.learning.judging.gate import GateRules
from ecgfm_clinical.learning.report import page as report
from ecgfm_clinical.learning.runs import Run, write_json
from ecgfm_clinical.settings import HeadRules

#: What a threshold is chosen by where a site says nothing.
DEFAULT_RULE = OperatingRule(what="sensitivity", at_least=0.9)

#: Positive and negative ECGs of a label that each split needs before anything is trained.
LEAST: Mapping[str, int] = {"train": 20, "validation": 5, "test": 5}

Progress = Callable[[str, int, int], None]  #: (what, done, in all)


def quiet(what: str, done: int, total: int) -> None:
    """No progress shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides what comes out of a retraining, besides the ECGs."""

    head: str
    labelling: Labelling = field(repr=False)
    method: Method = "linear"
    cohort: CohortRules = field(default_factory=CohortRules)
    evaluability: HeadRules = field(default_factory=HeadRules)
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    calibration: CalibrationMethod = "platt"
    operating_point: OperatingRule = field(default=DEFAULT_RULE)
    site_operating_points: Mapping[str, OperatingRule] = field(
        default_factory=dict
    )  #: of sites with a rule of their own
    gate: GateRules = field(default_factory=GateRules)
    site: str = ""
    code_version: str = ""
    note: str = ""  #: what every reader of the numbers must know, such as that outcomes are simulated
    replicates: int = 1000
    seed: int = 0

    def team(self) -> Team | None:
        """The processes that torchrun started for this plan, met; None for a linear probe, which one process fits.

        Raises InputError where several were started for nothing, and as `ecgfm.finetuning.train.launch`.
        """
        if self.method != "linear":
            return launch(self.fine_tuning)
        if self.fine_tuning.devices * self.fine_tuning.nodes > 1:
            raise InputError("a linear probe is fitted by one process; start it without torchrun and --devices")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """What came out: a bundle on disk, its judgement, its report."""

    bundle: Bundle
    cohort: Cohort = field(repr=False)
    judgement: Judgement
    report: Path


def retrain(
    plan: Plan,
    source: EcgSource,
    *,
    base: Bundle,
    champion: Bundle | None,
    run: Run,
    bundles: Path,
    place: Place,
    team: Team | None = None,
    outcomes_left_out: Mapping[str, int] | None = None,
    progress: Progress = quiet,
) -> Retrained | None:
    """Train, calibrate, judge and write one candidate; the registry is the caller's.

    Of several processes that train together (`team`) only the first does more than that: the others return None.

    Raises LearningError (too few of either kind, no operating point), TrainingError (interrupted, disk full), BundleError.
    """
    progress("cohort", 0, 1)
    cohort = build(
        source.rows(),
        plan.labelling,
        plan.cohort,
        now=run.as_of,
        evaluable=Reasons(source=source, rules=plan.evaluability),
        outcomes_left_out=dict(outcomes_left_out or {}),
    )
    if team is None or team.first:
        write_json(run.folder / "cohort.json", cohort.to_json())
        report.draw_flow(cohort.to_json(), run.folder / "cohort.svg")
    cohort = learnable(cohort)
    model = Model.of(base)
    trained = _train(plan, model, cohort, source, run, place, team, progress)
    if team is not None and not team.first:
        return None
    finished, chosen_on = _finished(plan, cohort, model, trained, source, place)
    progress("judging", 0, 1)
    judge = Judge(cohort=cohort, source=source, place=place, gate=plan.gate, replicates=plan.replicates, seed=plan.seed)
    against = None if champion is None else model if champion.model_id == base.model_id else Model.of(champion)
    judgement = judge.compare(finished, against, plan.head)
    provenance = _provenance(plan, base, champion, cohort, trained, judgement, chosen_on, run)
    kept = {spec.name for spec in finished.specs}
    provenance["heads"] = {name: own for name, own in provenance["heads"].items() if name in kept}
    folder = bundles / run.folder.name
    if folder.exists():  # written before a kill: a bundle is whole or not there, so it is this run's result
        bundle = Bundle.read(folder)
    else:
        bundle = models.write(
            finished,
            folder,
            name=base.name if len(finished.specs) > 1 else f"{base.name} {plan.head}",
            version=f"{plan.head} {run.as_of:%Y-%m-%d %H:%M:%S}",
            demo=base.demo,
            provenance=provenance,
        )
    told = report.document(
        head=plan.head,
        candidate=bundle,
        champion=champion,
        cohort=cohort.to_json(),
        judged=judgement.labels,
        refusals=judgement.refusals,
        site=plan.site,
        note=plan.note,
        as_of=run.as_of,
        training=provenance["heads"][plan.head],
    )
    path = report.write(told, run.folder)
    return Retrained(bundle=bundle, cohort=cohort, judgement=judgement, report=path)


def learnable(cohort: Cohort) -> Cohort:
    """The cohort with only those labels of which every split has enough of both kinds. Raises LearningError for none."""
    counts = cohort.to_json()["splits"]
    problems = {label: _shortage(counts, label) for label in cohort.labels}
    kept = [label for label in cohort.labels if not problems[label]]
    if not kept:
        raise LearningError(
            "; ".join(f"{label}: {problem}" for label, problem in problems.items())
            + ". Collect more outcomes, or widen the window; the flow of exclusions is in cohort.json"
        )
    if len(kept) == len(cohort.labels):
        return cohort
    columns = [cohort.labels.index(label) for label in kept]
    members = tuple(_with_columns(member, columns) for member in cohort.members)
    known = tuple(member for member in members if not all(math.isnan(value) for value in member.example.labels))
    left_out = {label: problem for label, problem in problems.items() if problem}
    return replace(cohort, labels=tuple(kept), members=known, rules={**cohort.rules, "labels_left_out": left_out})


def _shortage(counts: Mapping[str, Any], label: str) -> str:
    for split in SPLITS:
        positives, negatives = counts[split]["positives"][label], counts[split]["negatives"][label]
        if min(positives, negatives) < LEAST[split]:
            return f"{positives} positive and {negatives} negative {split} ECGs, {LEAST[split]} of each needed"
    return ""


def _with_columns(member: Member, columns: list[int]) -> Member:
    labels = tuple(member.example.labels[column] for column in columns)
    return replace(member, example=replace(member.example, labels=labels))


def head_spec(head: str, labels: tuple[str, ...], target: str) -> HeadSpec:
    """A head of these labels; the interpretation labels keep their own aggregation, all others are averaged."""
    how = INTERPRETATION.aggregation if head == INTERPRETATION.name else {}
    return HeadSpec(
        name=head, labels=labels, target=target, aggregation={label: how.get(label, "mean") for label in labels}
    )


def _train(
    plan: Plan,
    model: Model,
    cohort: Cohort,
    source: EcgSource,
    run: Run,
    place: Place,
    team: Team | None,
    progress: Progress,
) -> Trained:
    spec = head_spec(plan.head, cohort.labels, plan.labelling.target)
    split = Split(train=cohort.examples("train"), validation=cohort.examples("validation"))
    read = Signals(source=source)
    if plan.method == "linear":
        rows = [
            embed(
                model.network,
                part,
                read,
                cache=place.cache,
                device=place.device,
                progress=lambda done, total: progress("embedding", done, total),
            )
            for part in (split.train, split.validation)
        ]
        progress("fitting", 0, 1)
        return train_linear(model.network, spec, split, (rows[0], rows[1]))
    return fine_tune(
        model.network,
        spec,
        split,
        read,
        replace(plan.fine_tuning, method=plan.method),
        folder=run.folder,
        team=team,
        progress=lambda done, total, text: progress(f"training, {text}", done, total),
    )


def _finished(
    plan: Plan, cohort: Cohort, base: Model, trained: Trained, source: EcgSource, place: Place
) -> tuple[Model, dict[str, str]]:
    """The trained head calibrated and with its operating points, joined with what stays of the base; and per site with a
    rule of its own, on which ECGs its point was chosen."""
    raw = Model(network=trained.network, specs=trained.network.specs, origin="candidate")
    validation = cohort.examples("validation")
    sites = [member.row.site for member in cohort.of("validation")]
    logits = models.segment_logits(raw, plan.head, validation, Signals(source=source), place)
    try:
        spec = models.calibrated(raw.spec(plan.head), validation, logits, plan.calibration)
        spec = models.with_operating_points(spec, validation, logits, plan.operating_point)
        spec, chosen_on = models.with_site_operating_points(
            spec, validation, logits, sites, plan.site_operating_points, least=LEAST["validation"]
        )
    except NoOperatingPoint as error:
        raise LearningError(f"{plan.head}: {error}; ask for less in [learning.operating_points.{plan.head}]") from error
    except ValueError as error:
        raise TrainingError(f"{plan.head} cannot be calibrated: {error}") from error
    return models.joined(base, trained.network, spec), chosen_on


def _provenance(
    plan: Plan,
    base: Bundle,
    champion: Bundle | None,
    cohort: Cohort,
    trained: Trained,
    judgement: Judgement,
    chosen_on: Mapping[str, str],
    run: Run,
) -> dict[str, Any]:
    """What made the bundle; nothing in it leads back to a patient."""
    flow = cohort.to_json()
    told = {
        "head": plan.head,
        "training": trained.record,
        "as_of": run.as_of.isoformat(),
        "site": plan.site,
        "note": plan.note,
        "code_version": plan.code_version,
        "cohort": flow,
        "evaluability": plan.evaluability.model_dump(),
        "calibration": {"method": plan.calibration, "fitted_on": "validation"},
        "operating_point": {**asdict(plan.operating_point), "chosen_on": "validation", "site": plan.site},
        "site_operating_points": {
            site: {**asdict(rule), "chosen_on": chosen_on[site]} for site, rule in plan.site_operating_points.items()
        },
        "gate": asdict(plan.gate),
        "seed": plan.seed,
        "champion": None if champion is None else {"name": champion.name, "model_id": champion.model_id},
        "metrics": {label: _summary(own) for label, own in judgement.labels.items()},
        "refusals": list(judgement.refusals),
    }
    earlier = base.provenance
    parent = {"name": base.name, "version": base.version, "model_id": base.model_id}
    return {
        "heads": {**earlier.get("heads", {}), plan.head: told},
        "lineage": [*earlier.get("lineage", []), parent],
        "origin": earlier.get("origin", dict(earlier)),
    }


def _summary(judged: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a judgement without its curves."""
    kept = ("ecgs", "patients", "positives", "negatives", "prevalence", "threshold", "metrics", "replicates")
    return {name: judged[name] for name in kept} | {
        "compared": {
            name: {"auroc": other["auroc"], "difference": other["difference"], "delong_p": other["delong_p"]}
            for name, other in judged["compared"].items()
        },
        "subgroups": judged["subgroups"],
    }
