"""Heads of one's own: `retrain`, `evaluate`, `drift`, and `cross-validate` for researchers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, console, opened, progress_console, write_json
from ecgfm_clinical.extras import need

if TYPE_CHECKING:
    from ecgfm.finetuning.settings import FineTuning
    from ecgfm_clinical.learning.judging.comparison import Judgement
    from ecgfm_clinical.learning.judging.cross_validation import CrossValidated
    from ecgfm_clinical.learning.training import Progress


class LabelsChoice(StrEnum):
    """What a head is judged against."""

    outcomes = "outcomes"
    cardiologists = "cardiologists"


class MethodChoice(StrEnum):
    """How a head is trained."""

    linear = "linear"
    full = "full"
    lora = "lora"


HeadArgument = Annotated[str, typer.Argument(help="reduced_lvef, troponin or interpretation; any name with --archive.")]
MethodOption = Annotated[
    MethodChoice,
    typer.Option(help="linear: a probe on kept embeddings, minutes; full: as published; lora: low-rank adapters."),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", help="Bundle folder, or registered model, to start from; the live one if not given."),
]
ArchiveOption = Annotated[
    Path | None, typer.Option(help="Folder of WFDB recordings to learn from instead of the store.")
]
TableOption = Annotated[Path | None, typer.Option(help="CSV or Parquet with a row for each recording of the archive.")]
LabelOption = Annotated[
    list[str] | None, typer.Option("--label", help="Column of the table that holds a label (0, 1).")
]
ClassesOption = Annotated[
    Path | None, typer.Option(help="PTB-XL's scp_statements.csv: learn its five diagnostic superclasses.")
]
EpochsOption = Annotated[int | None, typer.Option(min=1, help="Epochs of full or lora.")]
RateOption = Annotated[float | None, typer.Option(help="Learning rate of full or lora.")]
BatchOption = Annotated[int | None, typer.Option(min=1, help="Segments an update of full or lora.")]
PatienceOption = Annotated[
    int | None, typer.Option(min=1, help="Epochs without a better validation AUPRC before stopping.")
]
PrecisionOption = Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed.")]
SeedOption = Annotated[int, typer.Option(help="Of everything that is drawn.")]


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

    tuning = _fine_tuning(method, epochs, learning_rate, batch_size, patience, precision)
    if archive is not None:
        from ecgfm_clinical.learning.research import retrain_archive

        with _shown() as progress:
            done = retrain_archive(
                head,
                archive=archive,
                table=table,
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
        with opened(settings) as (read, store), _shown() as progress:
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

    with opened(settings) as (read, store), _shown() as progress:
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


def cross_validate(
    archive: Annotated[Path, typer.Option(help="Folder of WFDB recordings.")],
    table: Annotated[Path, typer.Option(help="CSV or Parquet with a row for each recording.")],
    out: Annotated[Path, typer.Option(help="Folder for results and kept embeddings.")],
    label: LabelOption = None,
    classes: ClassesOption = None,
    base: Annotated[
        str,
        typer.Option(
            "--from", help="Bundle folder; random-base or random-small for an encoder that has learnt nothing."
        ),
    ] = "demo",
    method: MethodOption = MethodChoice.linear,
    folds: Annotated[int, typer.Option(min=3, help="Of the patients; one judges, one chooses, the rest trains.")] = 5,
    epochs: EpochsOption = None,
    learning_rate: RateOption = None,
    batch_size: BatchOption = None,
    patience: PatienceOption = None,
    precision: PrecisionOption = None,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Patient-level cross-validation of a labelled archive: AUROC per label beside age+sex and a random forest."""
    need("train", "cross-validation")
    from ecgfm_clinical import wiring
    from ecgfm_clinical.learning.research import cross_validate_archive

    with _shown() as progress:
        found = cross_validate_archive(
            archive=archive,
            table=table,
            columns=label or (),
            classes=classes,
            base=base,
            out=out,
            method=method.value,
            fine_tuning=replace(
                _fine_tuning(method, epochs, learning_rate, batch_size, patience, precision), devices=1, nodes=1
            ),
            folds=folds,
            seed=seed,
            now=wiring.utc_now(),
            progress=progress,
        )
    if as_json:
        write_json(found.to_json())
        return
    _tell_cross_validation(found.figures)


