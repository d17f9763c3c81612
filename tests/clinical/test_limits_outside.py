"""What the page of bounds says of the console and of those whom it asks: each limit is gone beyond."""

import socket
import threading
from contextlib import closing, suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.web import asking, oidc, server, sessions
from ecgfm_clinical.web.asking import Asked
from ecgfm_clinical.web.users import User
from tests.helpers.fakes import Clock

pytestmark = pytest.mark.slow(3)


def test_the_oldest_of_too_many_sign_ins_ends(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(sessions, "MOST", 2)
    kept = sessions.Sessions(longest=timedelta(hours=12), idle=timedelta(minutes=20))
    people: list[Any] = [SimpleNamespace(name=name) for name in ("ada", "ben", "cyd")]
    tokens = [kept.begin(one, now=clock()) for one in people]
    found: list[User | None] = [kept.user_of(one, now=clock()) for one in tokens]
    assert found == [None, *people[1:]]


def test_one_request_too_many_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    begun, release = threading.Event(), threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        while not release.is_set():
            await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    port = server.WebPort(app, host="127.0.0.1", port=0, tls=None)
    port.start()
    ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    callers = [socket.create_connection(("127.0.0.1", port.port), timeout=120)]
    try:
        callers[0].sendall(ask)
        assert begun.wait(120)
        callers += [socket.create_connection(("127.0.0.1", port.port), timeout=120) for _ in range(3)]
        callers[-1].sendall(ask)
        assert callers[-1].recv(100).startswith(b"HTTP/1.1 503")
    finally:
        release.set()
        for one in callers:
            one.close()
        port.stop(grace=1)


def test_more_than_a_page_asks_for_is_refused() -> None:
    with pytest.raises(InputError, match="why is too long"):
        Asked.of("why=" + "a" * (asking.LONGEST + 1)).text("why")
    with pytest.raises(InputError, match="more fields"):
        Asked.of("&".join(f"a{number}=1" for number in range(asking.MOST_FIELDS + 1)))


@pytest.mark.parametrize("piece", [b" ", bytes(65536)], ids=["byte by byte", "without end"])
def test_a_provider_whose_answer_does_not_end_signs_nobody_in(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "PATIENCE", 0.2)
    listening, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def answer() -> None:
        with suppress(OSError), closing(listening.accept()[0]) as caller:
            caller.recv(65536)
            caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            while not over.is_set():
                caller.sendall(piece)
                if len(piece) == 1:
                    over.wait(0.05)

    threading.Thread(target=answer, daemon=True).start()
    provider = SimpleNamespace(_tls=False, name="login")
    try:
        with pytest.raises(oidc.SignInRefused, match="does not answer"):
            oidc.Provider._asked(provider, "GET", f"http://127.0.0.1:{listening.getsockname()[1]}/")  # type: ignore[arg-type]  # all that is asked of it
    finally:
        over.set()
        listening.close()
