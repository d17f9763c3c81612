"""What our side of scoring costs where the network costs nothing; how long an ECG waits for its result; what it weighs.

    python tests/benchmarks/bench_engine.py predict            # files to JSON lines, from DICOM and from WFDB
    python tests/benchmarks/bench_engine.py score [--store postgresql://…]
    python tests/benchmarks/bench_engine.py latency [--seconds 60] [--backlog 10000]
    python tests/benchmarks/bench_engine.py bytes
    python tests/benchmarks/bench_engine.py table [--store postgresql://…]   # all of it in less than 8 minutes, 2 cores

Each rate stands beside the bare steps of the same work, measured in the same run: processors, and the load of others on
this one, differ by more than what is compared.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import BytesIO
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import Event

import numpy as np
import pydicom
from sqlalchemy import text

from ecgfm.feeding import Prepared, prepared
from ecgfm.signal import BY_CLOCK
from ecgfm_clinical import wiring
from ecgfm_clinical.files import answers, outputs
from ecgfm_clinical.files.preparing import Found, pieces, prepare_file
from ecgfm_clinical.files.reading import context_of
from ecgfm_clinical.files.streaming import Tally, stream
from ecgfm_clinical.pipeline import preparing
from ecgfm_clinical.pipeline.scoring import Scorer
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import HeadRules, read_settings
from ecgfm_clinical.shipped import recordings
from ecgfm_clinical.staging import migrations
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.files import payload
from ecgfm_connectors.hl7.message import parse
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import cart, dicom_writer
from ecgfm_connectors.testing.ehr import EhrReceiver
from tests.benchmarks.bench_store import NullPredictor, ingest_of, opened, received
from tests.helpers.fakes import make_ecg

ROUNDS = 3
#: ECGs that are scored before any are counted: a second process beside a worker begins with its second portion. Its
#: start is waited for then: it took 3 ms of each ECG that was counted meanwhile.
WARM = 130
PATIENCE = 300.0  #: s that two workers wait for each other


def ecg(number: int) -> Ecg:
    """A shipped recording (generated, 10 s, 500 Hz) of an invented patient, the amplitude its own."""
    signal = recordings.load(number % recordings.count()) * (1 + number / 10_000)
    return replace(make_ecg(number), signal=signal.astype(np.float32))


def write_wfdb(folder: Path, number: int) -> Path:
    """A record as the research archives have it: a header and 16-bit samples."""
    signal = np.rint(ecg(number).signal * 1000).astype("<i2")
    names = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
    lines = [f"{number:05} 12 500 {signal.shape[1]}"]
    lines += [f"{number:05}.dat 16 1000.0(0)/mV 16 0 {signal[row, 0]} 0 0 {name}" for row, name in enumerate(names)]
    (folder / f"{number:05}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{number:05}.dat").write_bytes(signal.T.tobytes())
    return folder / f"{number:05}.hea"


def seconds_each(step: Callable[[], object], count: int) -> float:
    """The best of a few rounds, per piece: others on this machine only make it longer."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        step()
        best = min(best, (time.perf_counter() - started) / count)
    return best


def null_answers(records: Iterable[Prepared[Found]]) -> Iterator[answers.Answer]:
    for one, found in NullPredictor().predictions(records):
        assert not isinstance(found, Exception)
        yield answers.Answer(found=one.what, input_digest=one.input_digest, prediction=found, error=one.what.error)


