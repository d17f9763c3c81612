"""What the store tells of one ECG, its recording and its messages, for `show`, tables and decisions."""

from dataclasses import dataclass, field
from datetime import datetime

from ecgfm_clinical.staging.documents import KeptDocument
from ecgfm_clinical.staging.order_records import OrderStory
from ecgfm_clinical.staging.records import (
    AttemptError,
    AuditEvent,
    EcgState,
    JobState,
    MessageState,
    Score,
    Scoring,
    StagedEcg,
)
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSummary:
    """One message as a table shows it."""

    destination: str
    control_id: str
    kind: str
    state: MessageState
    ack_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgSummary:
    """One ECG as a table shows it; nothing that identifies the patient but the sender's own number."""

    ecg_id: int
    source_id: str
    version: int
    source: str
    format: str
    received_at: datetime
    acquired_at: datetime | None
    state: EcgState
    findings: tuple[Finding, ...]
    scores: tuple[Score, ...]
    messages: tuple[MessageSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStory:
    """One arrival of a recording that said something new."""

    ecg_id: int
    version: int
    source: str
    transport: str
    received_at: datetime
    state: EcgState
    patient: Patient  #: whom its own payload names
    same_person: bool  #: whether that is the patient to whom the recording belongs


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldStory:
    """One question about a recording, open or decided."""

    hold_id: int
    question: str
    opened_at: datetime
    patients: tuple[Patient, ...]  #: between whom it is to be decided
    decision: str | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultStory:
    """Where the result of a recording stands at one receiver, by the words of `LIFECYCLE.md`."""

    destination: str
    filler: str  #: OBR-3
    state: str
    patient: Patient  #: under whom it was filed there


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStory:
    """The recording of which an ECG is a version."""

    recording_id: int
    patient: Patient  #: to whom it belongs now, merges followed
    versions: tuple[VersionStory, ...]
    patient_named: bool  #: a person, or its sender, named another patient than the payload does
    moved: int  #: how often it went to another patient
    withdrawn: str | None  #: by its sender or by a person
    holds: tuple[HeldStory, ...]
    results: tuple[ResultStory, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStory:
    """One message as `show` tells it."""

    message_id: int
    destination: str
    control_id: str
    kind: str
    state: MessageState
    in_doubt: bool  #: some attempt may have reached the receiver, and nothing says what became of it
    body: bytes | None = field(repr=False)
    attempts: int
    errors: tuple[AttemptError, ...]
    acknowledgement: Ack | None
    sent_at: datetime | None
    acknowledged_at: datetime | None
    page: str | None = None  #: `PageState`; None where no page goes with it


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgStory:
    """Everything the store knows of one ECG, for `show`."""

    ecg: StagedEcg
    state: EcgState
    scorings: tuple[Scoring, ...]
    messages: tuple[MessageStory, ...]
    job_state: JobState | None  #: None where it was never queued: it is held
    job_errors: tuple[AttemptError, ...]
    events: tuple[AuditEvent, ...]
    recording: RecordingStory
    documents: tuple[KeptDocument, ...]  #: what other systems say of the recording
    orders: OrderStory | None = None  #: None where nothing was fixed and no order is known
