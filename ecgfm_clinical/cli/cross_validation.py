"""`cross-validate`: how well a head of one's own could be learnt from a labelled archive."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.archives import labelled_archive
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, console, write_json
from ecgfm_clinical.cli.learning_options import (
    BatchOption,
    ClassesOption,
    EpochsOption,
    LabelOption,
    MethodChoice,
    MethodOption,
    OutcomesOption,
    PatienceOption,
    PrecisionOption,
    RateOption,
    SeedOption,
    fine_tuning,
    shown_progress,
)
from ecgfm_clinical.extras import need

if TYPE_CHECKING:
    from ecgfm_clinical.learning.judging.cross_validation import CrossValidated


def cross_validate(
    archive: Annotated[Path, typer.Option(help="Folder of WFDB recordings.")],
    table: Annotated[Path, typer.Option(help="CSV or Parquet with a row for each recording.")],
    out: Annotated[Path, typer.Option(help="Folder for results and kept embeddings.")],
    head: Annotated[
        str, typer.Option(help="reduced_lvef, troponin, interpretation, or one of [[learning.heads]] of the settings.")
    ] = "interpretation",
    outcomes: OutcomesOption = None,
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
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Patient-level cross-validation of a labelled archive: AUROC per label beside age+sex and a random forest.

    With --outcomes labels come from measured results, by the rules of --head; of settings only `outcomes` and the heads
    of `learning` are used.
    """
    need("train", "cross-validation")
    from ecgfm_clinical import wiring
    from ecgfm_clinical.learning.research import cross_validate_archive

    labelled = labelled_archive(archive, table, outcomes, label or (), classes, settings)
    with shown_progress() as progress:
        found = cross_validate_archive(
            head,
            archive=labelled,
            base=base,
            out=out,
            method=method.value,
            fine_tuning=replace(
                fine_tuning(method, epochs, learning_rate, batch_size, patience, precision), devices=1, nodes=1
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
