"""Alerts: what is wrong now, since when, who takes care of it, and who was told.

An alert's life: a condition that holds opens one, unless one is open for the same condition and subject; it is told
once. After a time nobody acknowledged it, it is told to the channels of escalation, once. When its condition has been
away for a time it clears, which is told once to whoever was told that it opened. A person may acknowledge it (no
escalation) or silence it for a time (nothing is told of this condition and subject until then). A silence lasts for as
long as the person said, in time that passed for certain (`elapsed`): a clock that jumps ahead does not end it, nor does
one that is set back keep it. What is told is a row, written in the transaction that moves the alert, and sent until the
channel has taken it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import delete, insert, select, update

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging.attempts import is_due
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.elapsed import Gap, gaps, passed
from ecgfm_clinical.staging.schema import alert, notice
from ecgfm_clinical.staging.transaction import Transaction

Severity = Literal["info", "warning", "critical"]
NoticeState = Literal["opened", "escalated", "cleared"]

#: A notice that no channel took for so long is old news.
GIVEN_UP_AFTER = timedelta(days=2)
LONGEST_WAIT = timedelta(hours=1)
_SILENCES = 20  #: of one condition and subject, the latest of which may be over though an earlier one is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is wrong now. Its texts hold names of configured parts and numbers, never a patient."""

    name: str
    subject: str = ""
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which notices a channel takes."""

    channel: str
    severities: frozenset[Severity]
    escalation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as it stands."""

    alert_id: int
    condition: str
    subject: str
    severity: Severity
    text: str
    opened_at: datetime
    seen_at: datetime
    escalated_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    silenced_until: datetime | None
    reason: str | None
    cleared_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one channel must be told."""

    notice_id: int
    channel: str
    state: NoticeState
    attempts: int
    alert: Alert


class Alerts:
    """The alerts of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def look(
        self,
        conditions: Iterable[Condition],
        *,
        routes: Sequence[Route],
        clear_after: timedelta,
        escalate_after: timedelta,
        now: datetime,
        actor: str,
    ) -> None:
        """Open, escalate and clear by what holds now; in the same transaction, what each channel must be told."""
        with self._database.writing(now, actor) as tx:
            _went_back(tx)
            known = {(row.condition, row.subject): row for row in _open(tx)}
            unseen = gaps(tx)
            for one in conditions:
                row = known.get((one.name, one.subject))
                if row is None:
                    _begin(tx, one, routes, unseen)
                else:
                    _go_on(tx, row, one, routes, escalate_after, unseen)
            for row in _open(tx):
                if now - row.seen_at >= clear_after and row.seen_at < now:
                    _clear(tx, row)

    def current(self) -> list[Alert]:
        """Every alert that has not cleared, the oldest first."""
        with self._database.reading() as ask:
            rows = ask.connection.execute(select(alert).where(alert.c.cleared_at.is_(None)).order_by(alert.c.alert_id))
            return [Alert(**row) for row in rows.mappings()]

    def newest(self, *, limit: int) -> list[Alert]:
        """The newest alerts, cleared ones too."""
        with self._database.reading() as ask:
            rows = ask.connection.execute(select(alert).order_by(alert.c.alert_id.desc()).limit(limit))
            return [Alert(**row) for row in rows.mappings()]

    def acknowledge(self, alert_id: int, *, reason: str, now: datetime, actor: str) -> Alert:
        """Somebody takes care of it: it escalates no more. Raises NotFound where it is not open."""
        values = {"acknowledged_at": now, "acknowledged_by": actor}
        return self._decide(alert_id, values, "alert.acknowledged", reason, now, actor)

    def silence(self, alert_id: int, *, until: datetime, reason: str, now: datetime, actor: str) -> Alert:
        """Nothing is told of this condition and subject until then. Raises NotFound where it is not open."""
        values = {"acknowledged_at": now, "acknowledged_by": actor, "silenced_until": until}
        return self._decide(alert_id, values, "alert.silenced", reason, now, actor)

    def due(self, *, now: datetime, limit: int = 100) -> list[Notice]:
        """What must be told now, the oldest first."""
        query = (
            select(notice, *(alert.c[name].label(f"alert_{name}") for name in Alert.__dataclass_fields__))
            .join(alert, alert.c.alert_id == notice.c.alert_id)
            .where(notice.c.sent_at.is_(None), is_due(notice))
            .order_by(notice.c.notice_id)
            .limit(limit)
        )
        with self._database.reading() as ask:
            return [
                Notice(
                    notice_id=row.notice_id,
                    channel=row.channel,
                    state=row.state,
                    attempts=row.attempts,
                    alert=Alert(**{name: getattr(row, f"alert_{name}") for name in Alert.__dataclass_fields__}),
                )
                for row in ask.connection.execute(query, {"now": now, "horizon": now + LONGEST_WAIT})
            ]

    def told(self, notice_id: int, *, now: datetime, actor: str) -> None:
        """The channel took it."""
        with self._database.writing(now, actor) as tx:
            mine = notice.c.notice_id == notice_id
            tx.connection.execute(update(notice).where(mine).values(sent_at=now, error=""))

    def failed(self, notice_id: int, error: str, *, now: datetime, actor: str) -> None:
        """The channel did not take it: again later, or never where it is old news. `error` is a class of errors."""
        with self._database.writing(now, actor) as tx:
            mine = notice.c.notice_id == notice_id
            row = tx.connection.execute(
                select(notice.c.attempts, alert.c.opened_at)
                .join(alert, alert.c.alert_id == notice.c.alert_id)
                .where(mine)
            ).first()
            if row is None:
                return
            if now - row.opened_at > GIVEN_UP_AFTER:
                tx.connection.execute(delete(notice).where(mine))
                return
            wait = min(LONGEST_WAIT, timedelta(seconds=30) * 2 ** min(row.attempts, 10))
            tx.connection.execute(
                update(notice).where(mine).values(attempts=row.attempts + 1, due_at=now + wait, error=error)
            )

    def failing_channels(self) -> dict[str, str]:
        """Channel -> class of its last failure, where something could not be told by it."""
        query = select(notice.c.channel, notice.c.error).where(notice.c.sent_at.is_(None), notice.c.attempts > 0)
        with self._database.reading() as ask:
            return {row.channel: row.error for row in ask.connection.execute(query)}

    def _decide(
        self, alert_id: int, values: dict[str, object], action: str, reason: str, now: datetime, actor: str
    ) -> Alert:
        with self._database.writing(now, actor) as tx:
            mine = alert.c.alert_id == alert_id
            row = tx.connection.execute(select(alert).where(mine, alert.c.cleared_at.is_(None))).first()
            if row is None:
                raise NotFound(f"no alert {alert_id} is open; `ecgfm-clinical alerts list` shows which are")
            tx.connection.execute(update(alert).where(mine).values(reason=reason, **values))
            tx.note(action, alert=row.condition, subject=row.subject, reason=reason)
            return Alert(**tx.connection.execute(select(alert).where(mine)).mappings().one())


