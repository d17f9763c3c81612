"""Rows of the store's tables as they leave a query: frozen, each column a field of its name, in the table's order.

A query whose rows are read so selects all columns of its table and no others. The values are as the database keeps
them: JSON and what is sealed are read by `codec` and `seals`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar  # Any: a JSON column

from sqlalchemy import Connection, Executable

from ecgfm_clinical.staging.cohort_rows import OutcomeKind, OutcomeStatus
from ecgfm_clinical.staging.records import Kind
from ecgfm_connectors.base import Transport
from ecgfm_connectors.outcome import Comparator
from ecgfm_connectors.times import Precision

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
    page: str | None


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
    unshifted: float | None


@dataclass(frozen=True, slots=True)
class PayloadRow:
    """One row of `payload`: bytes that came in, and what became of them."""

    payload_id: int
    sha256: str
    size: int
    transport: Transport
    source: str
    received_at: datetime
    disposition: str
    format: str
    code: str
    text: str
    repeats: int
    repeated_at: datetime | None
    findings: list[dict[str, str]]
    private: bytes = field(repr=False)
    key_id: int | None


@dataclass(frozen=True, slots=True)
class HoldRow:
    """One row of `hold`: a question about a recording."""

    hold_id: int
    recording_id: int
    ecg_id: int
    question: str
    opened_at: datetime
    decision: str | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    private: bytes = field(repr=False)
    key_id: int | None


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """One row of `destination_state`: whether a destination can be reached."""

    destination: str
    state: str
    since: datetime
    attempts: int
    next_attempt_at: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True)
class AttemptErrorRow:
    """One row of `attempt_error`: why one attempt of a job or message failed."""

    error_id: int
    job_id: int | None
    message_id: int | None
    at: datetime
    attempt: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class OutcomeVersion:
    """One row of `outcome`: one version of one measured result."""

    outcome_id: int
    payload_id: int
    source_key: str
    version: int
    patient_key: str
    kind: OutcomeKind
    status: OutcomeStatus
    value: float
    upper_value: float | None
    comparator: Comparator
    unit: str
    code: str
    assay: str
    upper_reference_limit: float | None
    observed_at: datetime
    observed_precision: Precision
    rule: str
    received_at: datetime
    private: bytes = field(repr=False)
    key_id: int | None


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """One row of `left_out`: what may have been an outcome and did not become one."""

    left_out_id: int
    payload_id: int
    place: int
    patient_key: str
    kind: OutcomeKind
    reason: str
    code: str
    observed_at: datetime | None
    received_at: datetime
    private: bytes = field(repr=False)
    key_id: int | None


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One row of `store_meta`: what a store keeps under a name, such as its pepper."""

    name: str
    key_id: int | None
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of `audit`: one entry of the trail."""

    audit_id: int
    strand: str
    number: int
    at: datetime
    actor: str
    action: str
    ecg_id: int | None
    detail: dict[str, str | int | float | bool | None]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class PlacedOrderRow:
    """One row of `placed_order`: one order of the hospital."""

    order_id: int
    payload_id: int
    order_key: str
    patient_key: str
    state: str
    received_at: datetime
    said_at: datetime
    private: bytes = field(repr=False)
    key_id: int | None


@dataclass(frozen=True, slots=True)
class OrderAnswerRow:
    """One row of `order_answer`: which order one result answers."""

    answer_id: int
    filler: str
    recording_id: int
    order_id: int | None
    reason: str
    matched_by: str
    at: datetime
    private: bytes = field(repr=False)
    key_id: int | None


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
