"""A server that answers byte by byte, or without end, is given up: a client's own time-out is of each read alone."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime

import pytest

from ecgfm_connectors.dicom import web
from ecgfm_connectors.dicom.results import stow
from ecgfm_connectors.dicom.web import DicomWebSource
from ecgfm_connectors.errors import NotReached, Unreachable
from ecgfm_connectors.fhir import http
from ecgfm_connectors.http_answer import bounded
from tests.helpers.dicom_results import every_form

pytestmark = pytest.mark.slow(5)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"


@pytest.fixture(params=["byte by byte", "without end"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that answers so until its caller goes away."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def answer(caller: socket.socket) -> None:
        with closing(caller), suppress(OSError):
            caller.recv(65536)
            caller.sendall(HEAD)
            while not over.is_set():
                if request.param == "byte by byte":
                    caller.sendall(b" ")
                    over.wait(0.05)
                else:
                    caller.sendall(bytes(65536))

    def serve() -> None:
        with suppress(OSError):
            while True:
                caller, _ = listening.accept()
                threading.Thread(target=answer, args=(caller,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    over.set()
    listening.close()


def _stow(url: str) -> None:
    stow.StowDestination(name="pacs", url=url, timeout=0.2).send(every_form()["result with page"], control_id="E1")


def _stow_check(url: str) -> None:
    stow.StowDestination(name="pacs", url=url, timeout=0.2).check()


def _dicomweb(url: str) -> None:
    DicomWebSource(name="pacs", url=url, timeout=0.2).check()


def _fhir(url: str) -> None:
    asker = http.Asker(where="fhir", tls=None, timeout=0.2, clock=lambda: datetime.now(UTC))
    with closing(asker):
        asker.post(url, b"{}", {})


@pytest.mark.parametrize("ask", [_stow, _stow_check, _dicomweb, _fhir])
def test_a_server_whose_answer_does_not_end_is_given_up(
    ask: Callable[[str], None], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_LONGEST_ANSWER", 0.2)
    for module, name in ((web, "_MAX_OBJECT"), (stow, "_MAX_ANSWER"), (http, "_LONGEST_ANSWER")):
        monkeypatch.setattr(module, name, 500_000)
    with pytest.raises(Unreachable, match=r"did not end its answer|answers with more than"):
        ask(url)


def test_a_server_that_takes_no_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its system answers nothing once as many callers wait as it holds."""
    monkeypatch.setattr(http, "_CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as busy, contextlib.ExitStack() as waiting:
        for _ in range(3):
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            with suppress(BlockingIOError):
                caller.connect(busy.getsockname())
        asker = http.Asker(where="fhir", tls=None, timeout=100, clock=lambda: datetime.now(UTC))
        with closing(asker), pytest.raises(NotReached, match="no answer in time"):
            asker.post(f"http://127.0.0.1:{busy.getsockname()[1]}/", b"{}", {})


def test_what_ends_in_time_and_is_short_enough_is_whole() -> None:
    assert bounded([b"ab", b"", b"c"], where="it", longest=3, seconds=1) == b"abc"
    with pytest.raises(Unreachable, match="more than 2 bytes"):
        bounded([b"ab", b"c"], where="it", longest=2, seconds=1)
    ticks = iter([0.0, 1.0, 2.0])
    with pytest.raises(Unreachable, match=r"within 1\.5 s"):
        bounded([b"a", b"b"], where="it", longest=9, seconds=1.5, monotonic=lambda: next(ticks))
