"""What can go wrong at the hospital's edge, sorted by what the operator must do.

ConnectorError
├── Unreadable        the bytes do not decode: keep them, tell the sender, look at the file
├── Refused           decoded, but not an ECG we may take: keep it with its reason
├── Unreachable       the peer did not answer: try again later
│   └── NotReached    … and certainly took nothing of the request
├── Misconfigured     the peer's or this program's settings are wrong: a person must act
└── ProtocolViolation the peer broke the protocol: drop the association or connection
"""

from datetime import timedelta


class ConnectorError(Exception):
    """Base of every error this package raises. Texts never carry a patient's name or number."""


class PayloadError(ConnectorError):
    """A payload that cannot be staged as an ECG; `code` is stable and lower-case, `text` is for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Unreadable(PayloadError):
    """The payload is damaged or not in a format we read."""


class Refused(PayloadError):
    """The payload was understood and is not a 12-lead ECG we may take."""


class Unreachable(ConnectorError):
    """The peer cannot be reached now; the same request may work later, not before `retry_after` where it said so."""

    def __init__(self, text: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class NotReached(Unreachable):
    """Nothing of the request was taken: no connection came about, or the peer turned us away at its door."""


class Misconfigured(ConnectorError):
    """The peer refused us for a reason that only a change of settings mends."""


class ProtocolViolation(ConnectorError):
    """The peer sent something its protocol does not allow."""


class Interrupted(Exception):
    """Raised by a handler to end a pull: nothing more is to be handed over, and a Source lets it pass."""
