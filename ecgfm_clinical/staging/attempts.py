"""What jobs and messages have in common: their unfinished states in SQL, and the errors of their failed attempts."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import insert, literal_column
from sqlalchemy.sql.elements import ColumnElement

from ecgfm_clinical.staging.records import AttemptError
from ecgfm_clinical.staging.schema import attempt_error
from ecgfm_clinical.staging.transaction import Transaction

# Literals, not parameters: only then do both databases see that the partial indexes hold every row we ask for.
WAITING: ColumnElement[str] = literal_column("'waiting'")
RUNNING: ColumnElement[str] = literal_column("'running'")


def keep_error(
    tx: Transaction, error: AttemptError, *, job_id: int | None = None, message_id: int | None = None
) -> None:
    """Every failed attempt leaves its reason."""
    values = {"at": error.at, "attempt": error.attempt, "kind": error.kind, "text": error.text.replace("\x00", "")}
    tx.connection.execute(insert(attempt_error), {"job_id": job_id, "message_id": message_id, **values})


def errors_from(rows: Iterable[Any]) -> tuple[AttemptError, ...]:
    return tuple(AttemptError(at=row.at, attempt=row.attempt, kind=row.kind, text=row.text) for row in rows)
