"""Questions about the whole store that change nothing: the sum of all ECGs, the backlog, what waits for a person."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, literal_column, select, text, update

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import messages
from ecgfm_clinical.staging.attempts import RUNNING, WAITING
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.intake import NOT_AN_ECG
from ecgfm_clinical.staging.records import (
    BACKFILL,
    Backlog,
    Counts,
    CountTable,
    DeadLetter,
    DestinationBacklog,
    DeviceStatements,
    EcgState,
    MessageState,
    PayloadToSeeTo,
    SetAside,
    WhySetAside,
)
from ecgfm_clinical.staging.rows import MessageRow, every_row
from ecgfm_clinical.staging.schema import attempt_error, ecg, hold, message, payload, score, score_job, tally, withheld
from ecgfm_clinical.staging.transaction import ALL_TIME, Reading
from ecgfm_connectors.base import Disposition

#: Finding on a refused payload that a person has looked at.
SEEN = "seen-by-a-person"
# As the indexes say it.
_NEEDS_A_LOOK = text("(payload.code = 'patient-mismatch' OR payload.disposition = 'unreadable')")
_IN_PART = text("(payload.disposition = 'staged' AND payload.code <> '')")

_TO_SEE_TO = ((_NEEDS_A_LOOK, payload.c.disposition != Disposition.STAGED.value), (_IN_PART,))

Cell = tuple[str, str, str]  # source, head ('' = the ECG itself), state


def needs_a_look(disposition: str, code: str, findings: Iterable[Mapping[str, str]]) -> bool:
    """Whether such a payload waits for a person: unreadable, of two patients, or taken in part, and nobody has looked
    at it.
    """
    in_part = disposition == Disposition.STAGED.value and code != ""
    asked = in_part or disposition == Disposition.UNREADABLE.value or code == "patient-mismatch"
    return asked and not any(one["code"] == SEEN for one in findings)


class Questions:
    """Where the whole store stands."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, *, since: datetime | None = None, until: datetime | None = None) -> Counts:
        """ECGs received in [since, until): received = scored + not_evaluable + failed + waiting."""
        return self.count_table(since=since, until=until).total

    def count_table(self, *, since: datetime | None = None, until: datetime | None = None) -> CountTable:
        """The same sum, by source and by head as well.

        Whole UTC days come from the tally; only the cut days at the edges are counted row by row.
        """
        with self._database.reading() as ask:
            cells = _cells(ask, since, until)
        return CountTable(
            total=_counts((state, n) for (_, head, state), n in cells.items() if not head),
            by_source={
                source: _counts((state, n) for (at, head, state), n in cells.items() if at == source and not head)
                for source in sorted({source for source, head, _ in cells if not head})
            },
            by_head={head: _head_counts(cells, head) for head in sorted({head for _, head, _ in cells if head})},
        )

    def refusals(self) -> dict[str, int]:
        """Payloads set aside, by reason code; those that never claimed to be an ECG included."""
        query = (
            select(payload.c.code, func.count().label("n"))
            .where(literal_column("payload.disposition <> 'staged'"))
            .group_by(payload.c.code)
        )
        with self._database.reading() as ask:
            return {row.code: row.n for row in ask.connection.execute(query)}

    def set_aside(self) -> list[SetAside]:
        """Every payload that is kept and could not be staged, oldest first, without its content."""
        query = (
            select(*(payload.c[name] for name in SetAside.__dataclass_fields__))
            .where(literal_column("payload.disposition <> 'staged'"))
            .order_by(payload.c.payload_id)
        )
        with self._database.reading() as ask:
            return [SetAside(**row) for row in ask.connection.execute(query).mappings()]

    def statements(self) -> list[DeviceStatements]:
        """For each device and software version, how many of its ECGs hold statements that are not understood.

        Reads every ECG's row: a question for a person, not for a monitor.
        """
        names = ("manufacturer", "model", "software")
        told = [ecg.c.about["device"][name].as_string().label(name) for name in names]
        unread = func.coalesce(ecg.c.about["unread_statements"].as_integer(), 0)
        query = (
            select(
                *told,
                func.count().label("ecgs"),
                func.sum(unread).label("unread"),
                func.sum(case((unread > 0, 1), else_=0)).label("ecgs_with_unread"),
                func.max(ecg.c.received_at).label("last_received_at"),
            )
            .group_by(*told)
            .order_by(*told)
        )
        with self._database.reading() as ask:
            return [
                DeviceStatements(
                    manufacturer=row.manufacturer or "",
                    model=row.model or "",
                    software=row.software or "",
                    ecgs=row.ecgs,
                    unread=int(row.unread),
                    ecgs_with_unread=int(row.ecgs_with_unread),
                    last_received_at=row.last_received_at,
                )
                for row in ask.connection.execute(query)
            ]

    def backlog(self) -> Backlog:
        """Everything unfinished or given up, with the age of the oldest; reads only unfinished rows."""
        with self._database.reading() as ask:
            return _backlog(ask)

    def held(self) -> dict[str, int]:
        """Open questions about recordings, by what is asked."""
        query = select(hold.c.question, func.count().label("n")).where(hold.c.decision.is_(None))
        with self._database.reading() as ask:
            rows = ask.connection.execute(query.group_by(hold.c.question).order_by(hold.c.question))
            return {row.question: row.n for row in rows}

    def payloads_to_see_to(self) -> list[PayloadToSeeTo]:
        """Unreadable payloads, refused ones that speak of two patients, and those taken in part, at which nobody has
        looked; oldest first.
        """
        query = select(*(payload.c[name] for name in PayloadToSeeTo.__dataclass_fields__), payload.c.findings)
        with self._database.reading() as ask:
            rows = [row for which in _TO_SEE_TO for row in ask.connection.execute(query.where(*which)).mappings()]
        unseen = [dict(row) for row in rows if not any(one["code"] == SEEN for one in row["findings"])]
        found = [PayloadToSeeTo(**{name: one[name] for name in one if name != "findings"}) for one in unseen]
        return sorted(found, key=lambda one: one.payload_id)

    def payloads_to_look_at(self) -> dict[str, int]:
        """How many payloads `payloads_to_see_to` lists, by reason code."""
        unseen = cast(payload.c.findings, Text).not_like(f"%{SEEN}%")
        # Counted here: for GROUP BY, SQLite would walk over every refused payload in the order of its code.
        query = select(payload.c.code).where(unseen).order_by(payload.c.payload_id)
        with self._database.reading() as ask:
            return Counter(code for which in _TO_SEE_TO for code in ask.connection.scalars(query.where(*which)))

    def payload_seen(self, payload_id: int, *, reason: str, now: datetime, actor: str) -> None:
        """A person has looked at such a payload: it needs nobody any more. Raises NotFound."""
        with self._database.writing(now, actor) as tx:
            mine = payload.c.payload_id == payload_id
            row = tx.connection.execute(select(payload).where(mine)).first()
            if row is None or not needs_a_look(row.disposition, row.code, ()):
                raise NotFound(
                    f"no payload {payload_id} is unreadable, names two patients or was taken in part; see `held list`"
                )
            findings = [*row.findings, {"code": SEEN, "text": "a person has looked at it"}]
            tx.connection.execute(update(payload).where(mine).values(findings=findings))
            tx.note("payload.seen", payload_id=payload_id, reason=reason)

    def dead_letters(self, *, destination: str | None = None) -> list[DeadLetter]:
        """Messages that wait for a person, oldest first."""
        query = select(message).where(literal_column("message.state = 'dead'")).order_by(message.c.message_id)
        if destination is not None:
            query = query.where(message.c.destination == destination)
        with self._database.reading() as ask:
            return [_dead_letter(ask, row) for row in every_row(ask.connection, MessageRow, query)]


