"""Rows of the store's tables as they leave a query: frozen, each column a field of its name, in the table's order.

A query whose rows are read so selects all columns of its table and no others. The values are as the database keeps
them: JSON and what is sealed are read by `codec` and `seals`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Executable

from ecgfm_clinical.staging.records import Kind

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class EcgVersion:
    """One row of `ecg`: one version of one recording."""

    ecg_id: int
    payload_id: int
    recording_id: int
    source_key: str
    said_key: str | None
    signal_key: str | None
    order_key: str | None
    version: int
    source: str
    format: str
    received_at: datetime
    acquired_at: datetime | None
    patient_key: str
    state: str
    priority: int
    scoring_id: int | None
    sampling_rate: float
    samples: int
    about: dict[str, Any]  #: JSON, read by `codec.about_of`
    private: bytes = field(repr=False)
    key_id: int | None


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One row of `message`: one message about one recording to one destination."""

    message_id: int
    ecg_id: int
    recording_id: int
    scoring_id: int
    destination: str
    result_version: int
    filler: str
    generation: int
    control_id: str
    kind: Kind
    patient_key: str
    filed_key: str
    state: str
    priority: int
    attempts: int
    in_doubt: int
    due_at: datetime
    created_at: datetime
    worker: str | None
    lease_until: datetime | None
    body_sha256: str | None
    sent_at: datetime | None
    acknowledged_at: datetime | None
    ack_code: str | None
    ack_private: bytes | None = field(repr=False)
    addressed_to: bytes | None = field(repr=False)
    addressed_key_id: int | None
    key_id: int | None


@dataclass(frozen=True, slots=True)
class RecordingEvent:
    """One row of `recording_event`: what a person or a sender decided about a recording."""

    event_id: int
    recording_id: int
    number: int
    kind: str
    moved: bool
    at: datetime
    actor: str
    reason: str
    private: bytes | None = field(repr=False)
    key_id: int | None


@dataclass(frozen=True, slots=True)
class ScoringRow:
    """One row of `scoring`: what one model said of one ECG, without its scores."""

    scoring_id: int
    ecg_id: int
    model_id: str
    model_name: str
    model_version: str
    preprocessing: str
    runtime: str
    input_digest: str
    output_digest: str
    scored_at: datetime
    demo: bool
    segments: int | None


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One row of `score`: one label of one head."""

    scoring_id: int
    position: int
    head: str
    label: str
    probability: float | None
    logit: float | None
    threshold: float | None
    positive: bool | None
    reasons: list[list[str]]


@dataclass(frozen=True, slots=True)
class PatientRow:
    """One row of `patient`: what ADT messages last said of one identity."""

    patient_key: str
    updated_at: datetime
    private: bytes = field(repr=False)
    key_id: int | None


def every_row(connection: Connection, kind: Callable[..., Record], query: Executable) -> list[Record]:
    """All rows of the query, in its order."""
    return list(each_row(connection, kind, query))


def each_row(connection: Connection, kind: Callable[..., Record], query: Executable) -> Iterator[Record]:
    """The same, one by one."""
    return (kind(*row) for row in connection.execute(query))


def first_row(connection: Connection, kind: Callable[..., Record], query: Executable) -> Record | None:
    """The first row of the query; None where it has none."""
    row = connection.execute(query).first()
    return None if row is None else kind(*row)


def one_row(connection: Connection, kind: Callable[..., Record], query: Executable) -> Record:
    """The only row of the query."""
    return kind(*connection.execute(query).one())
