"""What a person has paused: a source, a destination, the scoring of a head, or everything.

Each part is a state machine of two states, kept in the store, so that every process on every host obeys it and a
restart changes nothing:

    open --pause (reason, who)--> paused --resume (reason, who)--> open

Pausing what is paused and resuming what is open are refused, with the name of who was first. Everything is a part of
its own that lies over the others: a part works where neither it nor everything is paused, and resuming everything
leaves paused what was paused by itself.

What each pause means for an ECG:

    everything    it is received, kept and acknowledged as ever; nothing is pulled, no job claimed, no message claimed
    source        nothing is pulled from there; the cursor stays, so the next pull begins where the last ended
    destination   its messages are made and wait in their order; other destinations go on
    head          it is scored by the other heads; the answer of this one is neither kept nor told but owed
                  (`withheld`), and once the head goes on the ECG is scored again and told as a correction, unless its
                  result was taken back meanwhile. Where every head of the live model is paused no job is claimed

A step that was begun before the pause is finished. Listeners stay open: whoever sends need not know.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, or_, select, update

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.schema import pause, withheld
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import insert_for

Kind = Literal["everything", "source", "destination", "head"]

#: How often a step under way asks again, in s.
ASK_EVERY = 0.5

_IN_FORCE = pause.c.resumed_at.is_(None)
_EVERYTHING = pause.c.kind == "everything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What can be paused."""

    kind: Kind
    name: str = ""  #: empty for everything

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.name)))


