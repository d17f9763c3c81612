"""What many callers of a DICOM port cost: a silent one nearly nothing. Each descriptor that the system gives works."""

import os
import resource
import select
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from ecgfm_connectors.dicom import server as server_module
from ecgfm_connectors.dicom.bounded import Stillness
from ecgfm_connectors.rejections import Rejection
from ecgfm_connectors.testing import cart
from ecgfm_connectors.testing.dicom_writer import write_ecg
from ecgfm_connectors.testing.samples import sample_ecg
from tests.helpers import dicom_wire
from tests.helpers.dicom_port import dicom_port
from tests.helpers.fakes import wait_until

pytestmark = pytest.mark.slow

LOOPBACK = "127.0.0.1"
BEYOND_SELECT = 1100  #: select(2) knows descriptors below 1024


def threads_of_associations() -> int:
    return sum("AcceptorThread" in one.name for one in threading.enumerate())


def test_a_silent_connection_has_no_threads_of_an_association() -> None:
    port = dicom_port()
    port.start()
    with socket.create_connection((LOOPBACK, port.port)) as silent:
        assert port._server is not None
        wait_until(lambda: port._server is not None and port._server._silent)
        assert threads_of_associations() == 0
        silent.sendall(dicom_wire.associate()[:10])
        assert threads_of_associations() == 0
        silent.sendall(dicom_wire.associate()[10:])
        wait_until(lambda: threads_of_associations() == 1)
    port.stop(grace=1)


@pytest.mark.parametrize(
    "beginning", [b"GET / HTTP/1.1\r\n\r\n", dicom_wire.release(), b"\x04\x00\x00\x00\x00\x04abcd"]
)
def test_a_caller_that_asks_for_no_association_is_told_and_gets_none(
    beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: object) -> None:
        raise AssertionError("an association was made")

    monkeypatch.setattr(server_module._Handler, "_create_association", made)
    port = dicom_port()
    port.start()
    with socket.create_connection((LOOPBACK, port.port), timeout=120) as caller:
        caller.sendall(beginning)
        assert caller.recv(1) == b"\x07"  # A-ABORT
    port.stop(grace=1)


def test_half_a_request_takes_no_place_of_an_association() -> None:
    """Though it holds one of its address's connections, until the time for a request is over."""
    port = dicom_port()
    port._ae.acse_timeout = 0.3
    port.start()
    with socket.create_connection((LOOPBACK, port.port), timeout=120) as caller:
        caller.sendall(dicom_wire.associate()[:100])
        assert caller.recv(1) == b""
    assert threads_of_associations() == 0
    port.stop(grace=1)


def test_a_crowd_that_waits_is_accepted_in_one_round_and_each_answer_stays_its_own() -> None:
    """As many as wait, of which the door lets the first in and turns the others away; a neighbour is heard."""
    port = dicom_port(max_per_host=2, turned_away=(told := list[Rejection]()).append)
    port.start()
    with ExitStack() as held:
        callers = [held.enter_context(socket.create_connection((LOOPBACK, port.port), timeout=120)) for _ in range(200)]
        wait_until(lambda: len(told) == 198)
        assert sum(bool(select.select([one], [], [], 0)[0]) for one in callers[2:]) == 198
        assert {(one.host, one.reason) for one in told} == {(LOOPBACK, "too-many-connections")}
        for one in callers[:2]:
            one.sendall(dicom_wire.associate())
            dicom_wire.wait_accepted(one)
    port.stop(grace=1)


def test_stop_sends_silent_connections_away() -> None:
    port = dicom_port()
    port.start()
    with socket.create_connection((LOOPBACK, port.port), timeout=120) as silent:
        wait_until(lambda: port._server is not None and port._server._silent)
        port.stop(grace=1)
        assert silent.recv(1) == b""


def test_looks_become_rare_while_nothing_happens() -> None:
    now = [0.0]
    stillness = Stillness(lambda: now[0])
    rests = []
    for seconds in (0.0, 0.2, 0.6, 60.0):
        now[0] = seconds
        rests.append(stillness.rest)
    assert rests == [0.0, 0.1, pytest.approx(0.3), 0.5]
    stillness.end()
    assert stillness.rest == 0.0


def test_a_caller_that_breaks_the_protocol_ends_its_connection_and_no_thread_dies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    died: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    port = dicom_port()
    port.start()
    for wrong in dicom_wire.wrong_beginnings():
        with socket.create_connection((LOOPBACK, port.port), timeout=120) as hostile:
            hostile.sendall(wrong)
    wait_until(lambda: threads_of_associations() == 0)
    assert cart.send([write_ecg(sample_ecg())], host=LOOPBACK, port=port.port)[0].status == 0
    port.stop(grace=1)
    assert died == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_descriptors_above_those_of_select() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * BEYOND_SELECT:
        pytest.skip(f"this process may have {hard} descriptors only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * BEYOND_SELECT), hard))
    try:
        with ExitStack() as held, Path(os.devnull).open() as nothing:
            for _ in range(BEYOND_SELECT):
                held.callback(os.close, os.dup(nothing.fileno()))
            port = dicom_port()
            port.start()
            answers = cart.send([write_ecg(sample_ecg())], host=LOOPBACK, port=port.port)
            port.stop(grace=1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [one.status for one in answers] == [0]


FULL = """
import resource, socket, threading
from tests.connectors.dicom.test_many_callers import cart, dicom_port, sample_ecg, write_ecg
content = write_ecg(sample_ecg())
port = dicom_port()
port.start()
assert cart.send([content], host="127.0.0.1", port=port.port)[0].status == 0
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
try:
    while True:
        held.append(socket.socket())
except OSError:
    held.pop().close()
waited = threading.Event()
sleep = port._server._ending.wait
port._server._ending.wait = lambda seconds: waited.set() or sleep(seconds)
held += [socket.create_connection(("127.0.0.1", port.port))]
for _ in range(120):
    if waited.wait(1):
        break
    held.pop(0).close()  # the first sender's descriptor was given back late, and the port took the caller in
    held.append(socket.create_connection(("127.0.0.1", port.port)))
print("waited", waited.is_set())
for one in held:
    one.close()
assert cart.send([content], host="127.0.0.1", port=port.port)[0].status == 0
print("taken")
port.stop(grace=1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_process_without_descriptors_waits_for_them_and_goes_on() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FULL],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert ended.stdout.split() == ["waited", "True", "taken"]


def test_stop_does_not_wait_for_a_caller_in_the_middle_of_an_object() -> None:
    port = dicom_port(idle_timeout=100_000, object_timeout=100_000)
    port.start()
    with ExitStack() as callers:
        for _ in range(3):
            caller = callers.enter_context(socket.create_connection((LOOPBACK, port.port), timeout=120))
            caller.sendall(dicom_wire.associate())
            dicom_wire.wait_accepted(caller)
            caller.sendall(dicom_wire.store(bytes(60_000), "2.25.1")[:30_000])
        wait_until(lambda: port._server is not None and port._server.memory.held > 30_000)
        port.stop(grace=0.1)
        assert threads_of_associations() == 0
