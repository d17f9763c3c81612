"""`demo`: a hospital in a box on loopback, from cart to chart in under a minute."""

import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, console, progress_console, write_json
from ecgfm_clinical.extras import have, sentence
from ecgfm_clinical.stopping import wait_for

if TYPE_CHECKING:
    from ecgfm_clinical.demo.hospital import Hospital
    from ecgfm_clinical.demo.summary import Row

SHOWN = 60  #: rows of the table; the rest is in the store
BARS = ("Sent by carts and folder", "Staged in SQL", "Judged and scored", "Acknowledged by the EHR")


def demo(
    ecgs: Annotated[
        Path | None, typer.Option(help="Your own recordings (DICOM, WFDB, aECG, HL7) instead of the invented ward.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for store, settings and picture; a new one if not given.")
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Leave everything running until Ctrl-C, with the operators' console (extra `web`), which is opened by "
            "a link that works once.",
        ),
    ] = False,
    model: Annotated[str, typer.Option(help="Folder of another model bundle.")] = "demo",
    as_json: JsonOption = False,
) -> None:
    """Watch invented patients' ECGs go from cart to chart: real sockets, real wire formats, nothing to set up.

    Simulated carts send DICOM by C-STORE and HL7 by MLLP, a folder receives annotated ECGs; they are staged in SQL,
    scored by a small demonstration model (NOT FOR CLINICAL USE), and come back as HL7 results that a simulated EHR
    acknowledges.
    """
    from ecgfm_clinical import log, wiring
    from ecgfm_clinical.demo import deliveries, summary
    from ecgfm_clinical.demo.hospital import Hospital

    started = time.monotonic()
    now = wiring.utc_now()
    with progress_console().status("Writing the ward's ECGs"):
        sent = deliveries.own(ecgs, now) if ecgs else deliveries.ward(now)
    fresh = out is None or not out.exists()
    folder = (out or Path(tempfile.mkdtemp(prefix="ecgfm-demo-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # Never closed: events may be written until the process ends.
    log.setup((folder / "events.jsonl").open("a", buffering=1, encoding="utf-8"))
    bundle = model if model == "demo" else str(Path(model).resolve())
    hospital = Hospital(folder, bundle=bundle, console=keep and have("web"))
    with ExitStack() as closing:
        try:
            with progress_console().status("Opening ports, loading the model"):
                closing.enter_context(hospital)
        except Exception:  # whatever kept it from starting is reported; an empty installation is not left behind
            if fresh:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if keep:
            _tell_of_console(hospital)
        hospital.deliver(sent)
        _watch(hospital, len(sent))
        found = summary.rows(hospital, sent)
        one = summary.chosen(found)
        picture = _draw(hospital, one)
        message = _message_of(hospital, one)
        seconds = time.monotonic() - started
        if as_json:
            write_json(summary.document(hospital, found, message=message, picture=picture, seconds=seconds))
        else:
            _tell(hospital, found, message, picture, seconds)
        if keep:
            _wait(hospital)


def _watch(hospital: "Hospital", total: int) -> None:
    """Show how far everything has come until nothing is left to do. Raises DemoFailed where nothing moves any more."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:26}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=progress_console()) as bars:
        tasks = [bars.add_task(name, total=total) for name in BARS]
        for seen in hospital.progress():
            for task, done in zip(tasks, (seen.sent, seen.received, seen.judged, seen.answered), strict=True):
                bars.update(task, completed=done)


def _draw(hospital: "Hospital", row: "Row | None") -> Path:
    from ecgfm_clinical.ecg.paper import draw

    path = hospital.folder / "ecg.png"
    if row is None or row.ecg_id is None:
        return path
    [staged] = hospital.store.ecgs.load([row.ecg_id])
    with progress_console().status("Drawing one ECG"):
        draw(staged.ecg.signal, staged.ecg.sampling_rate, path, title=row.patient, subtitle=_subtitle(row))
    return path


def _subtitle(row: "Row") -> str:
    from ecgfm_clinical.demo.summary import WORDS

    scores = [
        f"{words} = {100 * p:.0f} %" for head, words in WORDS.items() if (p := row.probabilities.get(head)) is not None
    ]
    return "     ".join(
        [f"ECG {row.ecg_id}", *filter(None, [row.about]), *scores, "demonstration model, not for clinical use"]
    )


def _message_of(hospital: "Hospital", row: "Row | None") -> bytes:
    """The result as the EHR received it."""
    wanted = row.control_id.encode() if row else b""
    return next((body for body in hospital.ehr.messages if wanted and wanted in body.split(b"\r", 1)[0]), b"")


def _tell(hospital: "Hospital", found: "Sequence[Row]", message: bytes, picture: Path, seconds: float) -> None:
    from ecgfm_clinical.demo import summary
    from ecgfm_clinical.operate.status import sum_text

    out = console()
    out.print(summary.table(found[:SHOWN], width=out.width))
    if len(found) > SHOWN:
        out.print(f"… and {len(found) - SHOWN} more in the store")
    if message:
        out.print("\nOne of the results as the EHR received it (ORU^R01):", style="bold")
        for segment in message.decode("utf-8", "replace").split("\r"):
            out.print(segment, soft_wrap=True)
    out.print(
        f"{sum_text(hospital.store.questions.counts())}; {summary.acknowledged(found)} results acknowledged, "
        f"{seconds:.0f} s in all",
        style="bold",
    )
    out.print(
        "The model is for demonstration only, NOT FOR CLINICAL USE; patients, and what their ECGs mean, are invented."
    )
    out.print(f"picture   {picture}", soft_wrap=True)
    out.print(f"store     {hospital.folder / 'staging.sqlite'}", soft_wrap=True)
    out.print(f"events    {hospital.folder / 'events.jsonl'}", soft_wrap=True)
    out.print(f"more      ecgfm-clinical show 1 --settings {hospital.settings_path}", soft_wrap=True)


def _tell_of_console(hospital: "Hospital") -> None:
    """A link that works once; standard error, for standard output may be one JSON document."""
    if hospital.console is None:
        progress_console().print(sentence("web", "the console"), soft_wrap=True)
    else:
        progress_console().print(f"console   {hospital.console.link()}  (works once)", soft_wrap=True)


def _wait(hospital: "Hospital") -> None:
    """Until Ctrl-C or SIGTERM."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from ecgfm_clinical.service.handling import CONSOLE

    opened = {name: port for name, port in hospital.service.ports.items() if name != CONSOLE}
    ports = ", ".join(f"{name} on 127.0.0.1:{port}" for name, port in opened.items())
    _tell_of_console(hospital)
    progress_console().print(f"Still running: {ports}; drop files into {hospital.drop}. Ctrl-C ends it.")
    wait_for(stop)
