"""`cohort`: a head's cohort for another site or a repository."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, say, write_json

if TYPE_CHECKING:
    from ecgfm_clinical.deidentification.remains import Remains

app = typer.Typer(help="A head's cohort for others: export, without who, when and where.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A head's cohort for others: export, without who, when and where."""


class Form(StrEnum):
    """As what signals are written."""

    wfdb = "wfdb"
    parquet = "parquet"
    hdf5 = "hdf5"


class Dates(StrEnum):
    """What becomes of the time of acquisition."""

    shifted = "shifted"
    dropped = "dropped"


class Device(StrEnum):
    """What becomes of the cart."""

    dropped = "dropped"
    model = "model"


class Site(StrEnum):
    """What becomes of the hospital's sites."""

    dropped = "dropped"
    keyed = "keyed"


class Statements(StrEnum):
    """What becomes of the cart's statements."""

    dropped = "dropped"
    codes = "codes"
    text = "text"


@app.command()
def export(
    head: Annotated[
        str, typer.Argument(help="Whose cohort: reduced_lvef, troponin, interpretation, or one of [[learning.heads]].")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="New folder. `data` in it is for the recipient; the report `remains.md` stays here."),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="wfdb; parquet (extra `parquet`) and hdf5 hold many recordings a file.")
    ] = Form.wfdb,
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="Key of pseudonyms and date shifts: the same key gives the same ones. Without it a key is drawn and "
            "forgotten, and nobody can tell who is who."
        ),
    ] = None,
    dates: Annotated[
        Dates, typer.Option(help="shifted: by whole weeks, one number a person; dropped: none leaves.")
    ] = Dates.shifted,
    device: Annotated[
        Device, typer.Option(help="dropped, or model: manufacturer and model where --fewest people share them.")
    ] = Device.dropped,
    site: Annotated[Site, typer.Option(help="dropped, or keyed: a pseudonym of each site.")] = Site.dropped,
    statements: Annotated[
        Statements,
        typer.Option(help="dropped; codes: of closed vocabularies; text: sentences too; what --fewest people share."),
    ] = Statements.dropped,
    fewest: Annotated[int, typer.Option(min=2, help="People who must share a device, a code or a sentence.")] = 10,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only the report: nothing is written.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a head's cohort de-identified: signals, labels and splits, and a report of what remains.

    Nothing of identifiers, orders, messages or payloads leaves; ages over 89 are one group; who objects to learning or
    was erased is not in it. The folder is there whole or not at all, and the export stands in the audit trail. One that
    is interrupted begins anew: nothing of it is handed over, and what a kill leaves lies in the hidden folder
    `.FOLDER.part` until the same command is given again. The report names every field that leaves, how many people are
    alike, and what a person must judge before handing it on.
    """
    from ecgfm_clinical import wiring
    from ecgfm_clinical.cli.workshops import workshop
    from ecgfm_clinical.deidentification import exporting
    from ecgfm_clinical.deidentification.rules import Rules
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.extras import need
    from ecgfm_clinical.files.pseudonyms import read_key

    need("train", "exporting a cohort")
    if form is Form.parquet:
        need("parquet", "writing Parquet")
    if out is None and not dry_run:
        raise InputError("name a new folder with --out, or ask for the report alone with --dry-run")
    rules = Rules(
        form=form.value,
        dates=dates.value,
        device=device.value,
        site=site.value,
        statements=statements.value,
        fewest=fewest,
        key=exporting.random_key() if key_file is None else read_key(key_file),
    )
    if out is not None:
        exporting.check_folder(out)
    with workshop(settings, f"cohort export {head}") as place:
        found = exporting.prepare(place, head, rules)
        if out is not None and not dry_run:
            note = lambda: exporting.audit(place, found, now=wiring.utc_now())  # of one use
            exporting.write(found, out, note=note, progress=place.progress)
    _tell(found.remains, None if dry_run else out, as_json=as_json)


def _tell(told: "Remains", out: Path | None, *, as_json: bool) -> None:
    from ecgfm_clinical.deidentification import texts
    from ecgfm_clinical.learning.documents import plain

    if as_json:
        write_json(plain(told))
    elif out is None:
        say(texts.report(told) + "\nNothing was written.")
    else:
        say(
            f"{told.ecgs} recordings of {told.patients} people in {out / 'data'}; read {out / 'remains.md'} before "
            f"it is handed on: {told.combinations.alone} people are alone with what is known of them"
        )
