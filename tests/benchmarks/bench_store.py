"""Rates of the staging store against bare statements, and of a store with a million ECGs of history against an empty
one.

    python tests/benchmarks/bench_store.py                             # SQLite in a temporary folder
    python tests/benchmarks/bench_store.py --store postgresql://…      # an empty database for the bare statements and
                                       --history postgresql://…        # another for the history
    … --rows 1000000 --seconds 3 --rounds 3 --only scale

A store named by --history is filled once and used again the next time. Each pair is measured in turn, round by round,
in one process; the printed ratio is that of the medians.
"""

import argparse
import itertools
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    insert,
    text,
)

from ecgfm.feeding import Prepared, fed
from ecgfm.predictor import HeadPrediction, Prediction
from ecgfm.records import Record
from ecgfm.signal import BY_CLOCK
from ecgfm_clinical import telling, wiring
from ecgfm_clinical.pipeline.composing import Composer
from ecgfm_clinical.pipeline.ingest import Ingest
from ecgfm_clinical.pipeline.reporting import Reporter
from ecgfm_clinical.pipeline.scoring import Scorer
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging import schema
from ecgfm_clinical.staging.records import Draft, Score, Scoring, Telling
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.hl7.ack import reaction
from ecgfm_connectors.hl7.profile import Profile
from ecgfm_connectors.hl7.result import compose
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.reading import read
from ecgfm_connectors.result import Ack
from ecgfm_connectors.testing import dicom_writer
from tests.helpers.fakes import make_ecg

NOW = datetime(2031, 5, 6, 12, tzinfo=UTC)
LEASE = timedelta(minutes=5)
NUMBERS = itertools.count(time.time_ns() // 1000)  # unique in a history used before
T = TypeVar("T")
PAYLOAD_BYTES = 247_000
SAMPLES = 5000


def rate(step: Callable[[], int], seconds: float) -> float:
    """Things done a second; `step` returns how many it did."""
    done: int = 0
    elapsed: float = 0.0
    started = time.perf_counter()
    while elapsed < seconds:
        done += step()
        elapsed = time.perf_counter() - started
    speed: float = done / elapsed
    return speed


def compare(name: str, base: Callable[[], int], ours: Callable[[], int], *, seconds: float, rounds: int) -> float:
    """Measure both in turn and print the ratio of the medians."""
    pairs = [(rate(base, seconds), rate(ours, seconds)) for _ in range(rounds)]
    one, other = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"{name:44} {one:10.1f} {other:10.1f} /s  ratio {other / one:5.2f}", flush=True)
    ratio: float = other / one
    return ratio


