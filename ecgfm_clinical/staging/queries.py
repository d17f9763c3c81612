"""Questions about the store that change nothing: the sum of all ECGs, the backlog, one ECG's whole story."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import and_, func, literal_column, select

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import audit, loading, outbox
from ecgfm_clinical.staging.attempts import RUNNING, WAITING, errors_from
from ecgfm_clinical.staging.codec import findings_from, score_from
from ecgfm_clinical.staging.intake import NOT_AN_ECG
from ecgfm_clinical.staging.records import (
    AttemptError,
    Backlog,
    Counts,
    CountTable,
    DeadLetter,
    DestinationBacklog,
    EcgState,
    EcgStory,
    EcgSummary,
    JobState,
    MessageState,
    MessageStory,
    MessageSummary,
)
from ecgfm_clinical.staging.schema import attempt_error, ecg, message, payload, payload_content, score, score_job, tally
from ecgfm_clinical.staging.transaction import ALL_TIME, Reading

Cell = tuple[str, str, str]  # source, head ('' = the ECG itself), state


def count_table(reading: Reading, since: datetime | None, until: datetime | None) -> CountTable:
    """ECGs received in [since, until), by where they stand, by source and by head.

    Whole UTC days come from the tally; only the cut days at the edges are counted row by row.
    """
    cells = _cells(reading, since, until)
    return CountTable(
        total=_counts((state, n) for (_, head, state), n in cells.items() if not head),
        by_source={
            source: _counts((state, n) for (at, head, state), n in cells.items() if at == source and not head)
            for source in sorted({source for source, head, _ in cells if not head})
        },
        by_head={head: _head_counts(cells, head) for head in sorted({head for _, head, _ in cells if head})},
    )


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


def _tallied(reading: Reading, which: Any) -> Counter[Cell]:
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
    return cells


def refusals(reading: Reading) -> dict[str, int]:
    """Payloads set aside, by reason code; those that never claimed to be an ECG included."""
    rows = reading.connection.execute(
        select(payload.c.code, func.count().label("n"))
        .where(literal_column("payload.disposition <> 'staged'"))
        .group_by(payload.c.code)
    )
    return {row.code: row.n for row in rows}


def backlog(reading: Reading) -> Backlog:
    """Everything unfinished or given up, with the age of the oldest; reads only unfinished rows."""
    connection = reading.connection
    waiting, oldest = connection.execute(
        select(func.count(), func.min(score_job.c.created_at)).where(score_job.c.state == WAITING)
    ).one()
    return Backlog(
        jobs_waiting=waiting,
        jobs_running=connection.scalar(select(func.count()).where(score_job.c.state == RUNNING)) or 0,
        jobs_failed=connection.scalar(select(func.count()).where(score_job.c.state == literal_column("'failed'"))) or 0,
        oldest_job=oldest,
        destinations=_destinations(reading),
    )


def _destinations(reading: Reading) -> dict[str, DestinationBacklog]:
    found: dict[str, dict[str, Any]] = {}
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
            one = found.setdefault(row.destination, {"waiting": 0, "running": 0, "dead": 0, "oldest": None})
            one[row.state] = row.n
            if row.state != MessageState.DEAD.value:
                one["oldest"] = min(filter(None, (one["oldest"], row.oldest)))
    return {name: DestinationBacklog(**one) for name, one in sorted(found.items())}


def dead_letters(reading: Reading, destination: str | None) -> list[DeadLetter]:
    """Messages given up, oldest first."""
    query = select(message).where(literal_column("message.state = 'dead'")).order_by(message.c.message_id)
    if destination is not None:
        query = query.where(message.c.destination == destination)
    rows = reading.connection.execute(query).all()
    return [
        DeadLetter(
            message_id=row.message_id,
            ecg_id=row.ecg_id,
            destination=row.destination,
            control_id=row.control_id,
            kind=row.kind,
            created_at=row.created_at,
            error=next(reversed(_message_errors(reading, row.message_id)), None),
        )
        for row in rows
    ]


def answers(reading: Reading, message_id: int, codes: Sequence[str]) -> int:
    """How often the receiver has answered this message with one of these codes."""
    mine = and_(attempt_error.c.message_id == message_id, attempt_error.c.kind.in_(codes))
    return reading.connection.scalar(select(func.count()).where(mine)) or 0


def holders(reading: Reading) -> set[str]:
    """The names of all workers that hold a job or a message."""
    jobs = select(score_job.c.worker).where(score_job.c.state == RUNNING)
    messages = select(message.c.worker).where(message.c.state == RUNNING)
    return set(reading.connection.scalars(jobs.union(messages)))


def find_by_source_id(reading: Reading, source_id: str) -> tuple[int, ...]:
    """The ECGs with this sender's number, one per version."""
    rows = reading.connection.scalars(
        select(ecg.c.ecg_id).where(ecg.c.source_key == reading.key("source", source_id)).order_by(ecg.c.version)
    )
    return tuple(rows)


