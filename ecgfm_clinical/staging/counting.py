"""The sum of all ECGs by source, head and state: whole UTC days by the tally, the cut days at the edges row by row."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import ColumnElement, and_, func, select

from ecgfm_clinical.staging.intake import NOT_AN_ECG
from ecgfm_clinical.staging.records import Counts, CountTable, EcgState
from ecgfm_clinical.staging.schema import ecg, payload, score, tally, withheld
from ecgfm_clinical.staging.transaction import ALL_TIME, Reading

_Cell = tuple[str, str, str]  # source, head ('' = the ECG itself), state


def table(reading: Reading, since: datetime | None, until: datetime | None) -> CountTable:
    """ECGs received in [since, until), in all, by source and by head."""
    cells = _cells(reading, since, until)
    return CountTable(
        total=_summed((state, n) for (_, head, state), n in cells.items() if not head),
        by_source={
            source: _summed((state, n) for (at, head, state), n in cells.items() if at == source and not head)
            for source in sorted({source for source, head, _ in cells if not head})
        },
        by_head={head: _of_head(cells, head) for head in sorted({head for _, head, _ in cells if head})},
    )


def _of_head(cells: Counter[_Cell], head: str) -> Counts:
    """A head was asked for the ECGs it answered; what is waiting or failed has no answer from any head yet."""
    answered = [(state, n) for (_, at, state), n in cells.items() if at == head]
    unanswered = [
        (state, n)
        for (_, at, state), n in cells.items()
        if not at and state in (EcgState.WAITING.value, EcgState.FAILED.value)
    ]
    return _summed(answered + unanswered)


def _summed(cells: Iterable[tuple[str, int]]) -> Counts:
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


def _cells(reading: Reading, since: datetime | None, until: datetime | None) -> Counter[_Cell]:
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
    """The first whole UTC day at or after `since`; after the last of the calendar there is none."""
    in_utc = since.astimezone(UTC)
    if in_utc.date() == date.max:
        return date.max
    return in_utc.date() if in_utc.time() == time.min else in_utc.date() + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _tallied(reading: Reading, which: ColumnElement[bool]) -> Counter[_Cell]:
    rows = reading.connection.execute(
        select(tally.c.source, tally.c.head, tally.c.state, func.sum(tally.c.count).label("n"))
        .where(which)
        .group_by(tally.c.source, tally.c.head, tally.c.state)
    )
    return Counter({(row.source, row.head, row.state): int(row.n) for row in rows if row.n})


def _row_by_row(reading: Reading, since: datetime, until: datetime) -> Counter[_Cell]:
    cells: Counter[_Cell] = Counter()
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