class Filler:
    """ECGs, jobs and messages for one store, one step a call."""

    def __init__(self, store: Store, *, samples: int, payload_bytes: int) -> None:
        self.store = store
        self.signal = np.random.default_rng(1).normal(size=(12, samples)).astype(np.float32)
        self.content = np.random.default_rng(2).bytes(payload_bytes)

    def ecg(self, number: int) -> Ecg:
        return Ecg(
            source_id=f"1.2.826.9.{number}",
            format="dicom",
            patient=Patient(identifiers=(Identifier(authority="BENCH", value=f"{number}"),)),
            acquired=None,
            sampling_rate=500.0,
            signal=self.signal.copy(),
            stored_leads=LEADS,
        )

    def take(self) -> int:
        number = next(NUMBERS)
        content = self.content + number.to_bytes(8, "big")
        received = Received(transport="dicom", source="bench", content=content, received_at=NOW)
        self.store.intake.record(received, Contents(ecgs=(self.ecg(number),)), now=NOW, actor="bench")
        return 1

    def claim_ten(self) -> int:
        return len(self.store.jobs.claim(worker="bench", limit=10, now=NOW, lease=LEASE))

    def finish(self) -> int:
        jobs = self.store.jobs.claim(worker="bench", limit=1, now=NOW, lease=LEASE)
        for job in jobs:
            self.store.jobs.finish([(job, scoring(job.ecg_id))], now=NOW, worker="bench")
        return len(jobs)

    def claim_ten_messages(self) -> int:
        return len(self.store.outbox.claim(worker="bench", destination="ehr", limit=10, now=NOW, lease=LEASE))

    def status(self) -> int:
        self.store.questions.count_table()
        self.store.questions.backlog()
        return 1

    def enough(self, claimed_a_second: int, seconds: float, rounds: int) -> int:
        """How many to queue so that none is missing on a quick machine; PostgreSQL claims a fifth as many."""
        slower = 5 if self.store.database.reader.dialect.name == "postgresql" else 1
        return int(2 * claimed_a_second * seconds * rounds / slower)

    def queue_jobs(self, count: int) -> None:
        """Waiting jobs for one known ECG: claiming them is what is measured."""
        values = {"state": "waiting", "priority": 10, "attempts": 0, "suspect": False, "due_at": NOW, "created_at": NOW}
        with self.store.database.writer.begin() as connection:
            ecg_id = connection.scalar(text("SELECT max(ecg_id) FROM ecg"))
            connection.execute(insert(schema.score_job), [{"ecg_id": ecg_id, **values}] * count)
        self.analyse()

    def queue_messages(self, count: int) -> None:
        """Waiting messages, each of an ECG and a patient of its own."""
        with self.store.database.writer.begin() as connection:
            scoring_id = connection.scalar(text("SELECT max(scoring_id) FROM scoring"))
            first = self._copy_ecgs(connection, count)
            connection.execute(
                insert(schema.message),
                [
                    {
                        "ecg_id": first + place,
                        "scoring_id": scoring_id,
                        "destination": "ehr",
                        "result_version": 1000,
                        "control_id": f"Q{number}",
                        "kind": "F",
                        "patient_key": f"{number:032x}",
                        "state": "waiting",
                        "priority": 10,
                        "attempts": 0,
                        "in_doubt": 0,
                        "due_at": NOW,
                        "created_at": NOW,
                    }
                    for place, number in enumerate(itertools.islice(NUMBERS, count))
                ],
            )
        self.analyse()

    def analyse(self) -> None:
        """What PostgreSQL's autovacuum does within a minute after so many new rows (migration 0004)."""
        if self.store.database.reader.dialect.name != "postgresql":
            return
        with self.store.database.reader.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")

    def _copy_ecgs(self, connection: Connection, count: int) -> int:
        """`count` copies of the newest ECG; the id of the first."""
        row = dict(connection.execute(text("SELECT * FROM ecg ORDER BY ecg_id DESC LIMIT 1")).one()._mapping)
        first = int(row["ecg_id"]) + 1
        columns = ", ".join(name for name in row if name not in ("ecg_id", "source_key"))
        connection.execute(
            text(
                f"INSERT INTO ecg (ecg_id, source_key, {columns})"
                f" SELECT :id, :key, {columns} FROM ecg WHERE ecg_id = {first - 1}"
            ),
            [{"id": first + place, "key": f"{first + place:032x}"} for place in range(count)],
        )
        if connection.dialect.name == "postgresql":
            _advance(connection, "ecg", "ecg_id")
        return first


def some_message(draft: Draft) -> bytes:
    """As long as a result is."""
    return draft.control_id.encode().ljust(1500)


TELLING = Telling(destinations=("ehr",), compose=some_message, control_ids=lambda: f"B{next(NUMBERS)}")


def scoring(ecg_id: int) -> Scoring:
    return Scoring(
        ecg_id=ecg_id,
        model_id="a" * 64,
        model_name="null",
        model_version="1",
        preprocessing="1",
        runtime="null",
        input_digest="",
        scored_at=NOW,
        scores=(
            Score(head="reduced_lvef", label="lvef<=40", probability=0.2, logit=-1.0, threshold=0.5, positive=False),
            Score(head="troponin", label="elevated", probability=0.1, logit=-2.0, threshold=0.5, positive=False),
        ),
    )