def list_ecgs(reading: Reading, *, limit: int, before: int | None) -> list[EcgSummary]:
    """Newest first; `before` is the last ecg_id of the previous page."""
    query = select(ecg).order_by(ecg.c.ecg_id.desc()).limit(limit)
    rows = reading.connection.execute(query if before is None else query.where(ecg.c.ecg_id < before)).all()
    return [_summary(reading, row) for row in rows]


def _summary(reading: Reading, row: Any) -> EcgSummary:
    scores = reading.connection.execute(
        select(score).where(score.c.scoring_id == row.scoring_id).order_by(score.c.position)
    )
    messages = reading.connection.execute(
        select(message).where(message.c.ecg_id == row.ecg_id).order_by(message.c.message_id)
    )
    told = loading.private_of(reading, row)
    return EcgSummary(
        ecg_id=row.ecg_id,
        source_id=told["source_id"],
        version=row.version,
        source=row.source,
        format=row.format,
        received_at=row.received_at,
        state=EcgState(row.state),
        findings=findings_from(row.about["findings"]),
        scores=tuple(map(score_from, scores)),
        messages=tuple(
            MessageSummary(
                destination=one.destination,
                control_id=one.control_id,
                kind=one.kind,
                state=MessageState(one.state),
                ack_code=one.ack_code,
            )
            for one in messages
        ),
    )


def story(reading: Reading, ecg_id: int) -> EcgStory:
    """Everything known of one ECG; its signal is left out where retention removed it. Raises NotFound."""
    row = reading.connection.execute(select(ecg).where(ecg.c.ecg_id == ecg_id)).first()
    if row is None:
        raise NotFound(f"there is no ECG {ecg_id} in the store")
    job = reading.connection.execute(
        select(score_job).where(score_job.c.ecg_id == ecg_id).order_by(score_job.c.job_id.desc()).limit(1)
    ).one()
    errors = reading.connection.execute(
        select(attempt_error)
        .join(score_job, score_job.c.job_id == attempt_error.c.job_id)
        .where(score_job.c.ecg_id == ecg_id)
        .order_by(attempt_error.c.error_id)
    )
    return EcgStory(
        ecg=_with_signal_if_kept(reading, ecg_id),
        state=EcgState(row.state),
        scorings=loading.load_scorings(reading, ecg_id),
        messages=_messages(reading, ecg_id),
        job_state=JobState(job.state),
        job_errors=errors_from(errors),
        events=audit.events(reading.connection, ecg_id),
    )


def _with_signal_if_kept(reading: Reading, ecg_id: int) -> Any:
    try:
        return loading.load(reading, [ecg_id], signals=True)[0]
    except NotFound:
        return loading.load(reading, [ecg_id], signals=False)[0]


def _messages(reading: Reading, ecg_id: int) -> tuple[MessageStory, ...]:
    rows = reading.connection.execute(
        select(message).where(message.c.ecg_id == ecg_id).order_by(message.c.message_id)
    ).all()
    bodies = outbox.bodies(reading, [row for row in rows if row.body_sha256 is not None])
    return tuple(_message_story(reading, row, bodies.get(row.message_id)) for row in rows)


def _message_story(reading: Reading, row: Any, body: bytes | None) -> MessageStory:
    return MessageStory(
        message_id=row.message_id,
        destination=row.destination,
        control_id=row.control_id,
        kind=row.kind,
        state=MessageState(row.state),
        body=body,
        attempts=row.attempts,
        errors=_message_errors(reading, row.message_id),
        acknowledgement=outbox.ack_of(reading, row),
        sent_at=row.sent_at,
        acknowledged_at=row.acknowledged_at,
    )


def _message_errors(reading: Reading, message_id: int) -> tuple[AttemptError, ...]:
    mine = select(attempt_error).where(attempt_error.c.message_id == message_id).order_by(attempt_error.c.error_id)
    return errors_from(reading.connection.execute(mine))


def payload_of(reading: Reading, ecg_id: int) -> int:
    """The payload an ECG was read from. Raises NotFound."""
    payload_id: int | None = reading.connection.scalar(select(ecg.c.payload_id).where(ecg.c.ecg_id == ecg_id))
    if payload_id is None:
        raise NotFound(f"there is no ECG {ecg_id} in the store")
    return payload_id


def set_aside(reading: Reading, *, limit: int, after: int) -> Sequence[int]:
    """Ids of refused and unreadable payloads whose bytes are still there, oldest first."""
    return reading.connection.scalars(
        select(payload.c.payload_id)
        .join(payload_content, payload_content.c.payload_id == payload.c.payload_id)
        .where(literal_column("payload.disposition <> 'staged'"), payload.c.payload_id > after)
        .order_by(payload.c.payload_id)
        .limit(limit)
    ).all()
