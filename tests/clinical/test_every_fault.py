"""What the table of faults says of threads that `test_watch` does not try: slow and killed tasks, the console, the port
of monitors, the checkpointer, programs that are started.
"""

import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from ecgfm_clinical.alerting import channels
from ecgfm_clinical.alerting.channels import Command
from ecgfm_clinical.monitoring import endpoint as endpoint_module
from ecgfm_clinical.monitoring.endpoint import Condition, Endpoint
from ecgfm_clinical.service import watch as watch_module
from ecgfm_clinical.service.handling import CONSOLE, Handling
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.service.watch import Watch
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging import checkpointing
from ecgfm_clinical.staging.checkpointing import Checkpointer
from ecgfm_clinical.staging.processes import Ailing
from ecgfm_clinical.staging.store import Store
from tests.helpers import task_faults
from tests.helpers.fakes import wait_until
from tests.helpers.task_faults import TaskFaults
from tests.helpers.told import Told

pytestmark = pytest.mark.slow(20)

LOOPBACK = "127.0.0.1"


@pytest.fixture
def everything(site: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    task_faults.quicken(monkeypatch)
    return task_faults.everything(site, monkeypatch)


@pytest.fixture
def stop() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_slow_tasks_keep_no_other_from_running_and_are_no_fault(
    everything: Settings, store: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the tasks are held, by each bit of their number: so each was held once while any other one went on."""
    faults = TaskFaults(monkeypatch, store, everything, "slow")
    service = Service(everything, "all", store, chores=faults.chores)
    service.start()
    numbered = sorted(faults.tasks)
    try:
        for bit in range(len(numbered).bit_length()):
            for side in (0, 1):
                _hold(faults, frozenset(name for number, name in enumerate(numbered) if number >> bit & 1 == side))
        faults.hold(frozenset())
        before = faults.steps.copy()
        wait_until(lambda: _all_went_on(faults, faults.tasks, before))
    finally:
        faults.hold(frozenset())
        service.stop()
    assert not service.hangs
    assert not [one for one in told() if one["event"].startswith("task.")]


def _hold(faults: TaskFaults, held: frozenset[str]) -> None:
    """Hold these until each of the others has done something."""
    faults.reached.clear()
    faults.hold(held)
    wait_until(lambda: faults.reached >= held)
    before = faults.steps.copy()
    wait_until(lambda: _all_went_on(faults, faults.tasks - held, before))


def _all_went_on(faults: TaskFaults, tasks: set[str], before: dict[str, int]) -> bool:
    return all(faults.steps[name] > before.get(name, 0) for name in tasks)


def test_every_task_whose_thread_dies_is_said_and_started_again(
    everything: Settings, store: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = TaskFaults(monkeypatch, store, everything, "killed")
    service = Service(everything, "all", store, chores=faults.chores)
    service.start()
    try:
        wait_until(lambda: {one["task"] for one in told("task.restarted")} >= faults.tasks)
        wait_until(lambda: {one.task for one in _ailing(store)} >= faults.tasks - {"pulse"})
        faults.mended.set()
        wait_until(lambda: all(faults.steps[name] for name in faults.tasks))
        wait_until(lambda: not _ailing(store))
    finally:
        faults.mended.set()
        service.stop()
    assert {one["task"] for one in told("task.died")} == faults.tasks
    assert all(worker.health.deaths for worker in service._workers)


def _ailing(store: Store) -> tuple[Ailing, ...]:
    return next((one.ailing for one in store.processes.all()), ())


# --- the console ------------------------------------------------------------------------------------------------------


def pages(release: Event) -> Any:
    """A console's application in miniature: a page that answers, one that raises, one that hangs, and one that blocks
    everything.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    handling = Handling(CONSOLE)

    def answered(path: str) -> str:
        if path == "/raises":
            raise KeyError("4711")
        if path == "/hangs":
            release.wait(120)
        return "well"

    async def answer(request: Request) -> Response:
        if request.url.path == "/blocks":
            release.wait(120)
        return PlainTextResponse(await run_in_threadpool(handling.of(answered), request.url.path))

    return Starlette(routes=[Route("/{path}", answer)]), handling


def console_port(release: Event) -> Any:
    pytest.importorskip("uvicorn", reason="the package uvicorn is not installed")
    from ecgfm_clinical.web.server import WebPort

    app, handling = pages(release)
    return WebPort(app, host=LOOPBACK, port=0, tls=None, handling=handling)


def asked(port: Any, path: str) -> httpx.Response:
    return httpx.get(f"http://{LOOPBACK}:{port.port}/{path}", timeout=120, trust_env=False)


def test_a_page_that_raises_is_said_and_one_that_hangs_ends_the_process(told: Told, stop: Event) -> None:
    """Neither was told to anybody: forty pages that hang closed the console in silence."""
    release, hung = Event(), list[str]()
    port = console_port(release)
    port.start()
    watch = Watch([], {CONSOLE: port}, stop=stop, hang_after=0, on_hang=hung.append, handling={CONSOLE: port.handling})
    try:
        assert asked(port, "raises").status_code == 500
        assert [(one["listener"], one["error"]) for one in told("handler.failed")] == [(CONSOLE, "KeyError")]
        waiting = threading.Thread(target=lambda: asked(port, "hangs"))
        waiting.start()
        wait_until(lambda: port.handling.silence > 0)
        assert asked(port, "well").text == "well"
        watch.look()
        watch.look()
        assert hung == [CONSOLE]
        assert [one["handler"] for one in told("handler.hangs")] == [CONSOLE]
        release.set()
        waiting.join(120)
        wait_until(lambda: port.handling.silence == 0)
        assert not [one for one in told() if "4711" in str(one)]
    finally:
        release.set()
        port.stop(grace=1)


def test_the_pages_of_the_console_itself_are_watched(monkeypatch: pytest.MonkeyPatch, site: Path, told: Told) -> None:
    pytest.importorskip("starlette", reason="the package starlette is not installed")
    from ecgfm_clinical.web import app

    watched = Handling(CONSOLE)
    console = SimpleNamespace(handling=watched)

    async def visit(*_: object, **__: object) -> Any:
        return SimpleNamespace(user=None)

    def raises(*_: object) -> Any:
        raise KeyError("4711")

    monkeypatch.setattr(app, "_visit", visit)
    page: Any = SimpleNamespace(role=None, answer=raises)
    for built in (app._endpoint, app._program):
        with pytest.raises(KeyError):
            _run(built(console, page)(None))  # type: ignore[arg-type]  # all that is asked of them
    assert [one["listener"] for one in told("handler.failed")] == [CONSOLE, CONSOLE]


def _run(coroutine: Any) -> Any:
    import asyncio

    return asyncio.run(coroutine)


def test_the_console_whose_thread_died_is_opened_again_and_one_that_hangs_ends_the_process(
    told: Told, stop: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "PORT_HANGS_AFTER", 0.5)
    release, hung = Event(), list[str]()
    port = console_port(release)
    port.start()
    watch = Watch([], {CONSOLE: port}, stop=stop, hang_after=900, on_hang=hung.append)
    try:
        assert port._server is not None
        port._server.should_exit = True  # as after an error of its loop: nobody called `stop`
        assert port._thread is not None
        port._thread.join(120)
        watch.look()
        assert [one["event"] for one in told()] == ["listener.died", "listener.started"]
        assert asked(port, "well").text == "well"
        caller = threading.Thread(target=lambda: asked(port, "blocks"))
        caller.start()
        wait_until(lambda: port.silence > 0.5)
        watch.look()
        assert hung == [CONSOLE]
        assert [one["listener"] for one in told("listener.hangs")] == [CONSOLE]
        release.set()
        caller.join(120)
    finally:
        release.set()
        port.stop(grace=1)


# --- the port of monitors ---------------------------------------------------------------------------------------------


def monitors(condition: Any = lambda: Condition()) -> Endpoint:
    return Endpoint(host=LOOPBACK, port=0, registry=CollectorRegistry(), alive=condition, ready=condition)


def test_an_answer_to_monitors_that_raises_is_said_and_a_slow_one_keeps_no_other_waiting(told: Told) -> None:
    release, begun = Event(), Event()

    def condition() -> Condition:
        if not begun.is_set():
            begun.set()
            release.wait(120)
        raise KeyError("4711")

    port = monitors(condition)
    port.start()
    try:
        slow = threading.Thread(target=lambda: asked(port, "healthz"))
        slow.start()
        assert begun.wait(120)
        assert asked(port, "healthz").status_code == 500
        release.set()
        slow.join(120)
    finally:
        release.set()
        port.stop()
    assert [one["error"] for one in told("monitoring.failed")] == ["KeyError", "KeyError"]
    assert not [one for one in told() if "4711" in str(one)]


def test_a_monitor_that_asks_byte_by_byte_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte began the time anew: sixteen such callers closed the port to all others."""
    monkeypatch.setattr(endpoint_module, "REQUEST_WITHIN", 0.3)
    port = monitors()
    port.start()
    pause = Event()
    try:
        with socket.create_connection((LOOPBACK, port.port), timeout=120) as caller:
            with suppress(OSError):
                for _ in range(1200):
                    caller.sendall(b"A")
                    pause.wait(0.05)
                    if not port._server or not port._server._since:
                        break
            with suppress(ConnectionResetError):
                assert caller.recv(1000) == b""
        wait_until(lambda: port._server is not None and not port._server._since)
        assert asked(port, "healthz").text == "ok\n"
    finally:
        port.stop()


# --- what else lives --------------------------------------------------------------------------------------------------


def test_a_checkpointer_that_hangs_is_said_once_and_holds_no_stop(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer: `stop` waited for it without end. Commits empty SQLite's log themselves then."""
    monkeypatch.setattr(checkpointing, "HANGS_AFTER", 0.0)
    monkeypatch.setattr(checkpointing, "STOPS_IN", 0.05)
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE one (number)")
    release, begun = Event(), Event()
    checkpointer = Checkpointer(path)

    def hangs() -> None:
        begun.set()
        release.wait(120)

    monkeypatch.setattr(checkpointer, "_checkpoint", hangs)
    checkpointer.nudge()
    assert begun.wait(120)
    for _ in range(3):
        checkpointer.nudge()
    checkpointer.stop()
    assert checkpointer._thread is not None
    assert checkpointer._thread.is_alive()
    release.set()
    checkpointer._thread.join(120)
    assert [one["thread"] for one in told("thread.hangs")] == ["checkpointer"]


@pytest.mark.parametrize(
    "program",
    ["raise SystemExit(3)", "import threading; threading.Event().wait()", "import os; os.kill(os.getpid(), 9)"],
    ids=["raises", "hangs", "killed"],
)
def test_a_program_that_is_to_tell_an_alert_and_fails_has_not_told_it(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "TIMEOUT", 0.5)
    word: Any = SimpleNamespace(fields={"text": "a"})
    with pytest.raises(Exception, match=r"ended with|timed out"):
        Command((sys.executable, "-c", program)).tell(word)
