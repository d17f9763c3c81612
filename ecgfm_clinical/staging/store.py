"""The staging store: every step of an ECG's way is one method here, and one transaction.

Safe to share between threads; several processes on several hosts may open the same store. Time comes as an argument.
Every method raises StoreUnavailable where the database does not answer: nothing of the step has happened then.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Self

from sqlalchemy import Engine, select

from ecgfm_clinical.errors import (
    LeaseLost,
    NotFound,
    StoreNotReady,
    StoreTooNew,
    StoreUnavailable,
)
from ecgfm_clinical.staging import (
    audit,
    coordination,
    engine,
    intake,
    loading,
    migrations,
    outbox,
    queries,
    reissue,
    retention,
    rotation,
    work,
)
from ecgfm_clinical.staging.checkpointing import Checkpointer
from ecgfm_clinical.staging.group_commit import GroupCommit
from ecgfm_clinical.staging.records import (
    AuditEvent,
    Backlog,
    Compose,
    Counts,
    CountTable,
    DeadLetter,
    EcgStory,
    EcgSummary,
    Expired,
    Job,
    OutboundMessage,
    Reissue,
    Retry,
    Scoring,
    StagedEcg,
    Told,
)
from ecgfm_clinical.staging.schema import store_meta
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.transaction import Reading, Transaction, reading, writing
from ecgfm_clinical.staging.upsert import insert_for
from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack

__all__ = [
    "LeaseLost",
    "NotFound",
    "Store",
    "StoreNotReady",
    "StoreTooNew",
    "StoreUnavailable",
]

PEPPER_BYTES = 32
LONGEST_LEASE = timedelta(hours=1)
SYSTEM = "store"  # actor of what the store does by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """The arguments of one `Store.intake`."""

    received: Received
    contents: Contents | PayloadError
    now: datetime
    actor: str
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Use `Store.open`."""

    reader: Engine
    writer: Engine
    keyring: Keyring
    pepper: bytes = field(repr=False)
    free_bytes: Callable[[], int] | None  #: free space where the store lives, if it can be known
    least_free: int  #: below this nothing new is taken in
    random_bytes: Callable[[int], bytes]
    compose: Compose | None  #: how results become the bytes that are fixed in the step that makes them
    _intake: GroupCommit[_Parcel, Verdict] = field(init=False, repr=False, compare=False)
    _writer_free: Lock = field(init=False, repr=False, compare=False)
    _checkpointer: Checkpointer | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_writer_free", Lock())
        object.__setattr__(self, "_intake", GroupCommit(self._take_in))
        path = engine.sqlite_path(self.writer.url)
        object.__setattr__(self, "_checkpointer", path and Checkpointer(path))

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = False,
        keyring: Keyring | None = None,
        free_bytes: Callable[[], int] | None = None,
        least_free: int = 0,
        random_bytes: Callable[[int], bytes] = os.urandom,
        compose: Compose | None = None,
    ) -> Self:
        """Open a store at the current schema; `create` makes an empty one first where there is none.

        Without `compose` no step that makes a message can be taken.

        Raises StoreNotReady (no or older schema), StoreTooNew, StoreUnavailable, SettingsError.
        """
        keyring = keyring or Keyring()
        parsed = engine.parse_url(url)
        path = engine.sqlite_path(parsed)
        if path is not None and not create and not path.is_file():
            raise StoreNotReady(f"there is no store at {path}: run `ecgfm-clinical migrate`, or mend store.url")
        if path is not None and not path.parent.is_dir():
            raise StoreUnavailable(
                f"the folder {path.parent} for the store does not exist: create it or mend store.url"
            )
        reader = engine.connect(parsed)
        writer = engine.connect(parsed, writes=True) if path is not None else reader
        try:
            with engine.translated(), reader.connect() as connection:
                found = migrations.current(connection)
            if found is None and create:
                migrations.upgrade(url)
            else:
                _check_schema(found)
            pepper = _pepper(reader, writer, keyring, random_bytes)
        except BaseException:
            reader.dispose()
            writer.dispose()
            raise
        return cls(
            reader=reader,
            writer=writer,
            keyring=keyring,
            pepper=pepper,
            free_bytes=free_bytes,
            least_free=least_free,
            random_bytes=random_bytes,
            compose=compose,
        )

    def close(self) -> None:
        """Give the connections back."""
        if self._checkpointer is not None:
            self._checkpointer.stop()
        self.reader.dispose()
        self.writer.dispose()

    def writing(self, now: datetime, actor: str) -> AbstractContextManager[Transaction]:
        """One transaction; for the modules of `staging`."""
        return writing(
            self.writer,
            self.keyring,
            self.pepper,
            now=now,
            actor=actor,
            random_bytes=self.random_bytes,
            compose=self.compose,
            turn=self._turn(),
        )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """SQLite has one writer: threads of this process queue here, woken at once, instead of polling the file."""
        if self.writer.dialect.name != "sqlite":
            yield
            return
        if not self._writer_free.acquire(timeout=engine.BUSY_TIMEOUT_MS / 1000):
            raise StoreUnavailable("another write to the staging store does not end; nothing was accepted")
        try:
            yield
        finally:
            self._writer_free.release()

    def reading(self) -> AbstractContextManager[Reading]:
        """One moment of the store; for the modules of `staging`."""
        return reading(self.reader, self.keyring, self.pepper)

    # Intake

    def intake(
        self,
        received: Received,
        contents: Contents | PayloadError,
        *,
        now: datetime,
        actor: str,
        priority: int = intake.ROUTINE,
    ) -> Verdict:
        """Keep one payload with its ECGs, score jobs, outcomes and merges.

        Idempotent by the payload's SHA-256. Never TRY_LATER: where nothing could be kept it raises StoreUnavailable,
        also when the disk is nearly full. On SQLite, payloads that come while another is committed share one commit.
        """
        if self.free_bytes is not None and self.free_bytes() < self.least_free:
            raise StoreUnavailable(
                f"less than {self.least_free // 1_000_000} MB are free where the store lives; nothing new is taken in"
            )
        parcel = _Parcel(received=received, contents=contents, now=now, actor=actor, priority=priority)
        if self.writer.dialect.name == "sqlite":
            return self._intake(parcel)
        return self._take_in([parcel])[0]  # PostgreSQL groups the commits of its connections itself

    def _take_in(self, parcels: Sequence[_Parcel]) -> list[Verdict]:
        """All of them in one transaction."""
        with self.writing(parcels[0].now, parcels[0].actor) as tx:
            verdicts = [
                intake.record(
                    replace(tx, now=one.now, actor=one.actor), one.received, one.contents, priority=one.priority
                )
                for one in parcels
            ]
        if self._checkpointer is not None:
            self._checkpointer.nudge()  # payloads and signals are nearly all that makes the log long
        return verdicts

    # Score jobs

    def claim_jobs(self, *, worker: str, limit: int, now: datetime, lease: timedelta) -> list[Job]:
        """Up to `limit` due jobs, STAT first; nobody else gets them until the lease ends."""
        with self.writing(now, worker) as tx:
            return work.claim(tx, worker=worker, limit=limit, lease_until=now + lease)

    def load_staged(self, ecg_ids: Sequence[int]) -> list[StagedEcg]:
        """With their signals, in the order asked for. Raises NotFound."""
        with self.reading() as ask:
            return loading.load(ask, ecg_ids, signals=True)

    def finish_scoring(
        self,
        job: Job,
        scoring: Scoring,
        destinations: Sequence[str],
        *,
        now: datetime,
        worker: str,
        control_ids: Callable[[], str],
    ) -> None:
        """Scores, the finished job, and the complete message to each destination that would learn something new.

        Raises LeaseLost.
        """
        if self.finish_scorings([(job, scoring)], destinations, now=now, worker=worker, control_ids=control_ids):
            raise LeaseLost(f"score job {job.job_id} is no longer held by {worker}")

    def finish_scorings(
        self,
        scored: Sequence[tuple[Job, Scoring]],
        destinations: Sequence[str],
        *,
        now: datetime,
        worker: str,
        control_ids: Callable[[], str],
    ) -> set[int]:
        """The same for a whole batch, in one transaction; the ids of the jobs that are another worker's by now."""
        with self.writing(now, worker) as tx:
            return work.finish(tx, scored, destinations, worker=worker, control_ids=control_ids)

    def fail_job(self, job: Job, retry: Retry, *, now: datetime, worker: str) -> None:
        """Raises LeaseLost."""
        with self.writing(now, worker) as tx:
            work.fail(tx, job, retry, worker=worker)

    def rescore(self, ecg_ids: Sequence[int], *, now: datetime, actor: str) -> int:
        """Queue another scoring; what is waiting or running already is left alone. How many were queued. Raises NotFound."""
        with self.writing(now, actor) as tx:
            return work.rescore(tx, ecg_ids)

    # Messages

    def claim_messages(
        self, *, worker: str, destination: str, limit: int, now: datetime, lease: timedelta
    ) -> list[OutboundMessage]:
        """Up to `limit` due messages to one destination, at most one per patient, in each patient's order."""
        with self.writing(now, worker) as tx:
            return outbox.claim(tx, worker=worker, destination=destination, limit=limit, lease_until=now + lease)

    def begin_send(self, message: OutboundMessage, *, now: datetime, worker: str) -> bytes:
        """The bytes to send, after it is committed that they may be on the wire. Raises LeaseLost.

        PayloadError where an older version of this program left the message without bytes and none can be composed.
        """
        with self.writing(now, worker) as tx:
            return outbox.begin(tx, message, worker=worker)

    def finish_message(
        self,
        message: OutboundMessage,
        ack: Ack,
        *,
        now: datetime,
        worker: str,
        following: OutboundMessage | None = None,
    ) -> bytes | None:
        """The receiver has it; and, in the same transaction, what `begin_send` does for the message that is sent next.

        Returns the bytes of that one, or None where there is none or it is not ready. Raises LeaseLost.
        """
        with self.writing(now, worker) as tx:
            outbox.finish(tx, message, ack, worker=worker)
            return None if following is None else outbox.begin_if_ready(tx, following, worker=worker)

    def fail_message(
        self,
        message: OutboundMessage,
        retry: Retry,
        *,
        now: datetime,
        worker: str,
        ack: Ack | None = None,
        undelivered: bool = False,
    ) -> None:
        """Again at `retry.due_at`, or a dead letter. `undelivered`: certainly nothing reached the peer. Raises LeaseLost."""
        with self.writing(now, worker) as tx:
            outbox.fail(tx, message, retry, worker=worker, ack=ack, undelivered=undelivered)

    # What was told, and taking it back

    def told(
        self,
        *,
        ecg_id: int | None = None,
        model_id: str | None = None,
        since: datetime | None = None,
        destination: str | None = None,
    ) -> list[Told]:
        """The standing results; `model_id` may be the beginning of a digest, `since` is the time of scoring."""
        with self.reading() as ask:
            return reissue.told(ask, ecg_id=ecg_id, model_id=model_id, since=since, destination=destination)

    def withdraw(
        self,
        ecg_id: int,
        *,
        reason: str,
        delete: bool = False,
        now: datetime,
        actor: str,
        control_ids: Callable[[], str],
    ) -> Reissue:
        """Take back every standing result of one ECG (OBX-11 W; with `delete` D). Raises NotFound."""
        with self.writing(now, actor) as tx:
            return reissue.take_back(tx, ecg_id, kind="D" if delete else "W", reason=reason, control_ids=control_ids)

    def correct(
        self,
        ecg_id: int,
        *,
        patient: Patient | None = None,
        destinations: Sequence[str],
        reason: str,
        now: datetime,
        actor: str,
        control_ids: Callable[[], str],
    ) -> Reissue:
        """Send the current scoring again (OBX-11 C), or move it to the patient it really is of (W there, F here).

        Raises NotFound, StoreError.
        """
        with self.writing(now, actor) as tx:
            return reissue.correct(
                tx, ecg_id, patient=patient, destinations=destinations, reason=reason, control_ids=control_ids
            )

    def resend(
        self,
        *,
        destination: str | None = None,
        message_ids: Sequence[int] | None = None,
        recompose: bool = False,
        now: datetime,
        actor: str,
        control_ids: Callable[[], str],
    ) -> Reissue:
        """Dead letters go again: the same bytes and number, or composed anew under a new number."""
        with self.writing(now, actor) as tx:
            return reissue.resend(
                tx, destination=destination, message_ids=message_ids, recompose=recompose, control_ids=control_ids
            )

    # Care of the store

    def expire(
        self,
        *,
        now: datetime,
        actor: str,
        payloads: timedelta | None = None,
        signals: timedelta | None = None,
        messages: timedelta | None = None,
    ) -> Expired:
        """Remove raw payloads, signals and message bodies older than these ages; nothing that is still needed."""
        steps = (
            (payloads, retention.drop_payloads),
            (signals, retention.drop_signals),
            (messages, retention.drop_messages),
        )
        gone = []
        for age, drop in steps:
            gone.append(0)
            while age is not None:
                with self.writing(now, actor) as tx:
                    count = drop(tx, now - age)
                gone[-1] += count
                if not count:
                    break
        return Expired(payloads=gone[0], signals=gone[1], messages=gone[2])

    def reseal(self, *, now: datetime, actor: str, plain: bool = False) -> int:
        """Bring every sealed value under the current key, page by page; how many were changed. `plain`: decrypt all."""
        total = 0
        while True:
            with self.writing(now, actor) as tx:
                done = rotation.reseal_page(tx, plain=plain)
            if not done:
                return total
            total += done

    def back_up(self, path: Path) -> None:
        """Copy an SQLite store into a new file while work goes on. Raises StoreError on PostgreSQL: use pg_dump there."""
        with self.reading() as ask:
            engine.back_up(ask.connection, path)

    # Signs of life

    def heartbeat(self, worker: str, *, now: datetime, lease: timedelta) -> int:
        """Prolong everything this worker holds; how many that is."""
        with self.writing(now, worker) as tx:
            return work.prolong(tx, worker, now + lease) + outbox.prolong(tx, worker, now + lease)

    def reap(
        self,
        *,
        now: datetime,
        max_attempts: int = 4,
        worker: str | None = None,
        longest_lease: timedelta = LONGEST_LEASE,
    ) -> int:
        """Take back what dead workers hold: leases run out, or everything under the name of a `worker` that just started.

        A lease that ends more than `longest_lease` from now was given before the clock was set back, and has run out.
        """
        with self.writing(now, worker or SYSTEM) as tx:
            horizon = now + longest_lease
            jobs = work.reap(tx, max_attempts=max_attempts, worker=worker, horizon=horizon)
            return jobs + outbox.reap(tx, worker=worker, horizon=horizon)

    def holders(self) -> set[str]:
        """The names of all workers that hold a lease."""
        with self.reading() as ask:
            return queries.holders(ask)

    def release(self, worker: str, *, now: datetime) -> int:
        """Give back what a worker that stops in good order still holds; it counts as no attempt."""
        with self.writing(now, worker) as tx:
            return work.release(tx, worker=worker) + outbox.release(tx, worker=worker)

    # Agreement between processes

    def cursor(self, source: str) -> str | None:
        """Where the next pull of a source starts."""
        with self.reading() as ask:
            return coordination.cursor(ask.connection, source)

    def set_cursor(self, source: str, value: str) -> None:
        with engine.translated(), self.writer.begin() as connection:
            coordination.set_cursor(connection, source, value)

    def acquire_lease(self, name: str, holder: str, *, now: datetime, duration: timedelta) -> bool:
        """Become or stay the one who does `name`; False while another is."""
        with engine.translated(), self.writer.begin() as connection:
            return coordination.acquire(connection, name, holder, now=now, until=now + duration)

    def release_lease(self, name: str, holder: str) -> None:
        """Let another take over at once."""
        with engine.translated(), self.writer.begin() as connection:
            coordination.release(connection, name, holder)

    def leases(self, prefix: str) -> list[coordination.Lease]:
        """Every lease whose name begins so, those that have run out included."""
        with self.reading() as ask:
            return coordination.leases(ask.connection, prefix)

    # Questions

    def counts(self, *, since: datetime | None = None, until: datetime | None = None) -> Counts:
        """ECGs received in [since, until): received = scored + not_evaluable + failed + waiting."""
        return self.count_table(since=since, until=until).total

    def count_table(self, *, since: datetime | None = None, until: datetime | None = None) -> CountTable:
        """The same sum, by source and by head as well."""
        with self.reading() as ask:
            return queries.count_table(ask, since, until)

    def backlog(self) -> Backlog:
        with self.reading() as ask:
            return queries.backlog(ask)

    def dead_letters(self, *, destination: str | None = None) -> list[DeadLetter]:
        """Messages that wait for a person, oldest first."""
        with self.reading() as ask:
            return queries.dead_letters(ask, destination)

    def answers(self, message: OutboundMessage, codes: Sequence[str]) -> int:
        """How often the receiver has answered this message with one of these codes."""
        with self.reading() as ask:
            return queries.answers(ask, message.message_id, codes)

    def refusals(self) -> dict[str, int]:
        """Payloads set aside, by reason code."""
        with self.reading() as ask:
            return queries.refusals(ask)

    def story(self, ecg_id: int) -> EcgStory:
        """Raises NotFound."""
        with self.reading() as ask:
            return queries.story(ask, ecg_id)

    def list_ecgs(self, *, limit: int = 100, before: int | None = None) -> list[EcgSummary]:
        """Newest first; `before` is the last ecg_id of the previous page."""
        with self.reading() as ask:
            return queries.list_ecgs(ask, limit=limit, before=before)

    def find(self, source_id: str) -> tuple[int, ...]:
        """ECGs by the sender's own number (SOP Instance UID …), one per version."""
        with self.reading() as ask:
            return queries.find_by_source_id(ask, source_id)

    def load_payload(self, ecg_id: int) -> Received:
        """The bytes an ECG was read from, exactly as they came. Raises NotFound."""
        with self.reading() as ask:
            return loading.load_payload(ask, queries.payload_of(ask, ecg_id))

    def load_set_aside(self, *, limit: int = 100, after: int = 0) -> list[tuple[int, Received]]:
        """Refused and unreadable payloads as (payload_id, bytes), oldest first, from the one after `after` on."""
        with self.reading() as ask:
            return [(one, loading.load_payload(ask, one)) for one in queries.set_aside(ask, limit=limit, after=after)]

    def trail(self, *, limit: int = 1000, after: int = 0) -> tuple[AuditEvent, ...]:
        """The audit trail in the order written, from the entry after `after` on."""
        with self.reading() as ask:
            return audit.trail(ask.connection, limit=limit, after=after)

    def audit_length(self) -> int:
        """How many entries the trail has."""
        with self.reading() as ask:
            return audit.length(ask.connection)

    def audit_faults(self) -> list[str]:
        """Where the audit trail was tampered with; empty where it was not."""
        with self.reading() as ask:
            return audit.faults(ask.connection)


