"""What `backfill` costs beside `predict` where the network costs nothing, and whether that grows with the archive.

    python tests/benchmarks/bench_backfill.py rate [--count 2000 --rounds 3]        # beside `predict`, in turn
    python tests/benchmarks/bench_backfill.py growth [--rows 10000 100000]          # files repeated by link
    python tests/benchmarks/bench_backfill.py bookkeeping [--rows 10000 1000000]    # without reading any file
    python tests/benchmarks/bench_backfill.py receipts [--rows 10000 --kills 5]     # of an undisturbed and a killed run
    python tests/benchmarks/bench_backfill.py ray [--count 2000 --rounds 3]         # beside processes of this machine

Ratios are of one run on one machine; each size of `growth` and `bookkeeping` has a process of its own. Processor time
counts all processes; where others keep the processors busy it says more than the clock.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from threading import Event

from ecgfm.feeding import Prepared
from ecgfm.signal import BY_CLOCK
from ecgfm_clinical.backfill.disk import Place, alone
from ecgfm_clinical.backfill.manifest import freeze, rows
from ecgfm_clinical.backfill.on_ray import Cluster
from ecgfm_clinical.backfill.parts import tables_of
from ecgfm_clinical.backfill.plan import Plan, agree
from ecgfm_clinical.backfill.receipt import write_receipt
from ecgfm_clinical.backfill.run import Engine, Work, run, tally_of
from ecgfm_clinical.backfill.sources import Asked
from ecgfm_clinical.backfill.verify import verify
from ecgfm_clinical.files import answers, outputs, tables
from ecgfm_clinical.files.preparing import Found, pieces
from ecgfm_clinical.files.reading import context_of, gather
from ecgfm_clinical.files.streaming import Ask, Tally, answered, stream
from ecgfm_connectors.testing import dicom_writer
from tests.benchmarks.bench_engine import ecg, null_answers
from tests.benchmarks.bench_store import NullPredictor

PART_ROWS = 1000
#: Different ECGs of an archive; the others are links to them.
DIFFERENT = 500
FOLDER_OF = 1000  #: files
BROKEN = 7  #: of a hundred files, the one that is cut off
ORIGIN = answers.Origin(model_id="0" * 64, preprocessing=BY_CLOCK, runtime="null")


def archive(folder: Path, count: int, seconds: float = 10.0) -> Path:
    """So many files in folders of a thousand; one in a hundred is cut off."""
    for number in range(count):
        path = folder / f"{number // FOLDER_OF:05}" / f"{number:07}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < DIFFERENT:
            one = ecg(number)
            content = dicom_writer.write_ecg(replace(one, signal=one.signal[:, : int(500 * seconds)]))
            path.write_bytes(content[:3000] if number % 100 == BROKEN else content)
        else:  # a file has 65 000 links at most
            first = number % DIFFERENT
            path.hardlink_to(folder / f"{first // FOLDER_OF:05}" / f"{first:07}.dcm")
    return folder


def predicted(folder: Path, out: Path, ask: Ask, processes: int | None, tell: Callable[[], None]) -> None:
    """As `predict FOLDER --out x.parquet` does it."""
    found = gather([folder])
    todo = list(pieces(found.files, named=found.named, settings=None, preprocessing=BY_CLOCK))
    columns = answers.predicted_columns(NullPredictor.labels)
    output = tables.ParquetTable(out, columns, answers.predicted_row, ORIGIN, title="predictions/1")
    counted: outputs.Output = output
    stream(todo, ask, counted, tally=Tally(files=len(todo)), stop=Event(), processes=processes, tell=tell)
    output.close()


def backfilled(
    folder: Path,
    out: Path,
    ask: Ask,
    processes: int | None,
    tell: Callable[[], None],
    engine: Engine | None = None,
) -> None:
    """As `backfill run FOLDER --out FOLDER` does it."""
    place = Place(out)
    with alone(place):
        plan = Plan(
            program="benchmark",
            parquet_writer="benchmark",
            manifest=freeze(place, [str(folder)], Asked()),
            part_rows=PART_ROWS,
            model_id=ORIGIN.model_id,
            preprocessing=ORIGIN.preprocessing,
            runtime=ORIGIN.runtime,
            reading="FILE UTC",
            embeddings=False,
            identifiers="",
        )
        agree(place, plan)
        work = Work(
            place=place,
            plan=plan,
            tables=tables_of(plan, NullPredictor.labels, 768),
            engine=engine or partial(answered, ask=ask, processes=processes),
            context=context_of(None),
        )
        tally, missing = tally_of(place, plan)
        run(work, missing, tally=tally, stop=Event(), tell=tell)
        write_receipt(place, plan)


class Watch:
    """When each file was answered."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def __call__(self) -> None:
        self._at.append(time.perf_counter())

    def rate(self) -> float:
        """Files a second, the start of the processes and the end of the file taken off."""
        warm = len(self._at) // 10
        return (len(self._at) - warm) / (self._at[-1] - self._at[warm - 1])


def rate(count: int, rounds: int, processes: int | None) -> None:
    """`predict` and `backfill` in turn over the same files."""
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made:
        folder = archive(Path(made) / "ecgs", count)
        by_clock, by_work = [], []
        for number in range(rounds):
            found: dict[str, tuple[float, float]] = {}
            for name, how in (("predict", predicted), ("backfill", backfilled)):
                watch, began = Watch(), _processor_time()
                how(folder, Path(made) / f"{name}-{number}.parquet", null_answers, processes, watch)
                found[name] = watch.rate(), 1000 * (_processor_time() - began) / count
            by_clock.append(found["backfill"][0] / found["predict"][0])
            by_work.append(found["predict"][1] / found["backfill"][1])
            print(
                f"predict {found['predict'][0]:.0f}, backfill {found['backfill'][0]:.0f} ECG/s: {by_clock[-1]:.2f}; "
                f"processor time {found['predict'][1]:.2f} and {found['backfill'][1]:.2f} ms an ECG: {by_work[-1]:.2f}",
                flush=True,
            )
        print(f"median by the clock {median(by_clock):.2f}, by processor time {median(by_work):.2f}")