BARE = Table(
    "bare_insert",
    MetaData(),
    Column("sha256", String(64), primary_key=True),
    Column("content", LargeBinary),
    Column("signal", LargeBinary),
)
BARE_CLAIM = """
    UPDATE score_job SET state = 'running', worker = 'bare', attempts = attempts + 1, lease_until = :until
    WHERE job_id IN (SELECT job_id FROM score_job WHERE state = 'waiting' AND due_at <= :now
                     ORDER BY priority, due_at, job_id LIMIT 10 {lock}) RETURNING job_id, ecg_id
"""


def bare_insert(database: Engine, filler: Filler) -> Callable[[], int]:
    """The same bytes by plain SQLAlchemy Core, a commit a row, as durable."""
    signal = filler.signal.tobytes()

    def step() -> int:
        with database.begin() as connection:
            values = {"sha256": f"{next(NUMBERS):064x}", "content": filler.content, "signal": signal}
            connection.execute(insert(BARE), values)
        return 1

    return step


@contextmanager
def plain_sqlite() -> Iterator[Engine]:
    """A file of its own, with SQLite's own settings but for durability: what a program without a staging store
    would use.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = create_engine(f"sqlite:///{folder}/plain.db")

        @event.listens_for(database, "connect")
        def durable(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")

        yield database
        database.dispose()


def bare_claim(database: Engine) -> Callable[[], int]:
    lock = "FOR UPDATE SKIP LOCKED" if database.dialect.name == "postgresql" else ""
    typed = text(BARE_CLAIM.format(lock=lock)).bindparams(
        bindparam("now", NOW, schema.UtcDateTime), bindparam("until", NOW + LEASE, schema.UtcDateTime)
    )

    def step() -> int:
        with database.begin() as connection:
            return len(connection.execute(typed).all())

    return step


def rates(url: str, *, seconds: float, rounds: int) -> None:
    """Against bare statements."""
    store = Store.open(url, create=True, telling=TELLING)
    filler = Filler(store, samples=SAMPLES, payload_bytes=PAYLOAD_BYTES)
    BARE.create(store.database.writer)
    print(f"{'':44} {'bare':>10} {'store':>10}")
    insert_of_247_kb = partial(compare, ours=filler.take, seconds=seconds, rounds=rounds)
    if store.database.reader.dialect.name == "sqlite":
        with plain_sqlite() as plain:
            BARE.create(plain)
            insert_of_247_kb("insert, against SQLite as it comes", bare_insert(plain, filler))
    insert_of_247_kb("insert, against the store's own connection", bare_insert(store.database.writer, filler))
    filler.queue_jobs(filler.enough(40_000, seconds, rounds))
    compare("claim in tens", bare_claim(store.database.writer), filler.claim_ten, seconds=seconds, rounds=rounds)
    store.close()


class NullPredictor:
    """Answers at once, so that what remains is everything but the model."""

    model_id, model_name, model_version = "0" * 64, "null", "1"
    preprocessing, runtime, demo = BY_CLOCK, "null", True
    labels: ClassVar = {"reduced_lvef": ("lvef<=40",)}

    def predict(self, records: Sequence[Record]) -> list[Prediction]:
        return [self._answer() for _ in records]

    def predictions(self, prepared: Iterable[Prepared[T]]) -> Iterator[tuple[Prepared[T], Prediction | Exception]]:
        """Through the same calls as a network's."""
        for one, _ in fed(prepared, lambda segments: {"": segments[:, 0, :1]}, size=64, alone=False):
            yield one, self._answer()

    def _answer(self) -> Prediction:
        head = HeadPrediction(
            head="reduced_lvef",
            label="lvef<=40",
            probability=0.5,
            logit=0.0,
            segment_probabilities=(0.5, 0.5),
            threshold=None,
        )
        return Prediction(
            model_id=self.model_id,
            preprocessing=self.preprocessing,
            runtime="null",
            input_digest="",
            segments=2,
            heads=(head,),
            reasons=(),
        )


