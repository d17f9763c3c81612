"""What a caller of a DICOM port begins with, looked at before anything is made for it; its bytes stay where they are.

Its A-ASSOCIATE-RQ is waited for whole, by the system: an association costs two threads, and callers that begin with
something else, or with half a request, came again and again.
"""

import socket
import ssl
import sys
import time
from enum import Enum

from ecgfm_connectors.dicom.bounded import buffered, readable

_WAITS_FOR_BYTES = sys.platform == "linux"  #: whose poll(2) heeds SO_RCVLOWAT
_ASSOCIATE_RQ = 1  #: type of the PDU (PS3.8 §9.3.2)
_HEAD = 6  #: bytes: type, reserved, length
_MOST_WAITED_FOR = 16_384  #: bytes that the system surely holds; a longer request is read by the association


class Beginning(Enum):
    """Of a connection."""

    REQUEST = "an association is asked for"
    WRONG = "another PDU, or another protocol"
    NOTHING = "the caller ended the connection, took too long, or announced more than anybody may send"


def beginning(connection: socket.socket, seconds: float, longest: int) -> Beginning:
    """Waits `seconds` at most; a request of more than `longest` bytes is none.

    Of a TLS connection, whose bytes cannot be looked at, it knows only that something came.
    """
    until = time.monotonic() + seconds
    try:
        if isinstance(connection, ssl.SSLSocket):
            came = buffered(connection) or readable([connection], (), (), seconds)[0]
            return Beginning.REQUEST if came else Beginning.NOTHING
        head = _held(connection, _HEAD if _WAITS_FOR_BYTES else 1, until)
        if head and head[0] != _ASSOCIATE_RQ:
            return Beginning.WRONG
        if not _WAITS_FOR_BYTES:
            return Beginning.REQUEST if head else Beginning.NOTHING
        if len(head) < _HEAD or int.from_bytes(head[2:], "big") > longest:
            return Beginning.NOTHING
        length = min(_MOST_WAITED_FOR, _HEAD + int.from_bytes(head[2:], "big"))
        return Beginning.REQUEST if len(_held(connection, length, until)) == length else Beginning.NOTHING
    except (OSError, ValueError):  # closed meanwhile
        return Beginning.NOTHING


def _held(connection: socket.socket, count: int, until: float) -> bytes:
    """The first `count` bytes once the system holds them; fewer where the connection ends or the time is over."""
    if _WAITS_FOR_BYTES:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
    try:
        if not readable([connection], (), (), max(0.0, until - time.monotonic()))[0]:
            return b""
        return connection.recv(count, socket.MSG_PEEK)
    finally:
        if _WAITS_FOR_BYTES:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
