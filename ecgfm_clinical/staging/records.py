"""The frozen values that go into and come out of the staging store."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, NoReturn

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.staging.order_records import ECHO, Answering, OrderAnswer
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Former


class EcgState(StrEnum):
    """Where an ECG stands. received = SCORED + NOT_EVALUABLE + FAILED + WAITING, for any period."""

    WAITING = "waiting"  #: staged, its score job is not finished
    SCORED = "scored"  #: at least one head gave a probability
    NOT_EVALUABLE = "not_evaluable"  #: every head answered with a coded reason
    FAILED = "failed"  #: unreadable, refused, or its score job ran out of attempts


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"  #: may be claimed once due
    RUNNING = "running"  #: a worker holds its lease
    DONE = "done"
    FAILED = "failed"  #: out of attempts, every attempt's error kept


class MessageState(StrEnum):
    """Where an outgoing message stands, by the values in the database; `word` is what people and programs are told."""

    WAITING = "waiting"  #: to be composed and sent, or sent again
    RUNNING = "running"  #: a sender holds its lease
    ACKNOWLEDGED = "acknowledged"  #: AA (or CA, where that is all the site gives)
    DEAD = "dead"  #: refused for its content, never written, or its attempts are spent: a person must look
    CANCELLED = "cancelled"  #: taken back before the receiver had it; nothing more will happen

    @property
    def word(self) -> str:
        """The state by the words of `connectors/LIFECYCLE.md`."""
        return {"running": "sending", "dead": "set aside"}.get(self.value, self.value)


class WhySetAside(StrEnum):
    """Why a message is set aside."""

    REFUSED = "refused by the receiver"  #: its answer (AE, CE; AR and CR with a reason that repeating cannot mend)
    UNWRITTEN = "could not be written"  #: no bytes could be made of it: nothing was ever sent
    SPENT = "attempts spent"  #: it failed `max_attempts` times without an answer on its content


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptError:
    """One failed attempt, kept on the job or message."""

    at: datetime
    attempt: int
    kind: str  #: exception class or MSA-1 code
    text: str  #: free of patient data


#: The source of ECGs that were put in from an archive, as history: scored after all live work, and told only where a
#: person asks, or once the same recording comes in by a listener or another source.
HISTORY = "backfill"
#: Priorities of score jobs; the lower goes first.
STAT, ROUTINE, BACKFILL = 0, 10, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work claimed from the store."""

    job_id: int
    kind: Literal["score"]
    ecg_id: int
    priority: int  #: 0 STAT, 10 routine, 20 backfill: lower first
    attempts: int  #: including this one
    lease_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedEcg:
    """A staged ECG as the scoring worker needs it."""

    ecg_id: int
    payload_id: int
    payload_sha256: str
    version: int  #: 1, 2, … for the same source_id with other bytes
    source: str  #: configured name of the listener or source it came by
    received_at: datetime
    ecg: Ecg

    @property
    def site(self) -> str:
        """Whose operating points it meets: where it was recorded, or, if it names no place, how it came in."""
        return self.ecg.device.institution or self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One label of one head on one ECG: a probability, or the coded reasons why there is none."""

    head: str
    label: str
    probability: float | None  #: calibrated where the bundle holds a calibration, shifted where it holds a prior shift
    logit: float | None
    threshold: float | None = None
    positive: bool | None = None
    reasons: tuple[tuple[str, str], ...] = ()  #: (code, sentence)
    unshifted: float | None = None  #: the probability before the prior shift; None where the label has none

    def __post_init__(self) -> None:
        if (self.probability is None) != bool(self.reasons):
            raise ValueError("a score is either a probability or reasons, never both or neither")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """All heads of one model on one ECG, with everything needed to reproduce it."""

    ecg_id: int
    model_id: str  #: digest of the bundle
    model_name: str
    model_version: str
    preprocessing: str  #: version of the signal preparation
    runtime: str  #: e.g. `torch-cpu-fp32`
    input_digest: str  #: SHA-256 of the prepared segments; empty where nothing was evaluable
    scored_at: datetime
    scores: tuple[Score, ...]
    demo: bool = False  #: the model is not for clinical use
    segments: int | None = None  #: 5 s segments it rests on; 0 where nothing was evaluable, None where not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a source may decide by itself; as it stands: nothing that a person should see first."""

    corrected_patient: Literal["hold", "follow"] = "hold"  #: a recording that comes again under another patient
    sender_withdrawal: Literal["hold", "follow"] = "follow"  #: a recording that its sender takes back
    score_held: bool = False  #: score what is held, so that its result is ready; it is not sent


