"""Body of an HTTP answer within bounds: a client's time-out is of each read, and one byte now and then has no end."""

import time
from collections.abc import Callable, Iterable

from ecgfm_connectors.errors import Unreachable


def bounded(
    chunks: Iterable[bytes],
    *,
    where: str,
    longest: int,
    seconds: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> bytes:
    """All of it. `where`: as the server is called in texts. Raises Unreachable beyond `longest` bytes or `seconds`."""
    ends = monotonic() + seconds
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > longest:
            raise Unreachable(f"{where} answers with more than {longest} bytes")
        if monotonic() > ends:
            raise Unreachable(f"{where} did not end its answer within {seconds:g} s")
    return bytes(body)