class NullDestination:
    """Acknowledges at once."""

    name = "ehr"

    def send(self, body: bytes, *, control_id: str) -> Ack:
        return Ack(code="AA", control_id=control_id)

    def check(self) -> str:
        return ""

    def close(self) -> None:
        return


FORMATS = {"ehr": partial(compose, profile=Profile(filler_namespace="BENCH", zone=UTC))}


def opened(url: str) -> Store:
    return Store.open(
        url,
        create=True,
        telling=Telling(
            destinations=("ehr",), compose=Composer(FORMATS, device_id="bench"), control_ids=telling.control_id
        ),
    )


def ingest_of(store: Store) -> Ingest:
    context = ReadingContext(default_authority="BENCH", zone=UTC)
    return Ingest(store, read=partial(read, context=context), clock=wiring.utc_now)


def scorer_of(store: Store) -> Scorer:
    return Scorer(
        store,
        NullPredictor(),
        rules=lambda _: HeadRules(),
        worker="score",
        clock=wiring.utc_now,
        batch_size=16,
        lease=LEASE,
        max_attempts=3,
    )


def reporter_of(store: Store) -> Reporter:
    return Reporter(
        store,
        NullDestination(),
        react=reaction,
        worker="report",
        clock=wiring.utc_now,
        max_attempts=None,
        lease=LEASE,
    )


def received(content: bytes) -> Received:
    return Received(transport="dicom", source="bench", content=content, received_at=NOW)


def pipeline(url: str, payloads: Sequence[bytes]) -> None:
    """DICOM bytes to acknowledged result, one step after the other: where the time goes."""
    store = opened(url)
    ingest, scorer, reporter = ingest_of(store), scorer_of(store), reporter_of(store)
    wall, cpu = [time.perf_counter()], [time.process_time()]
    for content in payloads:
        ingest(received(content))
    wall.append(time.perf_counter())
    cpu.append(time.process_time())
    for step in (scorer.run_batch, reporter.run_batch):
        while step():
            pass
        wall.append(time.perf_counter())
        cpu.append(time.process_time())
    _all_told(store, len(payloads))
    store.close()
    for what, times in (("elapsed", wall), ("of it processor", cpu)):
        steps = [1000 * (end - start) / len(payloads) for start, end in itertools.pairwise(times)]
        told = ", ".join(f"{name} {ms:.1f}" for name, ms in zip(("ingest", "score", "report"), steps, strict=True))
        print(f"one step after the other, ms per ECG, {what:16}: {told}")


def pipeline_at_once(url: str, payloads: Sequence[bytes], *, processes: bool) -> None:
    """The same with all roles at work at once: threads of one process, as `run` does on SQLite, or a process each."""
    store = opened(url)
    context: Any = multiprocessing.get_context("fork") if processes else threading
    make = context.Process if processes else context.Thread
    done = context.Event()
    shared = None if processes else store
    everyone = [
        make(target=_take_all, args=(shared, url, payloads)),
        make(target=_until, args=(done, shared, url, scorer_of)),
        make(target=_until, args=(done, shared, url, reporter_of)),
    ]
    started = time.perf_counter()
    for one in everyone:
        one.start()
    everyone[0].join()
    taken = time.perf_counter() - started
    while store.questions.counts().waiting or store.questions.backlog().destinations:
        time.sleep(0.02)
    elapsed = time.perf_counter() - started
    done.set()
    for one in everyone:
        one.join()
    _all_told(store, len(payloads))
    store.close()
    print(
        f"pipeline with a null model, {'three processes' if processes else 'one process, three threads'}: "
        f"{len(payloads) / elapsed:.0f} ECG/s (all taken in after {taken:.1f} s, all told after {elapsed:.1f} s)",
        flush=True,
    )


