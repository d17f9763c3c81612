"""Questions about the whole store that change nothing: the sum of all ECGs, the backlog, what waits for a person."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Text, case, cast, func, literal_column, select, text, update

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import backlogs, counting
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import (
    Backlog,
    Counts,
    CountTable,
    DeadLetter,
    DeviceStatements,
    PayloadToSeeTo,
    SetAside,
)
from ecgfm_clinical.staging.rows import MessageRow, every_row
from ecgfm_clinical.staging.schema import ecg, hold, message, payload
from ecgfm_connectors.base import Disposition

#: Finding on a refused payload that a person has looked at.
SEEN = "seen-by-a-person"
SEEN_TEXT = "a person has looked at it"
# As the indexes say it.
_NEEDS_A_LOOK = text("(payload.code = 'patient-mismatch' OR payload.disposition = 'unreadable')")
_IN_PART = text("(payload.disposition = 'staged' AND payload.code <> '')")

_TO_SEE_TO = ((_NEEDS_A_LOOK, payload.c.disposition != Disposition.STAGED.value), (_IN_PART,))


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
            return counting.table(ask, since, until)

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
            return backlogs.backlog(ask)

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
            findings = [*row.findings, {"code": SEEN, "text": SEEN_TEXT}]
            tx.connection.execute(update(payload).where(mine).values(findings=findings))
            tx.note("payload.seen", payload_id=payload_id, reason=reason)

    def payload_unseen(self, payload_id: int, *, now: datetime, actor: str) -> bool:
        """It needs a person again. False, with nothing done, where nobody had said that it does not."""
        with self._database.writing(now, actor) as tx:
            mine = payload.c.payload_id == payload_id
            row = tx.connection.execute(select(payload).where(mine).with_for_update()).first()
            findings = [] if row is None else [one for one in row.findings if one["code"] != SEEN]
            if row is None or len(findings) == len(row.findings):
                return False
            tx.connection.execute(update(payload).where(mine).values(findings=findings))
            tx.note("payload.unseen", payload_id=payload_id)
        return True

    def dead_letters(self, *, destination: str | None = None) -> list[DeadLetter]:
        """Messages that wait for a person, oldest first."""
        query = select(message).where(literal_column("message.state = 'dead'")).order_by(message.c.message_id)
        if destination is not None:
            query = query.where(message.c.destination == destination)
        with self._database.reading() as ask:
            return [backlogs.dead_letter(ask, row) for row in every_row(ask.connection, MessageRow, query)]
