"""Callers that a port turns away: at which port, from where, and why, for whoever keeps watch."""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

Reason = Literal[
    "address-not-allowed",
    "too-many-connections",  #: in all, or of this address
    "tls-no-certificate",
    "tls-certificate",  #: of another authority, or expired
    "tls-refused",  #: the caller does not accept the certificate that this port shows: it has ended, say
    "tls-failed",  #: no TLS at all, or none of a version that is spoken here
    "called-ae-title",
    "calling-ae-title",
    "too-many-associations",
    "unknown-sender",  #: MSH-3
]
REASONS: tuple[Reason, ...] = get_args(Reason)

#: What a caller answers (RFC 8446 §6.2) to a certificate that it does not accept, in OpenSSL's words.
_REFUSED = re.compile("ALERT_(BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA)")

_TITLE_LENGTH = 16  # characters of an AE title (PS3.5 §6.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One caller turned away."""

    listener: str  #: the configured name
    host: str  #: address
    reason: Reason
    ae_title: str = ""  #: the calling one, in letters, digits, `.`, `_`, `-` and spaces; anything else as `?`


Tell = Callable[[Rejection], None]


def tell_nobody(rejection: Rejection) -> None:
    """For a port that nobody watches."""


def readable_title(title: str) -> str:
    """An AE title that is safe to show: a caller may send anything in its place."""
    kept = (one if one.isascii() and (one.isalnum() or one in "._- ") else "?" for one in title.strip())
    return "".join(kept)[:_TITLE_LENGTH]


def tls_reason(error: OSError) -> Reason | None:
    """Why a TLS handshake failed; None where the caller went away, or kept silent, of its own accord."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls-certificate"
    if not isinstance(error, ssl.SSLError) or isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return None
    if _REFUSED.search(error.reason or ""):
        return "tls-refused"
    return "tls-no-certificate" if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE" else "tls-failed"