Kind = Literal["F", "C", "W", "D"]  #: first result, correction, withdrawal, deletion
TAKES_BACK: tuple[Kind, ...] = ("W", "D")  #: after one of these the receiver holds no result of the ECG


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What one message is composed of."""

    destination: str
    control_id: str  #: MSH-10
    kind: Kind
    filler: str  #: OBR-3
    composed_at: datetime
    ecg_id: int
    ecg: Ecg  #: without its signal; the patient is the surviving identity the message is addressed to
    scoring: Scoring
    replaces: Scoring | None  #: of a correction: what the receiver was told before
    revives: bool = False  #: a first result under a number of which something was told before, and taken back
    page: bytes | None = field(default=None, repr=False)  #: the PDF that goes with it, once it was drawn
    page_refused: str = ""  #: why there is none although the destination wants one
    #: Of a correction, withdrawal or deletion: the message it refers to; of a first result: what may stand beside it.
    former: Former | None = None
    placed: str = ""  #: the placer number that the receiver gave to an earlier message under this number
    answer: OrderAnswer | None = None  #: None: the numbers that came with the ECG are echoed


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPage:
    """The page of one message, drawn outside any transaction from a snapshot: it counts only while the message still
    speaks of that patient.
    """

    patient: Patient = field(repr=False)  #: whom it names
    pdf: bytes | None = field(default=None, repr=False)
    refused: str = ""  #: why it could not be drawn; free of patient data


class PageState(StrEnum):
    """Where the page of a message stands; a message of a destination without pages, or that takes back, has none."""

    DUE = "due"  #: drawn before the first send
    DRAWN = "drawn"  #: in the message's bytes
    WITHOUT = "without"  #: it could not be drawn, and the message says so


#: The complete message. Raises PayloadError where none can be made of this draft: a person must look.
Compose = Callable[[Draft], bytes]


def _no_way(_: object = None) -> NoReturn:
    raise StoreError("the store was opened without a way to compose messages; open it through the settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How this installation tells its results. As it stands: to nobody, and a step that must make a message fails."""

    destinations: tuple[str, ...] = ()  #: each hears of every new result
    compose: Compose = _no_way
    control_ids: Callable[[], str] = _no_way  #: a new MSH-10 at each call
    with_page: frozenset[str] = frozenset()  #: destinations whose results go with a page
    answering: Answering = ECHO


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundMessage:
    """One result message on its way to one destination, held by one sender."""

    message_id: int
    ecg_id: int
    scoring_id: int
    destination: str
    control_id: str  #: MSH-10, fixed when the score was recorded
    kind: Kind
    result_version: int  #: 1, 2, … per ECG and destination
    patient_key: str  #: digest of the surviving identity: order is kept per key and destination
    attempts: int  #: including this one
    lease_until: datetime
    ecg_received_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The standing result of one ECG at one destination."""

    message_id: int
    ecg_id: int
    destination: str
    control_id: str
    kind: Kind
    state: MessageState
    may_have_left: bool  #: False: certainly never sent
    model_id: str
    model: str  #: name and version
    scored_at: datetime
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reissue:
    """What a correction, withdrawal or repeat did, as message ids."""

    created: tuple[int, ...] = ()  #: will be sent
    cancelled: tuple[int, ...] = ()  #: will not be sent any more


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that waits for a person."""

    message_id: int
    ecg_id: int
    destination: str
    control_id: str
    kind: Kind
    created_at: datetime
    sent_at: datetime | None  #: first put on the wire
    attempts: int
    error: AttemptError | None  #: why it was given up: the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatements:
    """What one device in one software version states, counted:
    a jump of the unread ones means that its wording changed.
    """

    manufacturer: str
    model: str
    software: str
    ecgs: int
    unread: int  #: statements that are not understood
    ecgs_with_unread: int
    last_received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A payload that is kept and could not be staged."""

    payload_id: int
    received_at: datetime
    source: str  #: listener or source it came by
    disposition: str  #: refused or unreadable
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """What retention removed, or would remove."""

    payloads: int
    signals: int
    messages: int  #: bodies
    attempts: int  #: reasons of attempts that failed
    documents: int = 0  #: of other systems, that refer to no ECG here
    orders: int = 0  #: of which nothing was said since

    def counts(self) -> dict[str, int]:
        """Kind -> how many."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What to do with a failed attempt: again at `due_at`, or give up where that is None."""

    due_at: datetime | None
    error: AttemptError


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """received = scored + not_evaluable + failed + waiting."""

    received: int
    scored: int
    not_evaluable: int
    failed: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTable:
    """The same sum in all, by source and by head. A head counts the ECGs it was asked about, or may yet be."""

    total: Counts
    by_source: dict[str, Counts]
    by_head: dict[str, Counts]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationBacklog:
    """What one destination has still to get, or would not take."""

    waiting: int
    running: int
    dead: int
    set_aside: Mapping[WhySetAside, int] = field(default_factory=dict)  #: the same as `dead`, by reason
    set_aside_in_doubt: int = 0  #: of these: may have left, and the receiver may hold them
    oldest: datetime | None  #: when the oldest unfinished message was created


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadToSeeTo:
    """A payload that a person must look at and has not: unreadable, PID and the ECG name different patients, or some
    part of it was not taken.
    """

    payload_id: int
    received_at: datetime
    source: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Everything unfinished or given up."""

    jobs_waiting: int
    jobs_running: int
    jobs_failed: int  #: ECGs whose scoring failed for good, and which nobody settled
    oldest_job: datetime | None  #: when the oldest waiting job was created
    destinations: dict[str, DestinationBacklog]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One line of the append-only trail."""

    event_id: int
    at: datetime
    actor: str  #: worker name, listener name, or operator
    action: str  #: `payload.received`, `ecg.staged`, `ecg.scored`, `message.sent`, `message.acknowledged`, …
    ecg_id: int | None
    detail: dict[str, str | int | float | bool | None]