def predict(count: int) -> None:
    """`predict` end to end with a null network."""
    cores = len(os.sched_getaffinity(0))
    origin = answers.Origin(model_id="0" * 64, preprocessing=BY_CLOCK, runtime="null")
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made:
        folder = Path(made)
        for kind in ("dicom", "wfdb"):
            own = folder / kind
            own.mkdir()
            for number in range(count):
                if kind == "wfdb":
                    write_wfdb(own, number)
                else:
                    (own / f"{number:05}.dcm").write_bytes(dicom_writer.write_ecg(ecg(number)))
            files = sorted(own.glob("*.dcm" if kind == "dicom" else "*.hea"))
            todo = list(pieces(files, named=frozenset(), settings=None, preprocessing=BY_CLOCK))
            few = todo[:200]
            bare = seconds_each(lambda few=few: [prepare_file(one) for one in few], len(few))  # type: ignore[misc]
            bare_work = work_each(lambda few=few: [prepare_file(one) for one in few], len(few))  # type: ignore[misc]
            decoding = seconds_each(lambda few=few: [_decode(one.path) for one in few], len(few))  # type: ignore[misc]
            print(f"{kind}: read and prepare {1000 * bare:.2f} ms, of it reading and decoding {1000 * decoding:.2f} ms")
            if kind == "dicom":
                library = seconds_each(lambda few=few: [_library(one.path) for one in few], len(few))  # type: ignore[misc]
                print(
                    f"dicom: decoding ÷ (dcmread + waveform_array, {1000 * library:.2f} ms) = {decoding / library:.2f}"
                )
            rates = {}
            for used in sorted({1, cores}):
                out = folder / f"{kind}-{used}.jsonl"
                rates[used], work = _streamed(todo, out, origin, used)
                share = rates[used] * bare / used
                print(
                    f"{kind}: {used} cores {rates[used]:.0f} ECG/s = {share:.2f} × cores ÷ bare; processor time of all "
                    f"processes {1000 * work:.2f} ms an ECG, of which {bare_work / work:.2f} is bare"
                )
            if cores > 1:
                print(f"{kind}: {cores} cores ÷ 1: {rates[cores] / rates[1]:.2f}", flush=True)


def _decode(path: Path) -> Contents:
    return read(payload.load(path), context_of(None))


def _library(path: Path) -> object:
    return pydicom.dcmread(BytesIO(path.read_bytes())).waveform_array(0)


