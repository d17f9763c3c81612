"""A simulated ECG cart that speaks HL7: sends messages over MLLP and reads each acknowledgement."""

from types import TracebackType
from typing import Self

from ecgfm_connectors.hl7.message import parse_header
from ecgfm_connectors.hl7.sender import MllpDestination
from ecgfm_connectors.result import Ack
from ecgfm_connectors.tls import TlsFiles


class MllpCart:
    """One connection of a cart, for use in a `with` block."""

    def __init__(self, host: str, port: int, *, timeout: float = 30.0, tls: TlsFiles | None = None) -> None:
        self._peer = MllpDestination(name="cart", host=host, port=port, ack_timeout=timeout, tls=tls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._peer.close()

    def send(self, message: bytes) -> Ack:
        """Send one message and wait for the acknowledgement of its MSH-10. Raises Unreachable."""
        return self._peer.send(message, control_id=parse_header(message).value(10))