def _head_counts(cells: Counter[Cell], head: str) -> Counts:
    """A head was asked for the ECGs it answered; what is waiting or failed has no answer from any head yet."""
    answered = [(state, n) for (_, at, state), n in cells.items() if at == head]
    unanswered = [
        (state, n)
        for (_, at, state), n in cells.items()
        if not at and state in (EcgState.WAITING.value, EcgState.FAILED.value)
    ]
    return _counts(answered + unanswered)


def _counts(cells: Iterable[tuple[str, int]]) -> Counts:
    by_state: Counter[str] = Counter()
    for state, n in cells:
        by_state[state] += n
    return Counts(
        received=by_state.total(),
        scored=by_state[EcgState.SCORED.value],
        not_evaluable=by_state[EcgState.NOT_EVALUABLE.value],
        failed=by_state[EcgState.FAILED.value],
        waiting=by_state[EcgState.WAITING.value],
    )


def _cells(reading: Reading, since: datetime | None, until: datetime | None) -> Counter[Cell]:
    if since is None and until is None:
        return _tallied(reading, tally.c.day == ALL_TIME)
    first = _day_from(since) if since else date.min
    last = until.astimezone(UTC).date() if until else date.max  # exclusive
    if since and until and first > last:  # both inside one day
        return _row_by_row(reading, since, until)
    cells = _tallied(
        reading,
        and_(tally.c.day >= first.isoformat(), tally.c.day < last.isoformat(), tally.c.day != ALL_TIME),
    )
    if since and since < _midnight(first):
        cells += _row_by_row(reading, since, _midnight(first))
    if until and _midnight(last) < until:
        cells += _row_by_row(reading, _midnight(last), until)
    return cells


