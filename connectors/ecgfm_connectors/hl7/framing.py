"""Finds HL7 messages in a stream of bytes: MLLP, <VT> message <FS><CR> (HL7 2.5.1 implementation guide, appendix C)."""

from ecgfm_connectors.errors import ProtocolViolation

START = b"\x0b"
END = b"\x1c\r"

DEFAULT_MAX_MESSAGE = 32 * 1024 * 1024  #: bytes; a 12-lead ECG of 10 s is 0.2 MB, a PDF report a few MB
MAX_NOISE = 64 * 1024  #: bytes outside any frame after which the peer is taken to speak another protocol than MLLP


def frame(message: bytes) -> bytes:
    """One message as it goes over the wire. Raises ValueError where it holds a framing byte (UTF-16 would)."""
    if START in message or END[:1] in message:
        raise ValueError("a message in an MLLP frame cannot hold VT or FS")
    return START + message + END


class Framer:
    """Bytes in, complete messages out, however the network cut them.

    Bytes before VT are skipped. A VT inside a frame means that the frame before it was cut off: that one is dropped
    (it was never acknowledged, so its sender repeats it) and reading starts again. Memory is bounded by `max_message`.
    """

    def __init__(self, max_message: int = DEFAULT_MAX_MESSAGE) -> None:
        self._max = max_message
        self._buffer = bytearray()
        self._inside = False
        self._noise = 0

    @property
    def inside(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._inside

    @property
    def held(self) -> int:
        """Bytes of the message that has begun."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, in order. Raises ProtocolViolation over the size or noise limit."""
        complete: list[bytes] = []
        position = 0
        while position < len(data):
            position = self._take(data, position, complete) if self._inside else self._skip_noise(data, position)
        return complete

    def _skip_noise(self, data: bytes, position: int) -> int:
        start = data.find(START, position)
        self._noise += (len(data) if start < 0 else start) - position
        if self._noise > MAX_NOISE:
            raise ProtocolViolation("the peer sends bytes outside any MLLP frame; is it speaking another protocol?")
        if start < 0:
            return len(data)
        self._begin()
        return start + 1

    def _take(self, data: bytes, position: int, complete: list[bytes]) -> int:
        """Move bytes into the buffer up to the end of this frame; the position after what was used."""
        if self._buffer.endswith(END[:1]) and data.startswith(END[1:], position):
            del self._buffer[-1]
            complete.append(self._finish())
            return position + 1
        restart = data.find(START, position)
        limit = len(data) if restart < 0 else restart
        end = data.find(END[:1], position, limit)  # for one byte `find` is memchr, for two a hundred times as slow
        if end >= 0 and not data.startswith(END, end, limit):
            end = data.find(END, end, limit)
        if end < 0 and restart >= 0:
            self._begin()
            return restart + 1
        stop = limit if end < 0 else end
        if len(self._buffer) + stop - position > self._max:
            self._finish()
            raise ProtocolViolation(f"message longer than {self._max} bytes")
        self._buffer += data[position:stop]
        if end < 0:
            return len(data)
        complete.append(self._finish())
        return end + 2

    def _begin(self) -> None:
        self._buffer.clear()
        self._inside = True
        self._noise = 0

    def _finish(self) -> bytes:
        content, self._buffer = bytes(self._buffer), bytearray()
        self._inside = False
        return content