def _take_all(shared: Store | None, url: str, payloads: Sequence[bytes]) -> None:
    ingest = ingest_of(shared or opened(url))
    for content in payloads:
        ingest(received(content))


def _until(done: Any, shared: Store | None, url: str, make: Callable[[Store], Scorer | Reporter]) -> None:
    worker = make(shared or opened(url))
    while not done.is_set():
        if not worker.run_batch():
            time.sleep(0.005)


def _all_told(store: Store, count: int) -> None:
    counts = store.questions.counts()
    assert counts.scored + counts.not_evaluable == counts.received == count
    assert not store.questions.backlog().destinations


def scale(empty_url: str, full_url: str, *, rows: int, seconds: float, rounds: int) -> None:
    """Empty against `rows` ECGs of history."""
    stores = [Store.open(url, create=True, telling=TELLING) for url in (empty_url, full_url)]
    started = time.perf_counter()
    if stores[1].questions.counts().received < rows:
        fill_history(stores[1], rows)
        print(f"{rows} ECGs of history written in {time.perf_counter() - started:.0f} s")
    if not seconds:
        return
    empty, full = (Filler(store, samples=10, payload_bytes=1000) for store in stores)
    print(f"{'':44} {'empty':>10} {'full':>10}")
    compare("insert", empty.take, full.take, seconds=seconds, rounds=rounds)
    compare("finish scoring with one message", empty.finish, full.finish, seconds=seconds, rounds=rounds)
    for filler in (empty, full):
        filler.queue_jobs(filler.enough(40_000, seconds, rounds))
    compare("claim in tens", empty.claim_ten, full.claim_ten, seconds=seconds, rounds=rounds)
    for filler in (empty, full):
        filler.queue_messages(filler.enough(6_000, seconds, rounds))
    compare("claim messages in tens", empty.claim_ten_messages, full.claim_ten_messages, seconds=seconds, rounds=rounds)
    compare("status", empty.status, full.status, seconds=seconds, rounds=rounds)
    for store in stores:
        store.close()


#: More entries than a new store puts into its own audit trail.
_OWN_ENTRIES = 1000