def _nothing() -> None:
    pass


def grown(count: int, processes: int | None, seconds: float) -> None:
    """One size, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made:
        folder = archive(Path(made) / "ecgs", count, seconds)
        before, began, cpu = _most_memory(), time.perf_counter(), _processor_time()
        backfilled(folder, Path(made) / "out", null_answers, processes, _nothing)
        _say_growth(count, before, began, cpu)
        began = time.perf_counter()
        assert not verify(Place(Path(made) / "out")).problems
        print(f"    verify: {1e6 * (time.perf_counter() - began) / count:.0f} µs a row", flush=True)


def _say_growth(count: int, before: float, began: float, cpu: float) -> None:
    wall, used = time.perf_counter() - began, _processor_time() - cpu
    print(
        f"{count:8} rows: {count / wall:.0f} rows/s, {1000 * used / count:.3f} ms of processor time a row; "
        f"memory of the largest process {before:.0f} MB before, {_most_memory():.0f} MB at most",
        flush=True,
    )


def _most_memory() -> float:
    """MB, of this process or the largest that it started and that ended."""
    mine, others = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(mine, others) / 1024


def _processor_time() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def booked(count: int) -> None:
    """Manifest, parts and receipt of so many rows, each answered at once and read from nowhere."""
    known = next(null_answers([Prepared(what=Found(file=""), segments=ecg(0).signal[None, :, :2500])]))
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made:
        names = Path(made) / "RECORDS"
        names.write_text("".join(f"{number // FOLDER_OF:05}/{number:07}.dcm\n" for number in range(count)))
        place = Place(Path(made) / "out")

        def unread(_: Iterable[Prepared[Found]]) -> Iterator[answers.Answer]:
            for row in rows(place):
                yield answers.Answer(
                    found=Found(file=str(row.path), format="dicom", sampling_rate=500.0, duration_seconds=10.0),
                    input_digest=f"{hash(row.path) & (2**64 - 1):064x}",
                    prediction=known.prediction,
                )

        before, began, cpu = _most_memory(), time.perf_counter(), _processor_time()
        backfilled(names, place.folder, unread, 0, _nothing)
        _say_growth(count, before, began, cpu)


def receipts(count: int, kills: int) -> None:
    """The same files twice: undisturbed, and killed again and again."""
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made:
        folder = archive(Path(made) / "ecgs", count)
        began = time.perf_counter()
        backfilled(folder, Path(made) / "whole", null_answers, None, _nothing)
        whole = time.perf_counter() - began
        chosen, killed = random.Random(1), 0
        words = [sys.executable, __file__, "once", "--folder", str(folder), "--out", str(Path(made) / "killed")]
        while killed < kills:
            process = subprocess.Popen(words)
            try:
                process.wait(timeout=5 + chosen.uniform(0.05, 0.4) * whole)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        subprocess.run(words, check=True)
        one, other = ((Path(made) / name / "receipt.json").read_bytes() for name in ("whole", "killed"))
        print(f"{count} files, {killed} times SIGKILL: receipts {'equal' if one == other else 'DIFFERENT'}")
        problems = verify(Place(Path(made) / "killed")).problems
        print(f"verify of the killed run: {problems or 'all as the receipt says'}")


def null_ask(_: object) -> Ask:
    return null_answers


def on_ray(count: int, rounds: int) -> None:
    """This machine's processes, and a Ray of its own with as many processors, in turn over the same files."""
    cluster = Cluster(address="local", open_model=NullPredictor, ask_of=null_ask)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made, cluster:
        folder, ratios = archive(Path(made) / "ecgs", count), []
        for number in range(rounds):
            rates = []
            for name, engine in (("here", None), ("ray", cluster.answered)):
                watch = Watch()
                backfilled(folder, Path(made) / f"{name}-{number}", null_answers, None, watch, engine)
                rates.append(watch.rate())
            ratios.append(rates[1] / rates[0])
            print(f"here {rates[0]:.0f}, on Ray {rates[1]:.0f} ECG/s: {ratios[-1]:.2f}", flush=True)
        print(f"median {median(ratios):.2f}")


def alone_in_a_process(what: str, sizes: Sequence[int], processes: int | None, seconds: float = 10.0) -> None:
    more = ["--seconds", str(seconds), *([] if processes is None else ["--processes", str(processes)])]
    for size in sizes:
        subprocess.run([sys.executable, __file__, what, "--rows", str(size), *more], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", choices=("rate", "growth", "bookkeeping", "receipts", "ray", "one-growth", "one-bookkeeping", "once")
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="*", default=None)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each recording, for growth; 2: not scored")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.what == "once":
        backfilled(given.folder, given.out, null_answers, given.processes, _nothing)
    elif given.what == "one-growth":
        grown(given.rows[0], given.processes, given.seconds)
    elif given.what == "one-bookkeeping":
        booked(given.rows[0])
    else:
        now = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {now} UTC", flush=True)
        if given.what == "rate":
            rate(given.count, given.rounds, given.processes)
        elif given.what == "growth":
            alone_in_a_process("one-growth", given.rows or (10_000, 100_000), given.processes, given.seconds)
        elif given.what == "bookkeeping":
            alone_in_a_process("one-bookkeeping", given.rows or (10_000, 1_000_000), None)
        elif given.what == "ray":
            on_ray(given.count, given.rounds)
        else:
            receipts((given.rows or [10_000])[0], given.kills)
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
