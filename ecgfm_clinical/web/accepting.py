"""The listening socket of the console: of one caller it takes so many connections at a time, and closes the next.

They are counted from the moment they are taken, not from their first request: a caller who never ends a TLS handshake,
to which asyncio gives a minute, would hold any number of them.
"""

import socket

from ecgfm_clinical.web.callers import Crowd


class Counting(socket.socket):
    """Takes connections for a loop of asyncio."""

    def __init__(self, unbound: socket.socket, *, most_of_one: int) -> None:
        """Takes the place of `unbound`."""
        super().__init__(unbound.family, unbound.type, unbound.proto, fileno=unbound.detach())
        self._crowd = Crowd(most_of_one)

    def accept(self) -> tuple[socket.socket, tuple[object, ...]]:
        """Raises BlockingIOError where nobody waits whose connection is taken."""
        while True:
            taken, address = super().accept()
            if self._crowd.enter(str(address[0])):
                return _Counted(taken, self._crowd, str(address[0])), address
            taken.close()


class _Counted(socket.socket):
    """One connection of a caller, until it is closed."""

    def __init__(self, taken: socket.socket, crowd: Crowd, caller: str) -> None:
        super().__init__(taken.family, taken.type, taken.proto, fileno=taken.detach())
        self._crowd: Crowd | None = crowd
        self._caller = caller

    def close(self) -> None:
        super().close()
        crowd, self._crowd = self._crowd, None
        if crowd is not None:
            crowd.leave(self._caller)