def _open(tx: Transaction) -> list[Alert]:
    rows = tx.connection.execute(select(alert).where(alert.c.cleared_at.is_(None)))
    return [Alert(**row) for row in rows.mappings()]


def _begin(tx: Transaction, one: Condition, routes: Sequence[Route], unseen: tuple[Gap, ...]) -> None:
    values = {
        "condition": one.name,
        "subject": one.subject,
        "severity": one.severity,
        "text": one.text,
        "opened_at": tx.now,
        "seen_at": tx.now,
    }
    (alert_id,) = tx.connection.execute(insert(alert).values(values)).inserted_primary_key or (None,)
    tx.note("alert.opened", condition=one.name, subject=one.subject, severity=one.severity)
    if not _silenced(tx, one, unseen):
        _tell(tx, alert_id, "opened", [route.channel for route in routes if _takes(route, one.severity)])


def _go_on(
    tx: Transaction,
    row: Alert,
    one: Condition,
    routes: Sequence[Route],
    escalate_after: timedelta,
    unseen: tuple[Gap, ...],
) -> None:
    values: dict[str, object] = {"seen_at": tx.now, "text": one.text, "severity": one.severity}
    silenced = _lasts(row.acknowledged_at, row.silenced_until, tx.now, unseen)
    old = tx.now - row.opened_at >= escalate_after
    if old and row.escalated_at is None and row.acknowledged_at is None and not silenced:
        values["escalated_at"] = tx.now
        channels = [route.channel for route in routes if route.escalation and one.severity in route.severities]
        _tell(tx, row.alert_id, "escalated", channels)
    tx.connection.execute(update(alert).where(alert.c.alert_id == row.alert_id).values(values))


def _clear(tx: Transaction, row: Alert) -> None:
    told = tx.connection.scalars(select(notice.c.channel).where(notice.c.alert_id == row.alert_id)).all()
    tx.connection.execute(update(alert).where(alert.c.alert_id == row.alert_id).values(cleared_at=tx.now))
    _tell(tx, row.alert_id, "cleared", dict.fromkeys(told))


def _takes(route: Route, severity: Severity) -> bool:
    return not route.escalation and severity in route.severities


def _silenced(tx: Transaction, one: Condition, unseen: tuple[Gap, ...]) -> bool:
    """Whether a person silenced an earlier alert of the same kind for longer than until now."""
    silences = tx.connection.execute(
        select(alert.c.acknowledged_at, alert.c.silenced_until)
        .where(alert.c.condition == one.name, alert.c.subject == one.subject, alert.c.silenced_until.is_not(None))
        .order_by(alert.c.silenced_until.desc())
        .limit(_SILENCES)
    )
    return any(_lasts(row.acknowledged_at, row.silenced_until, tx.now, unseen) for row in silences)


def _lasts(since: datetime | None, until: datetime | None, now: datetime, unseen: tuple[Gap, ...]) -> bool:
    """Whether a silence from then until then has not passed for certain. One of the future was said by a clock that has
    been set back since: `_went_back` lets it last as long from there on.
    """
    if since is None or until is None:
        return False
    return now < until or passed(unseen, since, now) < until - since


def _went_back(tx: Transaction) -> None:
    """The clock was set back: nothing of an alert happened later than now, and a silence has all its time before it."""
    rows = tx.connection.execute(
        select(alert.c.alert_id, alert.c.acknowledged_at, alert.c.silenced_until)
        .where(alert.c.acknowledged_at > tx.now)
        .order_by(alert.c.alert_id)
    ).all()
    for row in rows:
        until = None if row.silenced_until is None else tx.now + (row.silenced_until - row.acknowledged_at)
        values = {"acknowledged_at": tx.now, "silenced_until": until}
        tx.connection.execute(update(alert).where(alert.c.alert_id == row.alert_id).values(values))
    for column in (alert.c.opened_at, alert.c.seen_at):
        tx.connection.execute(
            update(alert).where(alert.c.cleared_at.is_(None), column > tx.now).values({column.name: tx.now})
        )


def _tell(tx: Transaction, alert_id: int | None, state: NoticeState, channels: Iterable[str]) -> None:
    rows = [
        {"alert_id": alert_id, "channel": channel, "state": state, "attempts": 0, "due_at": tx.now, "error": ""}
        for channel in channels
    ]
    if rows:
        tx.connection.execute(insert(notice), rows)
