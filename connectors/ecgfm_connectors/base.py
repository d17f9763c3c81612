"""The three roles a connector can play, and the data that pass between a connector and the store of payloads.

Hospital systems call a Listener, this program asks a Source, a Destination takes results. No connector knows where
payloads are stored: it hands a `Received` to its `Handler` and answers its peer by the `Verdict` that the handler
returns. A verdict other than TRY_LATER means that the payload is stored durably; only then may the peer hear that it
is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Literal, Protocol

from ecgfm_connectors.result import Ack

Transport = Literal["dicom", "mllp", "file", "dicomweb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One payload as it came in, before it is decoded."""

    transport: Transport
    source: str  #: the configured name of the listener or source
    content: bytes = field(repr=False)  #: DICOM Part 10 file, HL7 message without MLLP framing, or file payload
    received_at: datetime  #: aware
    peer: str = ""  #: calling AE title or address
    location: str = field(default="", repr=False)  #: file name or URL; may hold patient data, so never logged


class Disposition(Enum):
    """What became of a payload."""

    STAGED = "staged"  #: committed, with the score job of each ECG in it
    DUPLICATE = "duplicate"  #: committed at an earlier delivery; no new score job
    REFUSED = "refused"  #: committed with the reason: understood, but not an ECG we may take
    UNREADABLE = "unreadable"  #: committed with the reason: does not decode
    TRY_LATER = "try-later"  #: not committed: the sender must send it again


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The disposition of one payload and, where it is not plain success, why."""

    disposition: Disposition
    code: str = ""  #: reason code of the Refused or Unreadable
    text: str = ""  #: one sentence for people, free of patient data
    ecg_ids: tuple[int, ...] = ()


Handler = Callable[[Received], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What one pull brought."""

    cursor: str | None  #: where the next pull starts; only the source knows what it means
    offered: int = 0  #: objects the peer said it has in the window
    verdicts: tuple[Verdict, ...] = ()
    problems: tuple[str, ...] = ()  #: what could not be fetched this time, free of patient data


class Source(Protocol):
    """A hospital system that is asked for ECGs."""

    @property
    def name(self) -> str: ...

    def pull(self, handle: Handler, *, cursor: str | None, now: datetime) -> PullReport:
        """Fetch what is new since `cursor`, handing each payload to `handle`. Raises Unreachable, Misconfigured."""

    def check(self) -> str:
        """Try the peer without fetching anything; a sentence on its answer. Raises Unreachable, Misconfigured."""


class Listener(Protocol):
    """A port of this program that hospital systems call."""

    @property
    def port(self) -> int: ...

    @property
    def alive(self) -> bool:
        """Whether the thread that accepts callers runs; False before `start` and after `stop`."""

    @property
    def silence(self) -> float:
        """Seconds since the thread that accepts callers last came round, as it does every second; 0 where none runs."""

    def start(self) -> None:
        """Bind and serve in the background. Raises Misconfigured where the port is taken."""

    def stop(self, grace: float = 10.0) -> None:
        """Take no new callers, give those who are sending `grace` seconds in all to finish, then close."""


class Destination(Protocol):
    """A hospital system that takes results."""

    @property
    def name(self) -> str: ...

    def send(self, body: bytes, *, control_id: str) -> Ack:
        """Deliver one message and wait for its acknowledgement (MSA-2 = `control_id`).

        Raises Unreachable where the fate of the message is unknown: send the same bytes again.
        """

    def check(self) -> str: ...

    def close(self) -> None: ...