EVERYTHING = Part(kind="everything")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One pause; its reasons are written without patient data."""

    pause_id: int
    kind: Kind
    name: str
    reason: str
    paused_at: datetime
    paused_by: str
    resumed_at: datetime | None = None
    resumed_by: str | None = None
    resume_reason: str | None = None

    @property
    def part(self) -> Part:
        return Part(kind=self.kind, name=self.name)


class Pauses:
    """The pauses of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> list[Pause]:
        """Every pause in force, everything first, then the oldest first."""
        query = select(pause).where(_IN_FORCE).order_by(_EVERYTHING.desc(), pause.c.pause_id)
        with self._database.reading() as ask:
            return [Pause(**row) for row in ask.connection.execute(query).mappings()]

    def newest(self, *, limit: int) -> list[Pause]:
        """The newest pauses, those that are over too."""
        query = select(pause).order_by(pause.c.pause_id.desc()).limit(limit)
        with self._database.reading() as ask:
            return [Pause(**row) for row in ask.connection.execute(query).mappings()]

    def owed(self) -> dict[str, int]:
        """Head -> how many ECGs wait for its answer alone, because it was paused when they were scored."""
        query = select(withheld.c.head, func.count().label("n")).group_by(withheld.c.head).order_by(withheld.c.head)
        with self._database.reading() as ask:
            return {row.head: row.n for row in ask.connection.execute(query)}

    def stops(self, part: Part) -> bool:
        """Whether this part must not begin anything now."""
        with self._database.reading() as ask:
            return stops(ask, part)

    def watch(self, part: Part, monotonic: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
        """`stops` for somebody who asks before each of many steps: the store is asked twice a second at most."""
        asked_at, answer = float("-inf"), False

        def is_paused() -> bool:
            nonlocal asked_at, answer
            if monotonic() - asked_at >= ASK_EVERY:
                asked_at, answer = monotonic(), self.stops(part)
            return answer

        return is_paused

    def pause(self, part: Part, *, reason: str, now: datetime, actor: str) -> Pause:
        """Raises StoreError where it is paused already, with who did it and why."""
        with self._database.writing(now, actor) as tx:
            new = insert_for(tx.connection.dialect, pause).values(
                kind=part.kind, name=part.name, reason=reason, paused_at=now, paused_by=actor
            )
            made = tx.connection.scalar(new.on_conflict_do_nothing().returning(pause.c.pause_id))
            if made is None:
                first = _in_force(tx, part)
                raise StoreError(f"{part} is paused already{_told(first)}")
            tx.note("pause.begun", kind=part.kind, name=part.name, reason=reason)
            return Pause(pause_id=made, kind=part.kind, name=part.name, reason=reason, paused_at=now, paused_by=actor)

    def resume(self, part: Part, *, reason: str, now: datetime, actor: str, pause_id: int | None = None) -> Pause:
        """Raises StoreError where it is not paused, with who resumed it last; or where it was paused anew since
        somebody saw the pause `pause_id`.
        """
        with self._database.writing(now, actor) as tx:
            first = _in_force(tx, part)
            if first is not None and pause_id not in (None, first.pause_id):
                raise StoreError(f"{part} was resumed and paused anew meanwhile{_told(first)}")
            values = {"resumed_at": now, "resumed_by": actor, "resume_reason": reason}
            done = update(pause).where(_of(part), _IN_FORCE).values(values).returning(*pause.c)
            row = tx.connection.execute(done).mappings().first()
            if row is None:
                raise StoreError(f"{part} is not paused{_resumed_by(tx, part)}")
            tx.note("pause.ended", kind=part.kind, name=part.name, reason=reason)
            tx.left_to_do.update(("score", "report"))
            return Pause(**row)


def stops(reading: Reading, part: Part) -> bool:
    """Whether this part, or everything, is paused."""
    query = select(pause.c.pause_id).where(_IN_FORCE, or_(_EVERYTHING, _of(part))).limit(1)
    return reading.connection.scalar(query) is not None


def paused_heads(reading: Reading) -> frozenset[str]:
    """The heads whose answers must not be kept now."""
    return frozenset(reading.connection.scalars(select(pause.c.name).where(_IN_FORCE, pause.c.kind == "head")))


def stops_scoring(reading: Reading, heads: Collection[str]) -> bool:
    """Whether no job may be claimed for a model of these heads."""
    return stops(reading, EVERYTHING) or (bool(heads) and frozenset(heads) <= paused_heads(reading))


def withhold(
    tx: Transaction,
    ecg_id: int,
    heads: Collection[str],
    *,
    received_at: datetime,
    source: str,
    queued: bool = False,
) -> None:
    """What a new scoring leaves this ECG owed: the answers of these heads, and nothing from before. `queued`: another
    scoring for them was queued already.
    """
    forget(tx, ecg_id, received_at=received_at, source=source)
    for head in sorted(heads):
        tx.connection.execute(
            insert_for(tx.connection.dialect, withheld).values(ecg_id=ecg_id, head=head, queued=queued)
        )
        tx.count(1, received_at=received_at, source=source, head=head, state="waiting")
    if heads:
        tx.note("ecg.withheld", ecg_id=ecg_id, heads=", ".join(sorted(heads)))


def forget(tx: Transaction, ecg_id: int, *, received_at: datetime, source: str) -> None:
    """This ECG is owed nothing: it has its answers, or none is to be given any more."""
    for head in tx.connection.scalars(_FORGET, {"of": ecg_id}).all():
        tx.count(-1, received_at=received_at, source=source, head=head, state="waiting")


_FORGET = delete(withheld).where(withheld.c.ecg_id == bindparam("of")).returning(withheld.c.head)


def due_again(tx: Transaction, *, limit: int) -> list[int]:
    """ECGs that are owed the answer of a head that goes on by now; each is given out once."""
    goes_on = withheld.c.head.not_in(select(pause.c.name).where(_IN_FORCE, pause.c.kind == "head"))
    query = select(withheld.c.ecg_id).where(~withheld.c.queued, goes_on).distinct().order_by(withheld.c.ecg_id)
    found = list(tx.connection.scalars(query.limit(limit)))
    if found:
        tx.connection.execute(update(withheld).where(withheld.c.ecg_id.in_(found)).values(queued=True))
    return found


def _of(part: Part) -> ColumnElement[bool]:
    return and_(pause.c.kind == part.kind, pause.c.name == part.name)


def _in_force(tx: Transaction, part: Part) -> Pause | None:
    row = tx.connection.execute(select(pause).where(_of(part), _IN_FORCE)).mappings().first()
    return None if row is None else Pause(**row)


def _told(first: Pause | None) -> str:
    return "" if first is None else f" since {first.paused_at:%Y-%m-%d %H:%M} UTC by {first.paused_by}: {first.reason}"


def _resumed_by(tx: Transaction, part: Part) -> str:
    row = tx.connection.execute(select(pause).where(_of(part)).order_by(pause.c.pause_id.desc()).limit(1)).first()
    if row is None:
        return ""
    return f": {row.resumed_by} resumed it at {row.resumed_at:%Y-%m-%d %H:%M} UTC: {row.resume_reason}"
