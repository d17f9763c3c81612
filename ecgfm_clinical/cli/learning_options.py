"""What the commands that train heads share: their options, the settings of fine-tuning and a progress line."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import progress_console
from ecgfm_clinical.cli.signs import HANGS_AFTER, alarmed

if TYPE_CHECKING:
    from ecgfm.finetuning.settings import FineTuning
    from ecgfm.training.team import Precision
    from ecgfm_clinical.learning.training import Progress


class MethodChoice(StrEnum):
    """How a head is trained."""

    linear = "linear"
    full = "full"
    lora = "lora"


class RetrainMethod(StrEnum):
    """The same, or chosen by cross-validation."""

    auto = "auto"
    linear = "linear"
    full = "full"
    lora = "lora"


HeadArgument = Annotated[str, typer.Argument(help="reduced_lvef, troponin or interpretation; any name with --archive.")]
MethodOption = Annotated[
    MethodChoice,
    typer.Option(help="linear: a probe on kept embeddings, minutes; full: as published; lora: low-rank adapters."),
]
RetrainMethodOption = Annotated[
    RetrainMethod,
    typer.Option(
        help="auto: whichever of these cross-validation inside the training patients finds worth its cost; linear: a "
        "probe on kept embeddings, minutes; full: as published; lora: low-rank adapters."
    ),
]
BudgetOption = Annotated[
    float | None,
    typer.Option(
        min=0.01, help="Minutes that auto may take, with the trainings that follow; what would not fit is skipped. 15."
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", help="Bundle folder, or registered model, to start from; the live one if not given."),
]
ArchiveOption = Annotated[
    Path | None, typer.Option(help="Folder of WFDB recordings to learn from instead of the store.")
]
TableOption = Annotated[Path | None, typer.Option(help="CSV or Parquet with a row for each recording of the archive.")]
OutcomesOption = Annotated[
    Path | None,
    typer.Option(
        help="CSV or Parquet of measured outcomes of the archive's patients, as `ingest` takes it and `dataset "
        "outcomes` writes it."
    ),
]
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
AdaptOption = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="First let the encoder learn on from this site's own ECGs, without labels and without test patients; the "
        "last adaptation is used again.",
    ),
]
AdaptAgainOption = Annotated[bool, typer.Option("--adapt-again", help="Adapt anew although there is an adaptation.")]
AdaptHoursOption = Annotated[float | None, typer.Option(min=0.01, help="End an adaptation after so many hours.")]
AdaptUpdatesOption = Annotated[
    int | None, typer.Option(min=1, help="End it after so many updates; six passes over the ECGs without either.")
]
RivalOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--rival",
        help="ONNX file of another encoder to judge beside: (batch, 12, 2500) in, an embedding out; repeatable.",
    ),
]
SeedOption = Annotated[int, typer.Option(help="Of everything that is drawn.")]


def fine_tuning(
    method: MethodChoice | RetrainMethod,
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
    start = LOW_RANK if method == "lora" else FineTuning()
    if method == "auto" and not epochs == learning_rate == batch_size == patience is None:
        raise InputError(
            "--epochs, --learning-rate, --batch-size and --patience belong to a named --method: full, lora"
        )
    precisions: dict[str, Precision] = {"32-true": "32-true", "bf16-mixed": "bf16-mixed", "16-mixed": "16-mixed"}
    if precision is not None and precision not in precisions:
        raise InputError(f"--precision {precision} is none of 32-true, bf16-mixed, 16-mixed")
    return replace(
        start,
        max_epochs=start.max_epochs if epochs is None else epochs,
        learning_rate=start.learning_rate if learning_rate is None else learning_rate,
        batch_size=start.batch_size if batch_size is None else batch_size,
        micro_batch=start.micro_batch if batch_size is None else min(batch_size, start.micro_batch),
        patience=start.patience if patience is None else patience,
        precision=start.precision if precision is None else precisions[precision],
        devices=devices,
        nodes=int(os.environ.get("WORLD_SIZE", "1")) // devices,
    )


@contextmanager
def shown_progress(hangs_after: timedelta = HANGS_AFTER) -> "Iterator[Progress]":
    """A progress line on standard error: what is going on, how far it is, and where it hangs."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with (
        alarmed(hangs_after) as gets_on,
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=progress_console(),
            transient=True,
        ) as bars,
    ):
        task = bars.add_task("starting", total=1)

        def shown(what: str, done: int, total: int) -> None:
            gets_on()
            bars.update(task, description=what, completed=done, total=max(total, 1))

        yield shown