def work_each(step: Callable[[], object], count: int) -> float:
    """As `seconds_each`, of processor time: others cost it little, however long they keep the processors."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        step()
        best = min(best, (time.process_time() - started) / count)
    return best


def _streamed(todo: Sequence[object], out: Path, origin: answers.Origin, cores: int) -> tuple[float, float]:
    """ECGs a second on so many cores with as many processes, and the processor time of all of them for one ECG.

    The start of the processes is taken off both. On one core everything shares it, the writer too.
    """
    marks: list[tuple[int, float, float]] = []
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if done == 1:
            _wait_until_started()
            _keep_on(sorted(mine)[:cores])
        if done in (len(todo) // 10, len(todo)):
            marks.append((done, time.perf_counter(), _processor_time()))

    mine = os.sched_getaffinity(0)
    output = outputs.json_lines(out, answers.predicted_document, origin)
    try:
        stream(
            todo,  # type: ignore[arg-type]
            null_answers,
            output,
            tally=Tally(files=len(todo)),
            stop=Event(),
            processes=cores,
            tell=tell,
        )
    finally:
        _keep_on(mine)
    output.close()
    (begun, at, work), (ended, then, worked) = marks
    return (ended - begun) / (then - at), (worked - work) / (ended - begun)


def _wait_until_started() -> None:
    """Until nothing below works any more: each new process imports this file first, for seconds, and then has read all
    that it may read ahead.
    """
    before = -1.0
    while (now := _processor_time()) > before + 0.02:
        before = now
        time.sleep(1.0)


def _keep_on(cores: Iterable[int], *others: int) -> None:
    """Every thread of this process, of these others, and of all below them runs on these cores only."""
    of = _processes()
    for process in {below for top in (os.getpid(), *others) for below in _below(of, top)}:
        for thread in Path(f"/proc/{process}/task").glob("*"):
            with suppress(OSError):
                os.sched_setaffinity(int(thread.name), cores)


def _processor_time(*others: int) -> float:
    """Seconds of this process, of these others, and of all below them, whoever started them."""
    of = _processes()
    return sum(of[process][1] for top in (os.getpid(), *others) for process in _below(of, top))


def _processes() -> dict[int, tuple[int, float]]:
    """Process -> its parent, and its processor time in seconds."""
    of: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = path.read_text().rpartition(")")[2].split()
            of[int(path.parent.name)] = int(words[1]), (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return of


def _below(of: dict[int, tuple[int, float]], top: int) -> Iterator[int]:
    """This process and its descendants."""
    for process in of:
        above = process
        while above in of and above != top:
            above = of[above][0]
        if above == top:
            yield process


def table(url: str) -> None:
    """Everything but the GPU, and a load before and after it: a table is worth as much as the machine was quiet."""
    steps: list[partial[None]] = [partial(predict, 800), partial(score, "", 1000)]
    steps += [partial(score, url, 1000)] if url else []
    for what in (*steps, partial(weigh, "", 60), partial(latency, "", 30.0, 4000)):
        began, load = time.perf_counter(), os.getloadavg()[0]
        what()
        print(f"  {time.perf_counter() - began:.0f} s, load {load:.1f} before", flush=True)


def score(url: str, count: int) -> None:
    """The `score` role with a null network: one worker alone, with processes beside it, and two workers."""
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made:
        url = url or f"sqlite:///{made}/score.db"
        store = opened(url)
        ingest = ingest_of(store)
        for number in range(5 * (count + 2 * WARM) + 100):
            ingest(received(dicom_writer.write_ecg(ecg(number))))
        bare = _bare_steps(store, 100)
        cores, rates, server = sorted(os.sched_getaffinity(0)), {}, _server(store)
        for name, processes, used in (
            ("one core, 0 processes beside", 0, cores[:1]),
            *((f"{len(cores)} cores, {beside} processes beside", beside, cores) for beside in (0, 1, 2)),
        ):
            with closing(_scorer(store, url, "score", processes)) as scorer:
                _keep_on(used, *server)
                _scored(store, scorer, WARM)
                _wait_until_started()
                rates[name] = _scored(store, scorer, count, *server)
                _keep_on(cores, *server)
        rates[f"{len(cores)} cores, two workers"] = _two_workers(store, url, count, *server)
        for name, (rate, work) in rates.items():
            print(
                f"{name}: {rate:.0f} ECG/s = {rate * bare:.2f} ÷ bare; processor time of all processes "
                f"{1000 * work:.2f} ms an ECG",
                flush=True,
            )
        one, *all_cores = (rate for rate, _ in rates.values())
        print(f"the best of {len(cores)} cores ÷ one core: {max(all_cores) / one:.2f}")
        store.close()


def _server(store: Store) -> list[int]:
    """The process above all others of a PostgreSQL server on this machine: what runs on one core has its server there
    too, or it would have two cores.
    """
    if store.database.writes_singly:
        return []
    with store.database.reading() as ask:
        backend = ask.connection.scalar(text("SELECT pg_backend_pid()"))
    above = _processes().get(backend or 0)
    if above is None:
        print("the server is on another machine, or its processes are not to be seen: one core is one without it")
        return []
    return [above[0]]


def _scorer(store: Store, url: str, worker: str, processes: int) -> Scorer:
    return Scorer(
        store,
        NullPredictor(),
        rules=lambda _: HeadRules(),
        worker=worker,
        clock=wiring.utc_now,
        batch_size=64,
        lease=timedelta(minutes=5),
        max_attempts=3,
        run_for=1e9,
        processes=processes,
        open_store=partial(opened, url),
    )


def _two_workers(store: Store, url: str, count: int, *server: int) -> tuple[float, float]:
    """As `_scored`, of two `score` processes on one store, from when both have their work until both have none."""
    context = multiprocessing.get_context("spawn")
    both = context.Barrier(2)
    other = context.Process(target=_second_worker, args=(url, both), daemon=True)
    other.start()
    with closing(_scorer(store, url, "first", 0)) as scorer:
        for some in (2 * WARM, count):
            _leave_due(store, some)
            both.wait(PATIENCE)
            started, before = time.perf_counter(), _processor_time(*server)
            scorer.run_batch()
            both.wait(PATIENCE)
            elapsed, work = time.perf_counter() - started, _processor_time(*server) - before
            _all_due(store)
    other.join()
    return count / elapsed, work / count


def _second_worker(url: str, both: Barrier) -> None:
    store = opened(url)
    with closing(_scorer(store, url, "second", 0)) as scorer:
        for _ in range(2):
            both.wait(PATIENCE)
            scorer.run_batch()
            both.wait(PATIENCE)
    store.close()


def _bare_steps(store: Store, count: int) -> float:
    """Seconds an ECG, one step after the other, 16 ECGs at a time, without any engine."""
    predictor = NullPredictor()
    rules = {"reduced_lvef": HeadRules()}
    scorer = Scorer(
        store,
        predictor,
        rules=lambda _: HeadRules(),
        worker="bare",
        clock=wiring.utc_now,
        batch_size=16,
        lease=timedelta(minutes=5),
        max_attempts=3,
    )
    spent, done, at = 0.0, 0, 0.0
    work = dict.fromkeys(("load", "judge", "prepare", "finish"), 0.0)

    def ended(step: str) -> None:
        nonlocal at
        now = time.process_time()
        work[step] += now - at
        at = now

    while done < count:
        jobs = store.jobs.claim(worker="bare", limit=16, now=wiring.utc_now(), lease=timedelta(minutes=5))
        started, at = time.perf_counter(), time.process_time()
        loaded = store.ecgs.load([job.ecg_id for job in jobs])
        ended("load")
        scored = []
        for job, one in zip(jobs, loaded, strict=True):
            judged = preparing.judged_by(one, rules)
            ended("judge")
            prepared(None, preparing.record_of(one), BY_CLOCK)
            ended("prepare")
            scored.append((job, scorer._scoring(job.ecg_id, judged, predictor.predict([None])[0], wiring.utc_now())))  # type: ignore[list-item]
        store.jobs.finish(scored, now=wiring.utc_now(), worker="bare")
        ended("finish")
        spent += time.perf_counter() - started
        done += len(jobs)
    steps = " + ".join(f"{step} {1000 * seconds / done:.2f}" for step, seconds in work.items())
    print(f"bare {1000 * spent / done:.2f} ms an ECG; processor time of this process: {steps} ms", flush=True)
    return spent / done


def _scored(store: Store, scorer: Scorer, count: int, *server: int) -> tuple[float, float]:
    """ECGs a second over one run that ends after `count`, and the processor time of all processes for one, s."""
    _leave_due(store, count)
    started, before = time.perf_counter(), _processor_time(*server)
    done = scorer.run_batch()
    elapsed, work = time.perf_counter() - started, _processor_time(*server) - before
    _all_due(store)
    return done / elapsed, work / done


def _leave_due(store: Store, count: int) -> None:
    """The others, as if tried before, wait until later."""
    with store.database.writing(wiring.utc_now(), "bench") as tx:
        later = wiring.utc_now() + timedelta(minutes=5)
        tx.connection.execute(
            text(
                "UPDATE score_job SET due_at = :later, attempts = 1 WHERE state = 'waiting' AND job_id NOT IN"
                " (SELECT job_id FROM score_job WHERE state = 'waiting' ORDER BY job_id LIMIT :some)"
            ),
            {"later": later.replace(tzinfo=None) if store.database.writes_singly else later, "some": count},
        )


def _all_due(store: Store) -> None:
    with store.database.writing(wiring.utc_now(), "bench") as tx:
        tx.connection.execute(text("UPDATE score_job SET due_at = created_at, attempts = 0 WHERE state = 'waiting'"))


SETTINGS = """
[site]
name = "Benchmark Hospital"
authority = "TEST"
[store]
url = "{url}"
min_free_mb = 0
[model]
bundle = "demo"
device = "cpu"
[[listeners.dicom]]
name = "dicom"
host = "127.0.0.1"
port = 0
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = {ehr}
"""


def latency(url: str, seconds: float, backlog: int) -> None:
    """From C-STORE to the ORU at its receiver, with the model that ships; and a STAT ECG before a backlog."""
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made:
        ehr = Clocked()
        ehr.start()
        path = Path(made) / "settings.toml"
        path.write_text(SETTINGS.format(url=url or f"sqlite:///{made}/store.db", ehr=ehr.port), encoding="utf-8")
        settings = read_settings(path)
        migrations.upgrade(settings.store_url)
        store = wiring.open_store(settings)
        service = Service(settings, "all", store)
        service.start()
        try:
            port = service.ports["dicom"]
            _send([ecg(1)], port)
            ehr.wait_for(1)
            sent = _at_pace(port, 5.0, seconds)
            ehr.wait_for(1 + len(sent), timeout=120)
            waits = sorted(ehr.arrived[number] - at for number, at in sent.items())
            p50, p99 = statistics.median(waits), waits[min(len(waits) - 1, round(0.99 * len(waits)))]
            print(
                f"{len(waits)} ECGs at 5 a second: p50 {p50:.3f} s, p99 {p99:.3f} s, longest {waits[-1]:.3f} s",
                flush=True,
            )
        finally:
            service.stop()
        if backlog:
            _stat_before(settings, store, ehr, backlog)
        store.close()
        ehr.stop()


def _stat_before(settings: object, store: Store, ehr: "Clocked", backlog: int) -> None:
    """`backlog` ECGs wait when the service starts; then a STAT one comes."""
    handle = wiring.build_ingest(settings, store, "dicom")  # type: ignore[arg-type]
    for number in range(100_000, 100_000 + backlog):
        handle(replace(received(dicom_writer.write_ecg(ecg(number))), source="dicom"))
    service = Service(settings, "all", store)  # type: ignore[arg-type]
    service.start()
    try:
        before = len(ehr.messages)
        ehr.wait_for(before + 20)
        waits = []
        for number in range(900_000, 900_005):
            urgent = replace(ecg(number), order=Order(stat=True))
            at = time.perf_counter()
            _send([urgent], service.ports["dicom"])
            ehr.wait_until(number)
            waits.append(ehr.arrived[number] - at)
        waiting = store.questions.backlog()
        print(
            f"STAT before a backlog of {backlog}: longest {max(waits):.3f} s, median {statistics.median(waits):.3f} s"
        )
        print(f"still waiting then: {waiting.jobs if hasattr(waiting, 'jobs') else waiting}", flush=True)
    finally:
        service.stop()


class Clocked(EhrReceiver):
    """Notes when the result of each patient came."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: dict[int, float] = {}
        self._news = threading.Condition()

    def _keep(self, body: bytes):  # type: ignore[no-untyped-def]
        at = time.perf_counter()
        number = _number_in(body)
        with self._news:
            self.arrived.setdefault(number, at)
            self._news.notify_all()
        return super()._keep(body)

    def wait_until(self, number: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: number in self.arrived, 120)


