"""`dataset`: public ECG data sets as they are published, made ready for the learning commands."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, console, say, will_write, write_json

if TYPE_CHECKING:
    from ecgfm.datasets.checking import Checked
    from ecgfm.datasets.entry import DataSet

app = typer.Typer(
    help="Public data sets in their official layouts: list, check, table, outcomes. Nothing is downloaded: `dataset "
    "show NAME` says where a data set comes from, what access it needs, its licence and how to cite it.\n\n"
    "From two folders of files to a judged head:\n\n"
    "1. `dataset check ptb-xl FOLDER`\n\n"
    "2. `dataset table ptb-xl FOLDER --out ptb-xl.csv`\n\n"
    "3. `retrain superclasses --archive FOLDER --table ptb-xl.csv --label NORM --label MI --label STTC --label CD "
    "--label HYP --out RUN`",
    no_args_is_help=True,
)

NameArgument = Annotated[str, typer.Argument(help="As `dataset list` names it.")]
FolderArgument = Annotated[Path, typer.Argument(help="Folder that holds the data set as it is published.")]


class OutcomeChoice(StrEnum):
    """Tables of measured outcomes that can be read."""

    troponin = "mimic-iv-troponin"
    lvef = "mimic-iv-echo-lvef"
    laboratory = "mimic-iv-laboratory"


@app.command("list")
def list_data_sets(as_json: JsonOption = False) -> None:
    """The data sets whose layouts are known."""
    from rich.table import Table

    from ecgfm.datasets.catalogue import DATA_SETS

    if as_json:
        write_json([_told(one) for one in DATA_SETS])
        return
    shown = Table("name", "version", "access", "licence", "official folds")
    for one in DATA_SETS:
        shown.add_row(one.name, one.version, one.access, one.licence, one.folds)
    console().print(shown)


@app.command("show")
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Where a data set comes from, what may be done with it, which files are read."""
    from ecgfm.datasets.catalogue import find

    told = _told(find(name))
    if as_json:
        write_json(told)
        return
    for key, value in told.items():
        if value:
            console().print(f"{key.replace('_', ' ')}: {value}", soft_wrap=True, highlight=False)


@app.command("check")
def check(name: NameArgument, folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Go through a data set's tables, look for every recording, and read the first five.

    Exits with 1 where nothing can be done with the folder as it is.
    """
    from dataclasses import asdict

    from ecgfm.datasets.catalogue import find
    from ecgfm.datasets.checking import check as checked

    found = checked(find(name), folder)
    write_json(asdict(found) | {"good": found.good}) if as_json else _print(found)
    if not found.good:
        raise typer.Exit(1)


@app.command("table")
def table(
    name: NameArgument,
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="CSV to write: a row for each recording.")],
) -> None:
    """Write the table that commands take beside an archive, as `retrain --archive FOLDER --table OUT` does.

    Patients' numbers stand in it as in the data set. The official split, where there is one, is its column `split`.
    """
    from ecgfm.datasets.catalogue import find
    from ecgfm_clinical.files.dataset_tables import write_recordings

    will_write(out, ".csv")
    data_set = find(name)
    say(f"{out}: {write_recordings(data_set.entries(folder), out)} recordings; {data_set.citation}")


@app.command("outcomes")
def outcomes(
    which: Annotated[OutcomeChoice, typer.Argument(help="What is measured, and in which data set.")],
    folder: Annotated[
        Path, typer.Argument(help="Folder of MIMIC-IV (with hosp/labevents.csv.gz), or of MIMIC-IV-Echo.")
    ],
    out: Annotated[Path, typer.Option(help="CSV to write: a row for each result.")],
    item: Annotated[
        list[str] | None,
        typer.Option(help="Laboratory item id of hosp/d_labitems.csv; for the troponin 51003 (T) if not given."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="Of mimic-iv-laboratory: as [[outcomes.kinds]] of the settings names it, such as potassium."),
    ] = None,
) -> None:
    """Write the measured outcomes of MIMIC-IV's patients, for `retrain HEAD --archive … --outcomes OUT`.

    Which result gives an ECG its label is decided by the rules of the head, as for a hospital's own results.
    """
    from ecgfm.datasets import mimic_iv
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.files.dataset_tables import write_outcomes

    will_write(out, ".csv")
    if (kind is not None) != (which is OutcomeChoice.laboratory) or (kind is not None and not item):
        raise InputError("--kind belongs to mimic-iv-laboratory, which needs it and --item, the laboratory's item id")
    if which is OutcomeChoice.lvef:
        found = mimic_iv.ejection_fractions(folder)
    else:
        found = mimic_iv.laboratory(folder, item or mimic_iv.TROPONIN_T, kind=kind or "troponin")
    say(f"{out}: {write_outcomes(found, out)} results")


def _told(one: "DataSet") -> dict[str, object]:
    return {
        "name": one.name,
        "title": one.title,
        "version": one.version,
        "url": one.url,
        "access": one.access,
        "licence": one.licence,
        "citation": one.citation,
        "official_folds": one.folds,
        "files": one.layout,
        "notes": one.notes,
        "in_pretraining_of_ECG-FM": one.in_pretraining,
    }


def _print(found: "Checked") -> None:
    out = console()
    out.print(f"{found.recordings} recordings of {found.patients} patients", highlight=False)
    if found.missing:
        named = ", ".join(found.missing_named)
        out.print(f"{found.missing} of them are not in the folder: {named} …", soft_wrap=True, highlight=False)
    for split, count in found.splits.items():
        out.print(f"  {split or 'no official split'}: {count}", highlight=False)
    for label, count in found.positives.items():
        unknown = found.unknown.get(label, 0)
        out.print(f"  {label}: {count} positive" + (f", {unknown} not known" if unknown else ""), highlight=False)
    if found.in_two_splits:
        out.print(f"{found.in_two_splits} patients are in two official splits")
    for problem in found.problems:
        out.print(problem, soft_wrap=True, highlight=False)
