"""Where the store lives, so that a copy or a restored backup never sends as if nothing had happened.

A backup knows nothing of what was sent after it was made. Sent again under numbers that went to somebody else, a result
reaches the wrong patient. So a store remembers its home, and each sender keeps a mark beside it that names the last
message sent. A store that is found elsewhere, or that does not know the message in the mark, is displaced: it takes
ECGs in and scores them, and sends nothing until a person has said which it is (`LIFECYCLE.md`, Store).

What this cannot see: a whole machine set back together with the mark, as a snapshot of it is.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import delete, func, or_, select, text, update

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging import engine, epochs, seals
from ecgfm_clinical.staging.attempts import is_unfinished
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.schema import message, store_meta
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_clinical.staging.upsert import upsert

HOME, DISPLACED = "home", "displaced"

_BEHIND = "the database ends before the last message sent from here"

Adoption = Literal["moved", "restored", "copy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The last message that was sent from here, as a file beside the store tells it."""

    message_id: int
    control_id: str  #: MSH-10

    @classmethod
    def read(cls, path: Path) -> "Mark | None":
        """None where there is no mark, or it was cut off in writing."""
        try:
            told = json.loads(path.read_text("ascii"))
            return cls(message_id=told["message_id"], control_id=told["control_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> bool:
        """Replace the file as a whole. A folder that cannot be written to costs the mark, not the message."""
        fresh = path.with_suffix(".new")
        with suppress(OSError):
            fresh.write_text(json.dumps({"message_id": self.message_id, "control_id": self.control_id}), "ascii")
            fresh.replace(path)
            return True
        return False


NOTHING_SENT = Mark(message_id=0, control_id="")


class Home:
    """The home of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def displaced(self) -> str | None:
        """Why nothing is sent; None where the store is at home."""
        with self._database.reading() as ask:
            return _told(ask, DISPLACED)

    def seen(self, marks: Sequence[Path]) -> str | None:
        """As `look`, for whoever only wants to know: nothing is written. None where nothing is known against it.

        A backup that was made before the first message has no home, and still gives its place away by the marks.
        """
        with self._database.reading() as ask:
            known, home = _told(ask, DISPLACED), _told(ask, HOME)
            if known is not None:
                return known
            elsewhere = None if home is None else _why_elsewhere(_here(ask, self._database), home)
            behind = (_why_unknown(ask, mark) for path in marks if (mark := Mark.read(path)) is not None)
            return elsewhere or next(filter(None, behind), None)

    def look(self, mark: Path | None, *, now: datetime, actor: str) -> str | None:
        """Whether the store is at home, before anything is sent: why not, or None. A new store settles where it is.

        A store that is found displaced begins a new epoch at once: what is scored before a person has said which it is
        must not get a filler number that was given out after the backup was made.
        """
        with self._database.writing(now, actor) as tx:
            known = _told(tx, DISPLACED)
            if known is not None:
                return known
            here, home = _here(tx, self._database), _told(tx, HOME)
            if home is None:
                _tell(tx, HOME, here)
                home = here
            why = _why_elsewhere(here, home) or (None if mark is None else _why_behind(tx, self._database, mark))
            if why is not None:
                _tell(tx, DISPLACED, why)
                tx.note("store.displaced", reason=why)
                epochs.begin(tx, epochs.new(self._database.random_bytes))
            return why

    def adopt(self, how: Adoption, marks: Sequence[Path], *, now: datetime, actor: str) -> None:
        """A person says what happened, and the store is at home here. Raises StoreError where it was not displaced, or
        is said to be `moved` and does not know what was sent from here.

        `restored`: filler numbers get a new epoch, and whatever waits may have been sent since the backup. `copy`:
        nothing that waits is ever sent from here.
        """
        with self._database.writing(now, actor) as tx:
            why = _told(tx, DISPLACED)
            if why is None:
                raise StoreError("the store is at home: there is nothing to adopt")
            if how == "moved" and (why.startswith(_BEHIND) or not all(_knows(tx, Mark.read(path)) for path in marks)):
                raise StoreError(f"{_BEHIND}, so it was not only moved: say --as restored, or --as copy")
            if how != "moved":
                epochs.begin(tx, epochs.new(self._database.random_bytes))
            if how == "restored":
                tx.connection.execute(
                    update(message).where(is_unfinished(message)).values(in_doubt=message.c.in_doubt + 1)
                )
            if how == "copy":
                tx.connection.execute(
                    update(message)
                    .where(is_unfinished(message))
                    .values(state=MessageState.CANCELLED.value, worker=None, lease_until=None)
                )
            gone = or_(store_meta.c.name == DISPLACED, store_meta.c.name.startswith("marked "))
            tx.connection.execute(delete(store_meta).where(gone))
            _tell(tx, HOME, _here(tx, self._database))
            tx.note("store.adopted", how=how)
        for mark in marks:
            mark.unlink(missing_ok=True)


def _why_elsewhere(here: str, home: str) -> str | None:
    return None if here == home else "the database lies elsewhere than when it last sent"


def _why_behind(tx: Transaction, database: Database, path: Path) -> str | None:
    """Whether the mark names a message that the database does not know to be sent, or is gone.

    A database server has senders on several hosts, each with marks of its own: there a missing mark says nothing.
    """
    mark, name = Mark.read(path), f"marked {path.name}"
    if mark is None and _told(tx, name) is not None and database.writes_singly:
        return f"the file {path.name} beside the database is gone, in which it marks what it sent"
    if mark is None:
        if NOTHING_SENT.write(path):
            _tell(tx, name, "yes")
        return None
    return _why_unknown(tx, mark)


def _why_unknown(tx: Reading, mark: Mark) -> str | None:
    if _knows(tx, mark):
        return None
    newest = tx.connection.scalar(select(func.max(message.c.message_id))) or 0
    return f"{_BEHIND} ({newest}, sent was {mark.message_id})"


def _knows(tx: Reading, mark: Mark | None) -> bool:
    """Whether the message in the mark was sent, as the database tells it; True where there is no mark to compare."""
    if mark is None or mark == NOTHING_SENT:
        return True
    row = tx.connection.execute(
        select(message.c.control_id, message.c.sent_at).where(message.c.message_id == mark.message_id)
    ).first()
    return row is not None and row.control_id == mark.control_id and row.sent_at is not None


def _here(tx: Reading, database: Database) -> str:
    """Where the database lies: file and its inode, or cluster and database."""
    path = engine.sqlite_path(database.writer.url)
    if path is not None:
        real = path.resolve()
        return f"{real} {real.stat().st_ino}"
    query = (
        "SELECT system_identifier::text || ' ' || d.oid FROM pg_control_system(), pg_database d WHERE datname = "
        "current_database()"
    )
    return str(tx.connection.scalar(text(query)))


def _told(reading: Reading, name: str) -> str | None:
    row = reading.connection.execute(select(store_meta).where(store_meta.c.name == name)).first()
    return None if row is None else seals.STORE_META.open(reading.keyring, row).decode()


def _tell(tx: Transaction, name: str, value: str) -> None:
    upsert(tx.connection, store_meta, {"name": name}, seals.STORE_META.seal(tx.keyring, value.encode(), name=name))
