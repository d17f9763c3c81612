"""The same cohort, training and judging code on a research archive, without a store: `retrain --archive`, `cross-validate`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ecgfm.config import EncoderConfig
from ecgfm.finetuning.candidate import Model, Place, random_from
from ecgfm.finetuning.train import FineTuning, Method
from ecgfm_clinical import wiring
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.learning import planning
from ecgfm_clinical.learning.cohort.archive import CLASSES, Archive, diagnostic_classes
from ecgfm_clinical.learning.cohort.building import CohortRules, build
from ecgfm_clinical.learning.cohort.labelling import Given, Labelling
from ecgfm_clinical.learning.cohort.sources import Reasons
from ecgfm_clinical.learning.experiment import Plan, Progress, Retrained, quiet, retrain
from ecgfm_clinical.learning.judging.cross_validation import CrossValidation
from ecgfm_clinical.learning.runs import begin, write_json
from ecgfm_clinical.settings import HeadRules

#: Sizes of encoders with random weights: the published one, and one that trains on a laptop.
RANDOM = {
    "random-base": EncoderConfig(),
    "random-small": EncoderConfig(
        conv_layers=((64, 2, 2),) * 4,
        width=128,
        layers=4,
        ffn_width=512,
        heads=4,
        conv_pos_kernel=64,
    ),
}
#: In research data everything that can be read counts; only what would crash the network is left out.
RULES = HeadRules(min_age=None, paced="score", allow=("noise", "clipped-lead", "amplitude-implausible"))


def labelling(archive: Archive, head: str, columns: Sequence[str], classes: Path | None) -> Labelling:
    """Labels from columns, from PTB-XL's diagnostic classes, or from coded statements. Raises InputError."""
    if classes is None:
        return planning.table_labelling(archive, head, columns)
    return Given(
        table=diagnostic_classes(archive, classes),
        labels=CLASSES,
        source=classes.name,
        meaning="A diagnostic superclass of PTB-XL, from any of its SCP statements.",
    )


def retrain_archive(
    head: str,
    *,
    archive: Path,
    table: Path | None,
    columns: Sequence[str],
    classes: Path | None,
    base: str,
    out: Path | None,
    method: Method,
    fine_tuning: FineTuning,
    seed: int,
    now: datetime,
    progress: Progress,
) -> Retrained | None:
    """Train and judge a head on an archive; nothing is registered. Raises InputError, LearningError, TrainingError.

    None in all but the first of several processes that torchrun started.
    """
    if table is None or out is None:
        raise InputError("--archive needs --table (a row for each recording) and --out (a folder for what comes of it)")
    source = Archive.open(archive, table)
    labels = labelling(source, head, columns, classes)
    bundle = planning.read_bundle(wiring.demo_bundle() if base == "demo" else Path(base))
    plan = Plan(
        head=head,
        labelling=labels,
        method=method,
        cohort=CohortRules(min_age=None, serial="all"),
        evaluability=RULES,
        fine_tuning=replace(fine_tuning, seed=seed),
        site=f"archive {source.table.name}",
        code_version=wiring.program_version(),
        seed=seed,
    )
    team = plan.team()
    asked = planning.options(head, method, bundle, labels, plan)
    run = team.share(lambda: begin(out / "runs", asked, now=now)) if team else begin(out / "runs", asked, now=now)
    done = retrain(
        plan,
        source,
        base=bundle,
        champion=None,
        run=run,
        bundles=out / "bundles",
        place=_place(out, progress),
        team=team,
        progress=progress if team is None or team.first else quiet,
    )
    if done is None:
        return None
    run.finish({"model_id": done.bundle.model_id})
    return done


def cross_validate_archive(
    *,
    archive: Path,
    table: Path,
    columns: Sequence[str],
    classes: Path | None,
    base: str,
    out: Path,
    method: Method,
    fine_tuning: FineTuning,
    folds: int,
    seed: int,
    now: datetime,
    progress: Progress,
) -> dict[str, Any]:
    """Out-of-fold AUROC per label; also written to `out`. Raises InputError, LearningError, TrainingError."""
    source = Archive.open(archive, table)
    cohort = build(
        source.rows(),
        labelling(source, "interpretation", columns, classes),
        CohortRules(min_age=None, serial="all"),
        now=now,
        evaluable=Reasons(source=source, rules=RULES),
    )
    name = f"{base.replace('/', '-').strip('-')}-{method}"
    validation = CrossValidation(
        cohort=cohort,
        source=source,
        model=_model(base, seed),
        place=_place(out, progress),
        method=method,
        fine_tuning=replace(fine_tuning, seed=seed),
        folds=folds,
        runs=out / "runs" / name,
    )
    told = validation.run(lambda text: progress(text, 0, 1))
    told |= {"from": base, "method": method, "folds": folds, "seed": seed, "cohort": cohort.to_json()}
    write_json(out / f"{name}.json", told)
    return told


def _model(base: str, seed: int) -> Model:
    if base in RANDOM:
        return random_from(RANDOM[base], seed=seed)
    return Model.of(planning.read_bundle(wiring.demo_bundle() if base == "demo" else Path(base)))


def _place(out: Path, progress: Progress) -> Place:
    return Place(cache=out / "embeddings", progress=lambda done, total: progress("embedding", done, total))
