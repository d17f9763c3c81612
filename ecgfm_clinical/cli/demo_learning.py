"""`demo-retrain`: the demo hospital trains, judges and promotes heads of its own; `demo-feeds`: its feeds as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, console, write_json
from ecgfm_clinical.cli.learning_options import shown_progress
from ecgfm_clinical.extras import need

if TYPE_CHECKING:
    from ecgfm_clinical.demo.learning import Learnt


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
    from ecgfm_clinical.demo import clinic
    from ecgfm_clinical.demo.learning import hospital_in, learn, summary

    folder = (out or Path(tempfile.mkdtemp(prefix="ecgfm-demo-retrain-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log.setup((folder / "events.jsonl").open("a", buffering=1, encoding="utf-8"))
    with hospital_in(folder) as hospital, shown_progress() as progress:
        learnt = learn(hospital, patients, clock=wiring.steady_clock(wiring.utc_now), progress=progress)
    if as_json:
        write_json(summary(learnt))
    else:
        _tell_demo(learnt, clinic.NOTE, folder)
    if not learnt.promoted:
        raise typer.Exit(1)


def demo_feeds(
    folder: Annotated[Path, typer.Argument(help="New folder for the files.")],
    patients: Annotated[
        int, typer.Option(min=1, help="Invented patients, each with an ECG, an echo, a troponin.")
    ] = 600,
) -> None:
    """Write a year of an invented hospital's feeds as files, to learn a head from by hand.

    FOLDER/year: ECGs (DICOM) and echo and troponin results (HL7); FOLDER/next: the ECG that comes afterwards;
    FOLDER/start: the model that such a hospital begins with. Everything is simulated.
    """
    need("train", "the demo of learning")
    from ecgfm_clinical import wiring
    from ecgfm_clinical.demo import clinic
    from ecgfm_clinical.demo.feeds import write_feeds

    with shown_progress() as progress:
        feeds = write_feeds(folder, patients, now=wiring.utc_now(), progress=progress)
    out = console()
    out.print(f"year   {feeds.year}\nnext   {feeds.next}\nstart  {feeds.start}", soft_wrap=True)
    out.print(clinic.NOTE, soft_wrap=True)


def _tell_demo(learnt: "Learnt", note: str, folder: Path) -> None:
    out = console()
    for head, judged in learnt.judgements.items():
        own = judged.labels[head]
        auroc = own.metrics["auroc"]
        out.print(f"{head}: AUROC {auroc.value:.3f} ({auroc.low:.3f} to {auroc.high:.3f}), {own.ecgs} test ECGs")
        for name, other in own.compared.items():
            out.print(f"  {name}: {other.auroc.value:.3f}")
        for refusal in judged.refusals:
            out.print(f"  refused: {refusal}", soft_wrap=True)
    for when, message in (("before", learnt.before), ("after", learnt.after)):
        out.print(f"\nA result {when} the promotion:", style="bold")
        for segment in message.decode("utf-8", "replace").split("\r"):
            if segment.startswith("OBX"):
                out.print(segment, soft_wrap=True)
    out.print(f"\n{note}\n{folder}", soft_wrap=True)