def _day_from(since: datetime) -> date:
    """The first whole UTC day at or after `since`."""
    in_utc = since.astimezone(UTC)
    return in_utc.date() if in_utc.time() == time.min else in_utc.date() + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _tallied(reading: Reading, which: ColumnElement[bool]) -> Counter[Cell]:
    rows = reading.connection.execute(
        select(tally.c.source, tally.c.head, tally.c.state, func.sum(tally.c.count).label("n"))
        .where(which)
        .group_by(tally.c.source, tally.c.head, tally.c.state)
    )
    return Counter({(row.source, row.head, row.state): int(row.n) for row in rows if row.n})


def _row_by_row(reading: Reading, since: datetime, until: datetime) -> Counter[Cell]:
    cells: Counter[Cell] = Counter()
    inside = and_(ecg.c.received_at >= since, ecg.c.received_at < until)
    for row in reading.connection.execute(
        select(ecg.c.source, ecg.c.state, func.count().label("n")).where(inside).group_by(ecg.c.source, ecg.c.state)
    ):
        cells[row.source, "", row.state] += row.n
    for row in reading.connection.execute(
        select(payload.c.source, func.count().label("n"))
        .where(
            payload.c.received_at >= since,
            payload.c.received_at < until,
            payload.c.disposition != "staged",
            payload.c.code.not_in(NOT_AN_ECG),
        )
        .group_by(payload.c.source)
    ):
        cells[row.source, "", EcgState.FAILED.value] += row.n
    answered = func.max(score.c.probability).is_not(None)
    per_head = (
        select(ecg.c.source, score.c.head, ecg.c.ecg_id, answered.label("answered"))
        .join(score, score.c.scoring_id == ecg.c.scoring_id)
        .where(inside)
        .group_by(ecg.c.source, score.c.head, ecg.c.ecg_id)
        .subquery()
    )
    for row in reading.connection.execute(
        select(per_head.c.source, per_head.c.head, per_head.c.answered, func.count().label("n")).group_by(
            per_head.c.source, per_head.c.head, per_head.c.answered
        )
    ):
        state = EcgState.SCORED if row.answered else EcgState.NOT_EVALUABLE
        cells[row.source, row.head, state.value] += row.n
    owed = (
        select(ecg.c.source, withheld.c.head, func.count().label("n"))
        .join(ecg, ecg.c.ecg_id == withheld.c.ecg_id)
        .where(inside)
        .group_by(ecg.c.source, withheld.c.head)
    )
    for row in reading.connection.execute(owed):
        cells[row.source, row.head, EcgState.WAITING.value] += row.n
    return cells


