"""What one received payload (DICOM object, HL7 message, file) turned out to carry."""

from dataclasses import dataclass, field
from typing import Literal

from ecgfm_connectors.decision import LeftOut
from ecgfm_connectors.document import Document
from ecgfm_connectors.ecg import Ecg, Finding
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.placed_order import PlacedOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """ADT^A40 merge or A47 change of identifier: `retired` is now `surviving` (HL7 2.5.1 §3.3.40)."""

    retired: Identifier
    surviving: Identifier
    event: str  #: MSH-9.2 trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """ADT^A24 link or A37 unlink of two identities, both in use (HL7 2.5.1 §3.3.24, §3.3.37)."""

    first: Identifier
    second: Identifier
    linked: bool  #: False: unlinked, which also undoes a merge of the two
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """ADT^A28: this number names a person of its own from now on, whatever it was merged into (HL7 2.5.1 §3.3.28)."""

    identifier: Identifier
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """ADT^A43 identifiers or A45 visits moved between people (HL7 2.5.1 §3.3.43, §3.3.45): never followed by itself."""

    source: Identifier
    target: Identifier
    visits: tuple[str, ...] = field(default=(), repr=False)  #: MRG-5 of A45
    event: str


IdentityEvent = Merge | Link | Addition | Move


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """The sender of a recording takes it back: OBX-11 W, D or X on the ECG (HL7 table 0085), OBR-25 X on its order, or
    MDM^T11 on its document.
    """

    source_ids: tuple[str, ...] = field(repr=False)  #: the recordings as the sender numbered them, where it says which
    order_id: str = field(repr=False)  #: sender and filler number, for a message that does not say which
    document_ids: tuple[str, ...] = field(default=(), repr=False)  #: sender and TXA-12, where it names the document
    after: int = 0  #: how many ECGs of the payload came before it
    says_ecg: bool = True  #: False: nothing says what was ordered, and another department's number may read alike
    doubtful: bool = False  #: the same message says that the recording stands: a person is asked
    filler: str = field(default="", repr=False)  #: OBR-3, by which an object may name its order that came by itself
    patient: Patient
    status: Literal["W", "D", "X"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """An HL7 message by its own number, and what it gave: people have that number in hand when they ask for it."""

    control_id: str = field(repr=False)  #: MSH-10
    sender: str  #: MSH-3 and MSH-4, between them a `|`
    source_ids: tuple[str, ...] = field(default=(), repr=False)  #: of the ECGs and outcomes that it gave


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything of interest in one payload; all of it is staged in one transaction."""

    ecgs: tuple[Ecg, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    left_out: tuple[LeftOut, ...] = ()  #: what may have been an outcome and did not become one
    identity_events: tuple[IdentityEvent, ...] = ()
    withdrawals: tuple[Withdrawal, ...] = ()
    documents: tuple[Document, ...] = ()  #: what other systems say of ECGs
    orders: tuple[PlacedOrder, ...] = ()
    demographics: tuple[Patient, ...] = ()
    findings: tuple[Finding, ...] = ()
    messages: tuple[ReceivedMessage, ...] = field(default=(), compare=False)  #: that the payload consists of
    not_taken: tuple[Finding, ...] = ()  #: parts that were lost beside others that are here: a person should look
