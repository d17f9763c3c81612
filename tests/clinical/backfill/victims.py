"""Backfills that are killed: one process loads the libraries and then forks a victim for each line of its input.

    python -c "from tests.clinical.backfill.victims import main; main()" ARCHIVE < lines

A line says in which folder a run is, and what becomes of it: `OUT kill N` (SIGKILL at the N-th step: a file answered,
bytes brought to the disk, a name given), `OUT worker N` (one of its processes is killed there, and it goes on),
`OUT full N` (from there on no file can become longer than some bytes), or `OUT run 0`. For each line the victim's exit
code is printed, negative where a signal ended it. The network
answers at once; all else is the program's own.
"""

import gc
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path
from threading import Event
from typing import NoReturn

from ecgfm.feeding import Prepared
from ecgfm.signal import BY_CLOCK
from ecgfm_clinical.backfill.disk import Place, alone
from ecgfm_clinical.backfill.manifest import freeze
from ecgfm_clinical.backfill.parts import tables_of
from ecgfm_clinical.backfill.plan import Plan, agree
from ecgfm_clinical.backfill.receipt import write_receipt
from ecgfm_clinical.backfill.run import Work, run, tally_of
from ecgfm_clinical.backfill.sources import Asked
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.answers import Answer
from ecgfm_clinical.files.preparing import Found
from ecgfm_clinical.files.reading import context_of
from ecgfm_clinical.files.streaming import answered

#: What a run loads when it first needs it, loaded once for all victims; pyarrow takes pandas where it is installed.
LOADED = ("ecgfm_connectors.dicom.waveform", "pyarrow.parquet", "pandas")
PART_ROWS = 12
ROOM = 2000  # bytes; all files of a run are longer


def unscored(records: Iterable[Prepared[Found]]) -> Iterator[Answer]:
    """Every ECG as one that the network was not asked about."""
    for one in records:
        why = () if one.what.error else ("no-network",)
        yield Answer(
            found=one.what, input_digest=one.input_digest, not_scored=why, error=one.what.error, code=one.what.code
        )


def backfill(archive: Path, place: Place, processes: int, tell: Callable[[], None]) -> None:
    with alone(place):
        plan = Plan(
            program="test",
            parquet_writer="test",
            manifest=freeze(place, [str(archive)], Asked()),
            part_rows=PART_ROWS,
            model_id="0" * 64,
            preprocessing=BY_CLOCK,
            runtime="null",
            reading="FILE UTC",
            embeddings=False,
            identifiers="key",
        )
        agree(place, plan)
        work = Work(
            place=place,
            plan=plan,
            tables=tables_of(plan, {"reduced_lvef": ("lvef<=40",)}, 4),
            engine=partial(answered, ask=unscored, processes=processes),
            context=context_of(None),
            key=b"0123456789abcdef",
        )
        tally, missing = tally_of(place, plan)
        run(work, missing, tally=tally, stop=Event(), tell=tell)
        write_receipt(place, plan)


class Steps:
    """Counts what may be interrupted, and acts at one of them."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self._left = at
        self._act = act

    def __call__(self) -> None:
        self._left -= 1
        if not self._left:
            self._act()

    def watch_the_disk(self) -> None:
        """Before and after bytes are brought to the disk and a name is given."""
        for owner, name in ((os, "fsync"), (Path, "replace")):
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, inner: Callable[..., object]) -> Callable[..., object]:
        def counted(*given: object) -> object:
            self()
            found = inner(*given)
            self()
            return found

        return counted


def kill_a_worker() -> None:
    """One of the processes that the fork server has started for this run."""
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)


def kill_this() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))


ACTS: dict[str, Callable[[], None]] = {
    "run": lambda: None,
    "kill": kill_this,
    "worker": kill_a_worker,
    "full": fill_the_disk,
}


def victim(line: str, archive: Path) -> NoReturn:
    folder, what, number = line.rsplit(" ", 2)
    place = Place(Path(folder))
    steps = Steps(int(number), ACTS[what])
    if what == "kill":
        steps.watch_the_disk()
    steps()
    try:
        backfill(archive, place, 2 if what == "worker" else 0, steps)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)
    except BaseException:  # noqa: BLE001  a fork of the loader must not go on as it
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def main() -> None:
    archive = Path(sys.argv[1])
    for name in LOADED:
        with suppress(ImportError):
            import_module(name)
    gc.freeze()  # or each victim looks through all that is loaded for garbage
    for line in sys.stdin:
        child = os.fork()
        if not child:
            victim(line.strip(), archive)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
