"""`backfill`: an archive of any size, scored into a folder of Parquet files."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, say, settings_from, write_json
from ecgfm_clinical.cli.research import DeviceOption, GlobOption, ModelOption, RuntimeOption, WorkersOption

if TYPE_CHECKING:
    from ecgfm.predictor import Predictor
    from ecgfm_clinical.backfill.disk import Place
    from ecgfm_clinical.backfill.history import Staged
    from ecgfm_clinical.backfill.manifest import Manifest
    from ecgfm_clinical.backfill.receipt import Receipt
    from ecgfm_clinical.backfill.run import Engine, Model
    from ecgfm_clinical.backfill.sources import Asked
    from ecgfm_clinical.cli.streaming import Stopping
    from ecgfm_clinical.files.streaming import Tally
    from ecgfm_clinical.settings import Settings

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
            help="Folders, patterns ('/ecg/**/*.dcm'), tables of paths (.csv, .tsv, .parquet, or a path a line in "
            ".txt or RECORDS), URLs, and days of a DICOM or DICOMweb source of the settings "
            "(pacs:2024-01-01..2024-12-31). Without any, a run that was begun goes on with the files of then."
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
    ray: Annotated[
        str | None,
        typer.Option(
            help="Address of an existing Ray cluster that reads and scores, `auto` on one of its machines; the files "
            "lie under the same paths on each."
        ),
    ] = None,
    to_store: Annotated[
        bool,
        typer.Option(
            "--to-store",
            help="Also put the recordings into the staging store as history, with their scores where the model is the "
            "live one, else to be scored after all live work. Nothing of it is sent unless somebody asks.",
        ),
    ] = False,
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
    from ecgfm_clinical.backfill.run import Options, here, tally_of, work_of
    from ecgfm_clinical.backfill.run import run as write_parts
    from ecgfm_clinical.backfill.sources import Asked, absolute
    from ecgfm_clinical.cli.streaming import Progress, Stopping, model_opener
    from ecgfm_clinical.extras import need
    from ecgfm_clinical.files.pseudonyms import read_key
    from ecgfm_clinical.settings import Settings

    need("parquet", "writing Parquet")
    site, place = settings_from(settings) if settings else Settings(), Place(absolute(out))
    options = Options(
        part_rows=part_rows, embeddings=embeddings, key=b"" if identifiers is None else read_key(identifiers)
    )
    if ray is not None:
        need("ray", "spreading a run over a cluster")
    with alone(place), Stopping() as stopping, ExitStack() as until_written:
        found_in = [_retrieved(place, one, site, stopping) for one in sources or []]
        manifest = _manifest(place, found_in, Asked(pattern=glob, column=column))
        opener = model_opener(site, model, runtime=runtime, device=device)
        if ray is None:
            predictor = opener()
            found: Model = predictor
            engine: Engine = here(predictor, options, workers)
        else:
            from ecgfm_clinical.backfill.on_ray import Cluster

            cluster = until_written.enter_context(Cluster(address=ray, open_model=opener, ask_of=options.ask_of))
            found, engine = cluster.describe(), cluster.answered
        work = work_of(place, manifest, found, options, site if settings else None, engine)
        tally, missing = tally_of(place, work.plan)
        progress = Progress("Scoring", tally.words)
        try:
            write_parts(work, missing, tally=tally, stop=stopping.event, tell=progress)
        finally:
            progress.end()
        if stopping.by:
            _say_stopped(place, tally, as_json=as_json)
            raise typer.Exit(128 + stopping.by)
        receipt = write_receipt(place, work.plan)
        staged = _to_store(place, settings, opener, stopping) if to_store else None
        _say_done(place, receipt, tally, staged, as_json=as_json)
        if stopping.by:
            raise typer.Exit(128 + stopping.by)


def _retrieved(place: "Place", source: str, site: "Settings", stopping: "Stopping") -> str:
    """The source itself, or the folder into which its days were retrieved."""
    from ecgfm_clinical import connections, wiring
    from ecgfm_clinical.backfill.retrieving import Pacs, days_of, retrieve
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.settings import DicomSource, DicomWebSource

    days = days_of(source)
    if days is None:
        return source
    named = [one for one in site.sources.all if one.name == days.name]
    if not named or not isinstance(named[0], DicomSource | DicomWebSource):
        raise InputError(
            f"{source}: the settings have no DICOM or DICOMweb source called {days.name}; give them with --settings"
        )
    part = named[0]
    if isinstance(part, DicomSource) and part.method == "move" and part.receive_port is None:
        raise InputError(
            f"{source}: {days.name} sends what it is asked for to a listener, and so into the store; "
            'set method = "get" or receive_port for it'
        )
    pacs = connections.build_source(site, part)
    assert isinstance(pacs, Pacs)
    folder = retrieve(
        place,
        days,
        pacs,
        clock=wiring.utc_now,
        stop=stopping.event,
        tell=lambda day: typer.echo(f"Retrieving {days.name}, {day}", err=True),
    )
    if stopping.by:
        sys.stderr.write("stopped; the same command goes on with the day that was under way\n")
        raise typer.Exit(128 + stopping.by)
    return str(folder)


def _to_store(
    place: "Place", settings: Path | None, open_model: "Callable[[], Predictor]", stopping: "Stopping"
) -> "Staged":
    from ecgfm_clinical import scorers, wiring
    from ecgfm_clinical.backfill.history import Staged, put
    from ecgfm_clinical.backfill.plan import read_plan
    from ecgfm_clinical.backfill.scores import Recorded, score_part
    from ecgfm_clinical.cli.common import opened_to_act
    from ecgfm_clinical.cli.streaming import Progress

    plan, staged = read_plan(place), Staged()
    assert plan is not None  # the run has just ended
    progress = Progress("Staging", lambda: staged.words)
    with opened_to_act(settings) as (site, store):
        handle = wiring.build_history(site, store)
        staged.left = scorers.why_not_live(site, store, plan.model_id)
        if staged.left:
            step = partial(put, place, plan, handle)
        else:
            recorded = Recorded(open_model())
            scorer = scorers.build_scorer(site, store, recorded, role="backfill", history=True)
            step = partial(put, place, plan, handle, score=partial(score_part, place, recorded, scorer, stopping.event))
        try:
            step(clock=wiring.utc_now, stop=stopping.event, staged=staged, tell=progress)
        finally:
            progress.end()
    return staged


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


def _say_done(place: "Place", receipt: "Receipt", tally: "Tally", staged: "Staged | None", *, as_json: bool) -> None:
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
            | ({} if staged is None else _document(staged))
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
    if staged is not None:
        say(f"staging store: {staged.words}{'' if staged.complete else '; stopped, the same command goes on'}")
        if staged.left:
            say(f"the store's score role is to score them: {staged.left}")


def _document(staged: "Staged") -> dict[str, object]:
    return {
        "store": staged.counts,
        "store_complete": staged.complete,
        "store_scored": staged.scored,
        "store_left_to_score_role": staged.left,
    }


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