def _check_schema(found: str | None) -> None:
    if found is None:
        raise StoreNotReady("the store is empty: run `ecgfm-clinical migrate`")
    if found not in migrations.REVISIONS:
        raise StoreTooNew(migrations.too_new(found))
    if found != migrations.HEAD:
        raise StoreNotReady(
            f"the store is at schema {found}, this program needs {migrations.HEAD}: run `ecgfm-clinical migrate`"
        )


def _pepper(reader: Engine, writer: Engine, keyring: Keyring, random_bytes: Callable[[int], bytes]) -> bytes:
    """The store's own secret for keyed digests; made once."""
    query = select(store_meta).where(store_meta.c.name == "pepper")
    with engine.translated():
        with reader.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            row = _make_pepper(writer, keyring, random_bytes(PEPPER_BYTES))
    return keyring.open(row.key_id, row.value, "store_meta:pepper")


def _make_pepper(writer: Engine, keyring: Keyring, pepper: bytes) -> Any:
    """The row that is there afterwards, ours or that of another process that was quicker."""
    key_id, value = keyring.seal(pepper, bound_to="store_meta:pepper")
    with writer.begin() as connection:
        fresh = insert_for(connection.dialect, store_meta).values(name="pepper", key_id=key_id, value=value)
        connection.execute(fresh.on_conflict_do_nothing())
        return connection.execute(select(store_meta).where(store_meta.c.name == "pepper")).one()
