"""Heads of one's own: `retrain`, `evaluate` and `drift`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, console, opened, write_json
from ecgfm_clinical.cli.learning_options import (
    ArchiveOption,
    BatchOption,
    ClassesOption,
    EpochsOption,
    FromOption,
    HeadArgument,
    LabelOption,
    MethodChoice,
    MethodOption,
    OutcomesOption,
    PatienceOption,
    PrecisionOption,
    RateOption,
    SeedOption,
    TableOption,
    fine_tuning,
    shown_progress,
)
from ecgfm_clinical.extras import need

if TYPE_CHECKING:
    from ecgfm_clinical.learning.judging.comparison import Judgement


class LabelsChoice(StrEnum):
    """What a head is judged against."""

    outcomes = "outcomes"
    cardiologists = "cardiologists"


def retrain(
    head: HeadArgument,
    method: MethodOption = MethodChoice.linear,
    base: FromOption = None,
    epochs: EpochsOption = None,
    learning_rate: RateOption = None,
    batch_size: BatchOption = None,
    patience: PatienceOption = None,
    precision: PrecisionOption = None,
    seed: SeedOption = 1,
    archive: ArchiveOption = None,
    table: TableOption = None,
    outcomes: OutcomesOption = None,
    label: LabelOption = None,
    classes: ClassesOption = None,
    out: Annotated[Path | None, typer.Option(help="With --archive: folder for the bundle and the report.")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a head from the echo and laboratory results that came in by the listeners, judge it,
    register it as candidate.

    Stopped or killed, the same command goes on where it was. On several GPUs: `torchrun --nproc-per-node=2 --no-python
    ecgfm-clinical retrain HEAD --method full`. Exits with 1 where the gate refuses the candidate, which is
    registered all the same, with the reasons. `model promote` makes a candidate live.
    """
    need("train", "retraining")
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.learning.workshop import Workshop

    tuning = fine_tuning(method, epochs, learning_rate, batch_size, patience, precision)
    if archive is not None:
        from ecgfm_clinical.learning.research import retrain_archive

        with shown_progress() as progress:
            done = retrain_archive(
                head,
                archive=archive,
                table=table,
                outcomes=outcomes,
                columns=label or (),
                classes=classes,
                base=base or "demo",
                out=out,
                method=method.value,
                fine_tuning=tuning,
                seed=seed,
                now=wiring.utc_now(),
                progress=progress,
            )
    else:
        with opened(settings) as (read, store), shown_progress() as progress:
            workshop = Workshop(
                settings=read,
                store=store,
                actor=liveness.operator(read.site.operator),
                clock=wiring.utc_now,
                progress=progress,
            )
            done = workshop.retrain(head, method=method.value, base=base, fine_tuning=tuning, seed=seed)
    if done is not None:  # None: this process has helped another to train
        _tell(done.bundle.model_id, str(done.bundle.path), done.judgement, done.report, as_json)


def evaluate(
    head: Annotated[str, typer.Argument(help="reduced_lvef, troponin or interpretation.")],
    model: Annotated[
        str | None, typer.Option(help="Bundle folder or registered model; the live one if not given.")
    ] = None,
    labels: Annotated[
        LabelsChoice,
        typer.Option(
            help="outcomes: what came in by the listeners; cardiologists: what they said of answers in the console."
        ),
    ] = LabelsChoice.outcomes,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a model on the test patients known today, against the live one and both baselines, and write the report.

    Exits with 1 where the gate refuses. Cardiologists saw the answers that they judged: what is found by their words is
    written into the report alone, and is no evidence for `model promote`.
    """
    need("train", "judging a head")
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.learning.workshop import Workshop

    with opened(settings) as (read, store), shown_progress() as progress:
        workshop = Workshop(
            settings=read,
            store=store,
            actor=liveness.operator(read.site.operator),
            clock=wiring.utc_now,
            progress=progress,
        )
        done = workshop.evaluate(head, model=model, by_cardiologists=labels is LabelsChoice.cardiologists)
    is_evidence = labels is LabelsChoice.outcomes
    _tell(done.bundle.model_id, str(done.bundle.path), done.judgement, done.report, as_json, is_evidence=is_evidence)


def _tell(
    model_id: str, path: str, judgement: "Judgement", report: Path, as_json: bool, *, is_evidence: bool = True
) -> None:
    if as_json:
        write_json(
            {
                "model_id": model_id,
                "bundle": path,
                "report": str(report),
                "passed": not judgement.refusals,
                "refusals": list(judgement.refusals),
                "labels": {
                    label: {
                        "metrics": {name: found.to_json() for name, found in own.metrics.items()},
                        "positives": own.positives,
                        "ecgs": own.ecgs,
                    }
                    for label, own in judgement.labels.items()
                },
            }
        )
    else:
        _print(model_id, path, judgement, report, is_evidence=is_evidence)
    if judgement.refusals:
        raise typer.Exit(1)


def _print(model_id: str, path: str, judgement: "Judgement", report: Path, *, is_evidence: bool) -> None:
    from ecgfm_clinical.learning.judging.judgement import interval_text

    out = console()
    for label, own in judgement.labels.items():
        auroc = interval_text(own.metrics["auroc"])
        out.print(f"{label}: AUROC {auroc} on {own.ecgs} test ECGs, {own.positives} positive")
        for name, other in own.compared.items():
            out.print(f"  {name}: {other.auroc.value:.3f}")
    out.print(f"model     {model_id}\nbundle    {path}\nreport    {report}", soft_wrap=True)
    if not is_evidence:
        out.print("Judged by cardiologists who had seen the answers: no evidence for the gate, nothing was registered")
    if judgement.refusals:
        out.print("The gate refuses:" if is_evidence else "By outcomes the gate would refuse:")
        for reason in judgement.refusals:
            out.print(f"  {reason}", soft_wrap=True)
    elif is_evidence:
        out.print(f"The gate passes; `ecgfm-clinical model promote {model_id[:12]}` makes it live")


def drift(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Compare inputs, scores and, where outcomes are known, performance with the time the live model was made on.

    Exits with 1 where there are findings; `status` shows them until the next report.
    """
    need("train", "looking for drift")
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.learning.documents import plain
    from ecgfm_clinical.learning.drift.watch import watch
    from ecgfm_clinical.learning.workshop import Workshop

    with opened(settings) as (read, store):
        done = watch(
            Workshop(settings=read, store=store, actor=liveness.operator(read.site.operator), clock=wiring.utc_now)
        )
    if as_json:
        write_json(plain(done.told))
    else:
        for finding in done.told.findings:
            console().print(f"{finding.month}: {finding.text}", soft_wrap=True)
        console().print(f"{len(done.told.findings)} findings; report {done.report}", soft_wrap=True)
    if done.told.findings:
        raise typer.Exit(1)
