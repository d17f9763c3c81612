"""Connections of the console: who does not send a whole request in time, or holds too many, is hung up on.

uvicorn waits for ever for the first byte, and for the rest of a request: some hundred silent connections, which need no
sign-in, would keep everybody else out.
"""

import asyncio
from collections.abc import Callable

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ecgfm_clinical.web.callers import Crowd

REQUEST_WITHIN = 20.0  #: seconds for a whole request: a form has 256 kB at most


class Impatient(H11Protocol):
    """HTTP/1.1 of one connection."""

    _hangs_up: asyncio.TimerHandle | None = None
    _crowd: Crowd | None = None  #: in which it is counted
    _entered: str | None = None  #: the address under which it is

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if self._crowd is not None and not self._crowd.enter(address):
            transport.abort()
            return
        self._entered = address
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._crowd is not None and self._entered is not None:
            self._crowd.leave(self._entered)
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._hangs_up is None:
            self._hangs_up = self.loop.call_later(REQUEST_WITHIN, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._hangs_up is not None:
            self._hangs_up.cancel()
            self._hangs_up = None


def impatient_in(crowd: Crowd) -> Callable[[Config, ServerState, dict[str, object]], Impatient]:
    """What uvicorn makes of each connection, where callers are counted in this crowd."""

    def made(
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Impatient:
        one = Impatient(config, server_state, app_state, _loop)
        one._crowd = crowd
        return one

    return made
