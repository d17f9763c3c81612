"""`backfill`: an archive of any size, scored into a folder of Parquet files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, say, settings_from, write_json
from ecgfm_clinical.cli.research import DeviceOption, GlobOption, ModelOption, RuntimeOption, WorkersOption

if TYPE_CHECKING:
    from ecgfm_clinical.backfill.disk import Place
    from ecgfm_clinical.backfill.manifest import Manifest
    from ecgfm_clinical.backfill.receipt import Receipt
    from ecgfm_clinical.backfill.sources import Asked
    from ecgfm_clinical.files.streaming import Tally

app = typer.Typer(
    help="Score an archive into Parquet, resumable after any kill, and verify its receipt.", no_args_is_help=True
)

PART_ROWS = 1000
OutOption = Annotated[Path, typer.Option(help="Folder of the run; it is made, and a repeat goes on in it.")]


@app.command("run")
def run(
    out: OutOption,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders, patterns ('/ecg/**/*.dcm'), and tables of paths (.csv, .tsv, .parquet, or a path a line in "
            ".txt or RECORDS). Without any, a run that was begun goes on with the files of then."
        ),
    ] = None,
    model: ModelOption = "demo",
    runtime: RuntimeOption = None,
    device: DeviceOption = None,
    workers: WorkersOption = None,
    glob: GlobOption = "*",
    column: Annotated[str | None, typer.Option(help="Column of a table that names the files.")] = None,
    part_rows: Annotated[int, typer.Option(min=1, help="Files a part; what a kill costs at most.")] = PART_ROWS,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also each ECG's pooled embedding; the network runs twice.")
    ] = False,
    identifiers: Annotated[
        Path | None,
        typer.Option(help="Also pseudonyms of patient, recording and accession number, by the key in this file."),
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score an archive: predictions in parts of Parquet, what could not be read in a list, digests in a receipt.

    Killed at any moment, it goes on where the last whole part ended, and each ECG is there exactly once. Files that
    cannot be read stand in unreadable.csv with their reason and do not make it fail. Exits with 128 + the signal where
    it was stopped.
    """
    from ecgfm_clinical.backfill.disk import Place, alone
    from ecgfm_clinical.backfill.receipt import write_receipt
    from ecgfm_clinical.backfill.run import Options, tally_of, work_of
    from ecgfm_clinical.backfill.run import run as write_parts
    from ecgfm_clinical.backfill.sources import Asked, absolute
    from ecgfm_clinical.cli.streaming import Progress, Stopping, opened_model
    from ecgfm_clinical.extras import need
    from ecgfm_clinical.settings import Settings

    need("parquet", "writing Parquet")
    site, place = settings_from(settings) if settings else Settings(), Place(absolute(out))
    options = Options(part_rows=part_rows, embeddings=embeddings, key=_key(identifiers), processes=workers)
    with alone(place), Stopping() as stopping:
        manifest = _manifest(place, sources or [], Asked(pattern=glob, column=column))
        predictor = opened_model(site, model, runtime=runtime, device=device)
        work = work_of(place, manifest, predictor, options, site if settings else None)
        tally, missing = tally_of(place, work.plan)
        progress = Progress("Scoring", tally.words)
        try:
            write_parts(work, missing, tally=tally, stop=stopping.event, tell=progress)
        finally:
            progress.end()
        if stopping.by:
            _say_stopped(place, tally, as_json=as_json)
            raise typer.Exit(128 + stopping.by)
        _say_done(place, write_receipt(place, work.plan), tally, as_json=as_json)


def _key(path: Path | None) -> bytes:
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.files.pseudonyms import SHORTEST_KEY

    if path is None:
        return b""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; make a key with `openssl rand -hex 32 > {path}`, "
            "readable by this user only"
        ) from error
    if len(key) < SHORTEST_KEY:
        raise InputError(
            f"{path} holds {len(key)} bytes; a key has {SHORTEST_KEY} at least: `openssl rand -hex 32 > {path}`"
        )
    return key


def _manifest(place: "Place", sources: list[str], asked: "Asked") -> "Manifest":
    """What is scored: the sources as they are now, or without any the files that the run was begun with."""
    from ecgfm_clinical.backfill.manifest import freeze
    from ecgfm_clinical.backfill.plan import read_plan
    from ecgfm_clinical.errors import InputError

    plan = read_plan(place)
    if sources:
        found = freeze(place, sources, asked)
        return found if plan is None else plan.manifest  # the same files; more may lie beside them by now
    if plan is None:
        raise InputError(f"{place.folder} holds no run to go on with; name folders, patterns or tables of paths")
    return plan.manifest


def _say_stopped(place: "Place", tally: "Tally", *, as_json: bool) -> None:
    if as_json:
        write_json({"finished": False, "out": str(place.folder), "files": tally.files, "done": tally.done})
    sys.stderr.write(
        f"stopped after {tally.done} of {tally.files} files; the same command goes on after the last whole part\n"
    )


def _say_done(place: "Place", receipt: "Receipt", tally: "Tally", *, as_json: bool) -> None:
    manifest = receipt.plan.manifest
    if as_json:
        write_json(
            {
                "finished": True,
                "out": str(place.folder),
                "receipt": str(place.receipt),
                "files": tally.files,
                "by_earlier_run": tally.earlier,
                "files_per_second": round(tally.rate, 1),
                "outcomes": receipt.outcomes,
                "unreadable_files": receipt.unreadable.rows,
                "beside_recordings": manifest.beside,
                "named_twice": manifest.named_twice,
            }
        )
        return
    counts = ", ".join(f"{count} {outcome}" for outcome, count in receipt.outcomes.items() if count)
    earlier = f"; {tally.earlier} files were there already" if tally.earlier else ""
    say(f"{place.folder}: {counts}{earlier}")
    if manifest.beside or manifest.named_twice:
        say(f"not in the manifest: {manifest.beside} files beside recordings, {manifest.named_twice} named twice")
    if receipt.unreadable.rows:
        say(f"{place.unreadable}: {receipt.unreadable.rows} that could not be read, with their reasons")
    say(f"receipt: {place.receipt}")


@app.command("verify")
def verify(out: Annotated[Path, typer.Argument(help="Folder of the run.")], as_json: JsonOption = False) -> None:
    """Read a run's folder again: every digest of its receipt, and that each row of its manifest is answered once.

    Exits with 1 where anything differs.
    """
    from ecgfm_clinical.backfill.disk import Place
    from ecgfm_clinical.backfill.sources import absolute
    from ecgfm_clinical.backfill.verify import verify as look
    from ecgfm_clinical.extras import need

    need("parquet", "reading Parquet")
    verdict = look(Place(absolute(out)))
    receipt, problems = verdict.receipt, verdict.problems
    if as_json:
        write_json({"whole": not problems, "problems": list(problems), "outcomes": receipt.outcomes})
    elif not problems:
        say(f"{out}: {receipt.plan.manifest.rows} files in {len(receipt.parts)} parts, all as the receipt says")
    for one in problems:
        sys.stderr.write(f"{one}\n")
    if problems:
        sys.stderr.write(
            "remove what is no part, put back what was changed, or delete the record of a damaged part (parts/) and "
            "repeat its `backfill run`, which makes that part anew\n"
        )
        raise typer.Exit(1)