def fill_history(store: Store, rows: int) -> None:
    """`rows` scored and acknowledged ECGs over two years, straight into the tables, without waveforms."""
    postgresql = store.database.writer.dialect.name == "postgresql"
    numbers = (
        f"SELECT generate_series(1, {rows}) AS n"
        if postgresql
        else f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {rows}) SELECT n FROM c"
    )
    key = "md5(n::text)" if postgresql else "lower(printf('%08x', (n * 2654435761) % 4294967296) || printf('%024x', n))"
    at = (
        "timestamptz '2029-05-01' + n * interval '63 seconds'"
        if postgresql
        else "strftime('%Y-%m-%d %H:%M:%S.000000', 1872201600 + n * 63, 'unixepoch')"
    )
    blob, no = ("'\\x7b7d'::bytea", "false") if postgresql else ("x'7b7d'", "0")
    day = f"substr(cast({at} AS text), 1, 10)"
    statements = [
        (
            "INSERT INTO payload (payload_id, sha256, size, transport, source, received_at, disposition, format, code, "
            f"text, findings, private) SELECT n, {key} || {key}, 1, 'dicom', 'cart', {at}, 'staged', 'dicom', '', '', "
            f"'[]', {blob} FROM ({numbers}) AS s"
        ),
        (
            "INSERT INTO ecg (ecg_id, recording_id, payload_id, source_key, version, source, format, received_at, "
            "patient_key, state, priority, scoring_id, sampling_rate, samples, about, private) SELECT n, n, n, "
            f"{key}, 1, 'cart', 'dicom', {at}, {key}, 'scored', 10, n, 500, 5000, '{{}}', {blob} FROM ({numbers}) AS s"
        ),
        (
            "INSERT INTO score_job (job_id, ecg_id, state, priority, attempts, suspect, due_at, created_at, "
            f"finished_at) SELECT n, n, 'done', 10, 1, {no}, {at}, {at}, {at} FROM ({numbers}) AS s"
        ),
        (
            "INSERT INTO scoring (scoring_id, ecg_id, model_id, model_name, model_version, preprocessing, runtime,"
            f" input_digest, output_digest, scored_at, demo) SELECT n, n, 'm', 'm', '1', '1', 'r', '', {key}, {at}, "
            f"{no} FROM ({numbers}) AS s"
        ),
        (
            "INSERT INTO score (scoring_id, position, head, label, probability, logit, reasons)"
            f" SELECT n, 0, 'reduced_lvef', 'yes', 0.1, 0.1, '[]' FROM ({numbers}) AS s"
        ),
        (
            "INSERT INTO message (message_id, recording_id, ecg_id, scoring_id, destination, result_version, "
            "control_id, kind, patient_key, state, priority, attempts, in_doubt, "
            "due_at, created_at, acknowledged_at, ack_code)"
            f" SELECT n, n, n, n, 'ehr', 1, 'H' || n, 'F', {key}, 'acknowledged', 10, 1, 1, {at}, {at}, {at}, 'AA'"
            f" FROM ({numbers}) AS s"
        ),
        (
            "INSERT INTO audit (audit_id, strand, number, at, actor, action, ecg_id, detail, previous, hash)"
            f" SELECT n + {_OWN_ENTRIES}, 'history', n, {at}, 'x', 'ecg.staged', n, '{{}}', '', {key}"
            f" FROM ({numbers}) AS s"
        ),
        (
            "INSERT INTO tally (day, source, head, state, shard, count)"
            f" SELECT {day}, 'cart', '', 'scored', 0, count(*) FROM ({numbers}) AS s GROUP BY 1"
        ),
        f"INSERT INTO tally (day, source, head, state, shard, count) VALUES ('*', 'cart', '', 'scored', 0, {rows})",
    ]
    with store.database.writer.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%") if postgresql else statement)
        if postgresql:
            for table, column in (("payload", "payload_id"), ("ecg", "ecg_id"), ("score_job", "job_id")):
                _advance(connection, table, column)
            for table, column in (("scoring", "scoring_id"), ("message", "message_id"), ("audit", "audit_id")):
                _advance(connection, table, column)
    with store.database.reader.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _advance(connection: Connection, table: str, column: str) -> None:
    connection.exec_driver_sql(
        f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table}))"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="")
    parser.add_argument("--history", default="")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ecgs", type=int, default=600)
    parser.add_argument("--pipeline", default="", help="empty database for the pipeline of processes")
    parser.add_argument("--only", choices=("pipeline", "rates", "scale"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as folder:
        files = [f"sqlite:///{Path(folder) / name}.db" for name in ("rates", "empty", "full")]
        first, history = given.store or files[0], given.history or files[2]
        if given.only in (None, "pipeline"):
            payloads = [dicom_writer.write_ecg(make_ecg(number)) for number in range(given.ecgs)]
            pipeline(f"sqlite:///{Path(folder) / 'steps'}.db", payloads[:200])
            for processes in (False, True):
                own = f"sqlite:///{Path(folder) / f'pipeline{processes}'}.db"
                pipeline_at_once(given.pipeline or own, payloads, processes=processes or bool(given.pipeline))
                if given.pipeline:
                    break
        if given.only in (None, "rates"):
            rates(first, seconds=given.seconds, rounds=given.rounds)
        if given.only in (None, "scale"):
            empty = first if given.store else files[1]
            scale(empty, history, rows=given.rows, seconds=given.seconds, rounds=given.rounds)


if __name__ == "__main__":
    main()