def _fine_tuning(
    method: MethodChoice,
    epochs: int | None,
    learning_rate: float | None,
    batch_size: int | None,
    patience: int | None,
    precision: str | None,
) -> "FineTuning":
    """The published settings (or those of low-rank adapters) with what was said otherwise, on the devices that torchrun
    announces. Raises InputError."""
    import os

    from ecgfm.finetuning.settings import LOW_RANK, FineTuning
    from ecgfm_clinical.errors import InputError

    devices = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    start = LOW_RANK if method is MethodChoice.lora else FineTuning()
    if precision not in (None, "32-true", "bf16-mixed", "16-mixed"):
        raise InputError(f"--precision {precision} is none of 32-true, bf16-mixed, 16-mixed")
    said: dict[str, Any] = {
        "max_epochs": epochs,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "micro_batch": None if batch_size is None else min(batch_size, start.micro_batch),
        "patience": patience,
        "precision": precision,
        "devices": devices,
        "nodes": int(os.environ.get("WORLD_SIZE", "1")) // devices,
    }
    return replace(start, **{name: value for name, value in said.items() if value is not None})


@contextmanager
def _shown() -> "Iterator[Progress]":
    """A progress line on standard error: what is going on, and how far it is."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=progress_console(),
        transient=True,
    ) as bars:
        task = bars.add_task("starting", total=1)
        yield lambda what, done, total: bars.update(task, description=what, completed=done, total=max(total, 1))


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


def _tell_cross_validation(found: "CrossValidated") -> None:
    from rich.table import Table

    names = list(found.macro_auroc)
    shown = Table("label", "positives", *names)
    for label, own in found.labels.items():
        aurocs = [own.auroc[name] for name in names]
        cells = [f"{one.value:.3f} ({one.low:.3f}–{one.high:.3f})" for one in aurocs]
        shown.add_row(label, str(own.positives), *cells)
    shown.add_row("mean", "", *(f"{found.macro_auroc[name]:.3f}" for name in names))
    console().print(shown)


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


def demo_retrain(
    patients: Annotated[int, typer.Option(min=200, help="Invented patients; with few the gate may refuse.")] = 1000,
    out: Annotated[Path | None, typer.Option(help="Folder for everything; a new one if not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch the demo hospital train, judge and promote its own heads from ECGs,
    echoes and troponins that arrive as messages.

    Everything is simulated: outcomes are drawn by written rules from the same ECGs, so the figures are circular.
    """
    need("train", "the demo of retraining")
    import tempfile

    from ecgfm_clinical import log, wiring
    from ecgfm_clinical.demo.learning import hospital_in, learn, summary

    folder = (out or Path(tempfile.mkdtemp(prefix="ecgfm-demo-retrain-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log.setup((folder / "events.jsonl").open("a", buffering=1, encoding="utf-8"))
    with hospital_in(folder) as hospital, _shown() as progress:
        learnt = learn(hospital, patients, clock=wiring.utc_now, progress=progress)
    told = summary(learnt)
    if as_json:
        write_json(told)
    else:
        _tell_demo(told, learnt.before, learnt.after, folder)
    if not learnt.promoted:
        raise typer.Exit(1)


def _tell_demo(told: dict[str, Any], before: bytes, after: bytes, folder: Path) -> None:
    out = console()
    for head, own in told["heads"].items():
        auroc = own["auroc"]
        out.print(
            f"{head}: AUROC {auroc['value']:.3f} ({auroc['low']:.3f} to {auroc['high']:.3f}), {own['test_ecgs']} test "
            "ECGs"
        )
        for name, other in own["compared"].items():
            out.print(f"  {name}: {other['auroc']['value']:.3f}")
        for refusal in own["refusals"]:
            out.print(f"  refused: {refusal}", soft_wrap=True)
    for when, message in (("before", before), ("after", after)):
        out.print(f"\nA result {when} the promotion:", style="bold")
        for segment in message.decode("utf-8", "replace").split("\r"):
            if segment.startswith("OBX"):
                out.print(segment, soft_wrap=True)
    out.print(f"\n{told['note']}\n{folder}", soft_wrap=True)
