"""Ports that a crowd calls: callers are held while the accepting thread is busy, and garbage does not keep it busy."""

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest

from ecgfm_connectors.base import Handler, Listener, Received, Verdict
from ecgfm_connectors.dicom import server as server_module
from ecgfm_connectors.dicom.storage import StorageScp, _join
from ecgfm_connectors.hl7.listener import MllpListener
from tests.helpers.dicom_port import dicom_port
from tests.helpers.fakes import Clock

CROWD = 400


def _never(_: Received) -> Verdict:
    raise AssertionError


def _mllp(handle: Handler) -> MllpListener:
    return MllpListener(name="hl7", host="127.0.0.1", port=0, handler=handle, clock=Clock())


def _most_held() -> int:
    """Callers that the system holds for a port at most."""
    limit = Path("/proc/sys/net/core/somaxconn")
    return int(limit.read_text()) if limit.exists() else 128


@pytest.mark.skipif(sys.platform != "linux" or _most_held() < CROWD, reason="the system holds fewer callers")
@pytest.mark.parametrize("build", [_mllp, dicom_port])
def test_callers_are_held_while_the_accepting_thread_is_busy(build: Callable[[Handler], Listener]) -> None:
    """One too many would be heard when its system calls again, after 1, 3, 7, 15 or 31 s."""
    release, busy = Event(), Event()

    def occupied(*_: object) -> bool:
        busy.set()
        release.wait(120)
        return False

    listener = build(_never)
    listener.start()
    try:
        if isinstance(listener, StorageScp):
            assert listener._server is not None
            listener._server.verify_request = occupied  # type: ignore[method-assign, assignment]
        else:
            listener._take = occupied  # type: ignore[attr-defined]
        with ExitStack() as callers:
            callers.enter_context(socket.create_connection(("127.0.0.1", listener.port), timeout=60))
            assert busy.wait(120)
            for _ in range(CROWD):
                callers.enter_context(socket.create_connection(("127.0.0.1", listener.port), timeout=0.9))
    finally:
        release.set()
        listener.stop()


def test_garbage_is_looked_for_in_a_fiftieth_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd that is turned away and calls again at once, for a hundred seconds."""
    now, searches = [1000.0], list[float]()

    def search() -> int:
        searches.append(now[0])
        now[0] += 0.25
        return 0

    monkeypatch.setattr(server_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(server_module, "gc", SimpleNamespace(collect=search))
    scp = dicom_port(_never)
    scp.start()
    server = scp._server
    assert server is not None
    scp.stop()  # its own rounds would count too
    end = now[0] + 100
    while now[0] < end:
        server.verify_request(None, ("127.0.0.1", 50000))
        server.left(Event(), "127.0.0.1")  # type: ignore[arg-type]  # in place of an association without bounds
        server.service_actions()
        now[0] += 0.005
    assert 4 <= len(searches) <= 9


def test_a_port_stops_while_a_caller_s_thread_is_being_started() -> None:
    """Listed already, a thread whose start has not ended cannot be joined."""
    begun, release = Event(), Event()

    class Starting(threading.Thread):
        def _bootstrap_inner(self) -> None:  # the new thread, before it tells that it runs
            begun.set()
            release.wait(120)
            super()._bootstrap_inner()  # type: ignore[misc]  # threading's own

    late = Starting(target=lambda: None)
    starter = threading.Thread(target=late.start)
    starter.start()
    try:
        assert begun.wait(120)
        assert late in threading.enumerate()
        _join([late], 0.0)
    finally:
        release.set()
        starter.join()
        late.join()
