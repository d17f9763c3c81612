"""An audit record repository: syslog over TLS (RFC 5425) on a free port, which can be told to treat a caller badly."""

import re
import socket
import ssl
import struct
import threading
from collections import deque
from contextlib import suppress
from enum import Enum

from ecgfm_connectors.tls import TlsFiles


class Fault(Enum):
    """What it does to one connection."""

    RESET_AT_ONCE = "reset after the handshake"
    RESET_AFTER_READING = "read everything, then reset"
    CLOSE_WITHOUT_NOTIFY = "read everything, then close without close_notify"
    HALF = "keep the first message only, then reset"


class AuditRepository:
    """Keeps every message of connections that it treats well, and those that it read before it treats one badly."""

    def __init__(self, tls: TlsFiles, *faults: Fault, port: int = 0) -> None:
        self.messages: list[bytes] = []  #: SYSLOG-MSG, without its length
        self.connections = 0
        self._faults = deque(faults)
        self._context = tls.server_context()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def plan(self, *faults: Fault) -> None:
        """For the connections to come."""
        self._faults.extend(faults)

    def stop(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    @property
    def texts(self) -> list[bytes]:
        """The audit messages: what comes after the header's BOM."""
        return [one.partition(b"\xef\xbb\xbf")[2] for one in self.messages]

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            with suppress(OSError):
                self._take(plain)
            plain.close()

    def _take(self, plain: socket.socket) -> None:
        plain.settimeout(60)
        with self._context.wrap_socket(plain, server_side=True) as connection:
            self.connections += 1
            fault = self._faults.popleft() if self._faults else None
            if fault is Fault.RESET_AT_ONCE:
                _reset(connection)
                return
            read = bytearray()
            while data := connection.recv(65536):
                read += data
                if fault is Fault.HALF:
                    self.messages += split(bytes(read))[:1]
                    _reset(connection)
                    return
            self.messages += split(bytes(read))
            if fault is Fault.RESET_AFTER_READING:
                _reset(connection)
            elif fault is None:
                connection.unwrap()


def split(stream: bytes) -> list[bytes]:
    """The messages of `MSG-LEN SP SYSLOG-MSG …`; what is cut off at the end is left out."""
    found = []
    while stream:
        head = re.match(rb"([1-9]\d*) ", stream)
        assert head, stream[:40]
        length = int(head[1])
        message, stream = stream[head.end() : head.end() + length], stream[head.end() + length :]
        if len(message) == length:
            found.append(message)
    return found


def _reset(connection: ssl.SSLSocket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket.close(connection)
