"""The port of the console, as the service watches it: uvicorn in a thread of its own."""

import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.service.handling import CONSOLE, Handling
from ecgfm_clinical.web import signing_in
from ecgfm_clinical.web.accepting import Counting
from ecgfm_clinical.web.app import build_app, build_console, settings_of
from ecgfm_clinical.web.impatient import Impatient
from ecgfm_clinical.web.one_time import OneTimeLinks
from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.tls import ServerTls, TlsFiles

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings, Web
    from ecgfm_clinical.staging.store import Store

#: At a time; the next ones are told to come back. A browser holds six for as long as somebody reads.
MOST_CONNECTIONS = 500
#: Of one address, of IPv6 of one /64: enough for a ward behind one address, and never all there are. Without TLS only
#: this machine connects, or the proxy, which is one address for everybody.
MOST_OF_ONE_ADDRESS = 200
STARTS_IN = 30.0  #: seconds


class WebPort:
    """Answers browsers until stopped; may be started again."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        most_of_one: int | None = None,
        tidy: Callable[[], None] = lambda: None,
        handling: Handling | None = None,
    ) -> None:
        """`port` 0 takes a free one. `most_of_one`: connections of one address at a time. `tidy`: what has to
        be done now and then, whether anybody comes or not. `handling`: the app's answers under way.
        """
        self.tidy = tidy
        self.handling = handling or Handling(CONSOLE)
        self._app = app
        self._host, self._port = host, port
        self._tls = tls
        self._most_of_one = most_of_one
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._thread: Thread | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def silence(self) -> float:
        """Seconds since its loop last came round."""
        return time.monotonic() - self._server.came_round if self._server is not None and self.alive else 0.0

    def start(self) -> None:
        """Bind and answer. Raises SettingsError where the port cannot be bound."""
        self._socket = _bound(self._host, self._port, self._most_of_one)
        self._port = int(self._socket.getsockname()[1])  # known, and taken again, after the loop has died
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=32 * 1024,
            ws="none",
            lifespan="off",
            interface="asgi3",
            http=Impatient,
            loop="asyncio",
        )
        config.load()
        config.ssl = self._tls
        self._server = server = _Server(config)
        sockets = [self._socket]
        self._thread = Thread(target=lambda: server.run(sockets=sockets), name="web", daemon=True)
        self._thread.start()
        if not server.begun.wait(STARTS_IN):
            raise SettingsError("the console does not start; see the log")

    def stop(self, grace: float = 10.0) -> None:
        """Answers under way get `grace` seconds."""
        if self._server is not None and self._thread is not None:
            self._server.config.timeout_graceful_shutdown = max(1, int(grace))
            self._server.should_exit = True
            self._thread.join(grace + 5)
        if self._socket is not None:
            self._socket.close()
        self._server = self._socket = None


class _Server(uvicorn.Server):
    """Says when it has begun, and when its loop last came round."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = Event()
        self.came_round = time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()

    async def on_tick(self, counter: int) -> bool:
        self.came_round = time.monotonic()
        return await super().on_tick(counter)


def _bound(host: str, port: int, most_of_one: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle on: each page on a kept connection then waited for the browser's late ACK.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if most_of_one is not None:
        opened = Counting(opened, most_of_one=most_of_one)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        raise SettingsError(
            f"the console cannot listen on {host}:{port}: {error.strerror}; choose another web.port"
        ) from error
    return opened


def tls_of(settings: "Settings", web: "Web") -> ssl.SSLContext | None:
    """What browsers are shown, renewed files from the next connection on; None where they come in clear.

    Raises SettingsError.
    """
    part = web.tls
    if part is None:
        return None
    files = TlsFiles(
        certificate=settings.resolve(part.certificate),
        key=settings.resolve(part.key),
        trusted=settings.resolve(part.trusted) if part.trusted is not None else None,
    )
    try:
        return ServerTls(files).following()
    except Misconfigured as error:
        raise SettingsError(f"web.tls: {error}") from error


def build_port(settings: "Settings", store: "Store", *, links: OneTimeLinks | None = None) -> WebPort:
    """The port of the console, not yet bound. Raises SettingsError."""
    web = settings_of(settings)
    console = build_console(settings, store, links=links)
    tidy = partial(signing_in.note_ran_out, console)
    most = MOST_OF_ONE_ADDRESS if web.tls is not None and not web.proxies else None
    return WebPort(
        build_app(console),
        host=web.host,
        port=web.port,
        tls=tls_of(settings, web),
        most_of_one=most,
        tidy=tidy,
        handling=console.handling,
    )
