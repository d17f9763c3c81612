"""Audit messages on their way: syslog (RFC 5424) over TLS with octet counting (RFC 5425), as PS3.15 A.6 profiles it.

Syslog has no acknowledgement. What comes nearest to one is the end of the connection: the receiver must answer our
close_notify with its own (RFC 5425 §4.4), which it can only after it has read all that came before. So each batch has a
connection of its own, and counts as delivered once that has ended so; where the connection was reset or closed in
another way, or the receiver kept silent, the whole batch is sent again. A receiver that has read messages and loses
them cannot be noticed.
"""

import re
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ecgfm_connectors.errors import Misconfigured, NotReached, Unreachable
from ecgfm_connectors.tls import TlsFiles

#: The registered port (RFC 5425 §4.1).
PORT = 6514
#: s for what a server may still say once we have ended the connection.
_LAST_WORD = 1.0
_FACILITY = 10  # security and authorisation messages (PS3.15 A.6)
_BOM = b"\xef\xbb\xbf"
_NO_NAME = re.compile(r"[^!-~]")  # PRINTUSASCII (RFC 5424 §6)

Severity = Literal[3, 4, 5]  #: error, warning, notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message with what its header says."""

    at: datetime  #: aware
    severity: Severity
    process: str
    text: bytes  #: UTF-8


class SyslogTls:
    """One audit record repository."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        tls: TlsFiles,
        timeout: float = 20.0,
        hostname: Callable[[], str] = socket.gethostname,
    ) -> None:
        """`timeout` in s bounds connecting, each write, and the wait for the end of the connection."""
        self._address = (host, port)
        self._tls = tls
        self._timeout = timeout
        self._hostname = hostname

    def send(self, lines: Sequence[Line]) -> None:
        """Deliver all of them over one connection.

        Raises NotReached where nothing was sent, Unreachable where their fate is unknown: send all again. Misconfigured
        where one side does not trust the other.
        """
        frames = b"".join(frame(one, hostname=self._hostname()) for one in lines)
        with self._connected() as connection:
            try:
                connection.sendall(frames)
                _require_end(connection.unwrap())
            except OSError as error:
                raise Unreachable(
                    f"the audit repository {self} ended the connection before it had read everything "
                    f"({type(error).__name__}); it is sent again"
                ) from error

    def check(self) -> str:
        """Connect, authenticate both sides, send nothing."""
        with self._connected() as connection:
            version = connection.version()
            try:
                _require_end(connection.unwrap())
            except OSError as error:
                raise Unreachable(
                    f"the audit repository {self} does not end a connection as RFC 5425 says ({type(error).__name__}): "
                    "its certificate does not trust ours, or it is no syslog server with TLS"
                ) from error
        return f"{self} answers by {version}"

    def __str__(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"

    def _connected(self) -> ssl.SSLSocket:
        context = self._tls.client_context()
        try:
            plain = socket.create_connection(self._address, timeout=self._timeout)
        except OSError as error:
            raise NotReached(f"the audit repository {self} does not answer: {error.strerror or error}") from error
        try:
            return context.wrap_socket(plain, server_hostname=self._address[0])
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise Misconfigured(
                f"the certificate of the audit repository {self} is not trusted: {error.verify_message}; mend "
                "audit.messages.tls.trusted, or its certificate"
            ) from error
        except OSError as error:
            plain.close()
            raise NotReached(f"the audit repository {self} does not begin TLS: {type(error).__name__}") from error


def _require_end(plain: socket.socket) -> None:
    """Raises SSLError where the peer said something after our close_notify that is no answer to it.

    In TLS 1.3 a server refuses our certificate only after our side has begun, and `unwrap` may return before it has
    read that.
    """
    plain.settimeout(_LAST_WORD)
    with suppress(TimeoutError):
        if plain.recv(1):
            raise ssl.SSLError("the peer sent more than its close_notify")


def frame(line: Line, *, hostname: str) -> bytes:
    """`MSG-LEN SP SYSLOG-MSG`: the length in octets (RFC 5425 §4.3), and the message (RFC 5424 §6)."""
    header = (
        f"<{_FACILITY * 8 + line.severity}>1 {line.at.isoformat(timespec='milliseconds')} {_name(hostname, 255)} "
        f"ecgfm-clinical {_name(line.process, 128)} DICOM+RFC3881 - "
    )
    message = header.encode("ascii") + _BOM + line.text
    return b"%d %s" % (len(message), message)


def _name(text: str, most: int) -> str:
    return _NO_NAME.sub("_", text)[:most] or "-"
