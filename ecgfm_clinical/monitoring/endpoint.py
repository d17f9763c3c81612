"""A port for those who watch: `/metrics`, `/healthz` and `/readyz`, and nothing else.

It tells numbers and names of configured parts, never a patient. Each caller has a few seconds and a few places, so that
a monitor that hangs, or asks byte by byte, takes nothing from the service.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from threading import BoundedSemaphore, Thread
from typing import Any  # Any: http.server's own methods

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from ecgfm_clinical import log
from ecgfm_clinical.errors import SettingsError

TIMEOUT = 10.0  #: seconds of silence of a caller
REQUEST_WITHIN = 30.0  #: seconds from the first byte of a request to the last of its answer
MOST_CALLERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Whether something holds, and each reason why it does not."""

    reasons: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.reasons


class Endpoint:
    """Answers over HTTP/1.0 in threads of its own."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        registry: CollectorRegistry,
        alive: Callable[[], Condition],
        ready: Callable[[], Condition],
    ) -> None:
        """`port` 0 takes a free one."""
        self._address = (host, port)
        self._registry = registry
        self._answers = {"/healthz": alive, "/readyz": ready}
        self._server: _Server | None = None
        self._thread: Thread | None = None

    @property
    def port(self) -> int:
        return int(self._server.server_address[1]) if self._server else self._address[1]

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Bind and answer. Raises SettingsError where the port cannot be bound."""
        host, port = self._address
        try:
            self._server = _Server((host, port), self._handler())
        except OSError as error:
            raise SettingsError(
                f"monitoring cannot listen on {host}:{port}: {error.strerror}; give each process a port of its own"
            ) from error
        self._thread = Thread(target=self._server.serve_forever, name="monitoring", daemon=True)
        self._thread.start()

    @property
    def silence(self) -> float:
        """Seconds since its thread last came round."""
        return time.monotonic() - self._server.came_round if self._server is not None and self.alive else 0.0

    def stop(self, grace: float = 0.0) -> None:
        """Answers under way end by themselves."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def _answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if (ask := self._answers.get(path)) is None:
            return HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics, /healthz and /readyz\n"
        condition = ask()
        text = "".join(f"{reason}\n" for reason in condition.reasons) or "ok\n"
        return HTTPStatus.OK if condition.holds else HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", text.encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT
            server_version = "ecgfm-clinical"
            sys_version = ""

            def do_GET(self) -> None:
                try:
                    status, kind, body = answer(self.path.partition("?")[0])
                except Exception as error:  # noqa: BLE001  the monitor sees that it got no figures, only the log says why
                    log.event("monitoring.failed", logging.ERROR, error=type(error).__name__)
                    status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"see the log\n"
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: a request's line is text from outside."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._places = BoundedSemaphore(MOST_CALLERS)
        self.came_round = time.monotonic()
        self._since: dict[socket, float] = {}  #: connection -> when it came

    def service_actions(self) -> None:
        """Called by socketserver in each round."""
        self.came_round = now = time.monotonic()
        for connection, since in self._since.copy().items():
            if now - since > REQUEST_WITHIN:
                with suppress(OSError):  # its thread closed it meanwhile
                    connection.shutdown(SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread a caller, as long as there is a place; beyond that the connection is closed."""
        if not self._places.acquire(blocking=False):
            log.event("monitoring.full", logging.WARNING)
            self.shutdown_request(request)
            return
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._since.pop(request, None)
            self._places.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """A caller that went away or sent rubbish is no event of ours."""