def _number_in(body: bytes) -> int:
    """Of the ECG, by its patient's number."""
    (pid,) = parse(body).all("PID")
    return int("".join(letter for letter in pid.value(3).partition("^")[0] if letter.isdigit()))


def _send(ecgs: Sequence[Ecg], port: int) -> None:
    for answer in cart.send([dicom_writer.write_ecg(one) for one in ecgs], host="127.0.0.1", port=port):
        assert answer.status == 0


def _at_pace(port: int, rate: float, seconds: float) -> dict[int, float]:
    """ECG -> when its C-STORE began; by a clock, whether the one before was answered or not."""
    sent: dict[int, float] = {}
    threads = []
    began = time.perf_counter()
    for place in range(round(rate * seconds)):
        time.sleep(max(0.0, began + place / rate - time.perf_counter()))
        number = 10_000 + place
        thread = threading.Thread(target=_send, args=([ecg(number)], port))
        sent[number] = time.perf_counter()
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return sent


def weigh(url: str, count: int) -> None:
    """Bytes an ECG takes in the store in all, scored and told."""
    from tests.benchmarks.bench_store import reporter_of, scorer_of

    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as made:
        store = opened(url or f"sqlite:///{made}/store.db")
        empty = _size(store, Path(made))
        ingest, content = ingest_of(store), 0
        for number in range(count):
            one = dicom_writer.write_ecg(ecg(number))
            content += len(one)
            ingest(received(one))
        for step in (scorer_of(store).run_batch, reporter_of(store).run_batch):
            while step():
                pass
        each = (_size(store, Path(made)) - empty) / count
        print(f"{count} ECGs of {content / count / 1000:.0f} kB: {each / 1000:.1f} kB each in the store, all told")
        store.close()


def _size(store: Store, folder: Path) -> int:
    with store.database.reading() as ask:
        if store.database.writes_singly:
            pages = ask.connection.scalar(text("PRAGMA page_count")) or 0
            return int(pages) * int(ask.connection.scalar(text("PRAGMA page_size")) or 0)
        return int(ask.connection.scalar(text("SELECT pg_database_size(current_database())")) or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("predict", "score", "latency", "bytes", "table"))
    parser.add_argument(
        "--store", default="", help="an empty PostgreSQL database; SQLite in a temporary folder if not given"
    )
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--backlog", type=int, default=10_000)
    given = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
    )
    if given.what == "predict":
        predict(given.count)
    elif given.what == "score":
        score(given.store, given.count)
    elif given.what == "latency":
        latency(given.store, given.seconds, given.backlog)
    elif given.what == "table":
        table(given.store)
    else:
        weigh(given.store, min(given.count, 300))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