def _backlog(reading: Reading) -> Backlog:
    connection = reading.connection
    live = case((score_job.c.priority < BACKFILL, score_job.c.created_at))  # history waits as long as it takes
    waiting, oldest = connection.execute(select(func.count(), func.min(live)).where(score_job.c.state == WAITING)).one()
    return Backlog(
        jobs_waiting=waiting,
        jobs_running=connection.scalar(select(func.count()).where(score_job.c.state == RUNNING)) or 0,
        jobs_failed=connection.scalar(select(func.count()).where(score_job.c.state == literal_column("'failed'"))) or 0,
        oldest_job=oldest,
        destinations=_destinations(reading),
    )


_NOTHING_WAITS = DestinationBacklog(waiting=0, running=0, dead=0, oldest=None)


def _destinations(reading: Reading) -> dict[str, DestinationBacklog]:
    found: dict[str, DestinationBacklog] = {}
    for state in (WAITING, RUNNING, literal_column("'dead'")):
        rows = reading.connection.execute(
            select(
                message.c.destination,
                message.c.state,
                func.count().label("n"),
                func.min(message.c.created_at).label("oldest"),
            )
            .where(message.c.state == state)
            .group_by(message.c.destination, message.c.state)
        )
        for row in rows:
            one = replace(found.get(row.destination, _NOTHING_WAITS), **{row.state: row.n})
            if row.state != MessageState.DEAD.value:
                one = replace(one, oldest=min(filter(None, (one.oldest, row.oldest))))
            found[row.destination] = one
    for destination, why, in_doubt, n in _set_aside(reading):
        one = found[destination]
        found[destination] = replace(
            one,
            set_aside={**one.set_aside, why: one.set_aside.get(why, 0) + n},
            set_aside_in_doubt=one.set_aside_in_doubt + (n if in_doubt else 0),
        )
    return dict(sorted(found.items()))


def _set_aside(reading: Reading) -> Iterator[tuple[str, WhySetAside, bool, int]]:
    """Messages set aside, by destination, reason, and whether they may have left."""
    newest = (
        select(attempt_error.c.message_id, func.max(attempt_error.c.error_id).label("error_id"))
        .join(message, message.c.message_id == attempt_error.c.message_id)
        .where(literal_column("message.state = 'dead'"))
        .group_by(attempt_error.c.message_id)
        .subquery()
    )
    unwritten, in_doubt = message.c.body_sha256.is_(None), message.c.in_doubt > 0
    rows = reading.connection.execute(
        select(
            message.c.destination,
            attempt_error.c.kind,
            unwritten.label("unwritten"),
            in_doubt.label("in_doubt"),
            func.count().label("n"),
        )
        .outerjoin(newest, newest.c.message_id == message.c.message_id)
        .outerjoin(attempt_error, attempt_error.c.error_id == newest.c.error_id)
        .where(literal_column("message.state = 'dead'"))
        .group_by(message.c.destination, attempt_error.c.kind, unwritten, in_doubt)
    )
    for row in rows:
        yield row.destination, _why_set_aside(row.kind, bool(row.unwritten)), bool(row.in_doubt), row.n


def _why_set_aside(last_error: str | None, unwritten: bool) -> WhySetAside:
    if unwritten:
        return WhySetAside.UNWRITTEN
    return WhySetAside.REFUSED if last_error in ("AE", "AR", "CE", "CR") else WhySetAside.SPENT


def _dead_letter(reading: Reading, row: MessageRow) -> DeadLetter:
    return DeadLetter(
        message_id=row.message_id,
        ecg_id=row.ecg_id,
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        created_at=row.created_at,
        sent_at=row.sent_at,
        attempts=row.attempts,
        error=next(reversed(messages.errors(reading, row.message_id)), None),
    )
