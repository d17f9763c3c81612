"""Nothing dies, hangs or loops in silence: faults put into every task, thread and process of a service."""

import json
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import CollectorRegistry

from ecgfm.predictor import Predictor
from ecgfm_clinical import log, scorers, wiring
from ecgfm_clinical.alerting.conditions import conditions
from ecgfm_clinical.errors import SettingsError, StoreUnavailable
from ecgfm_clinical.liveness import worker_name
from ecgfm_clinical.monitoring.attention import needs_person
from ecgfm_clinical.monitoring.endpoint import Condition, Endpoint
from ecgfm_clinical.pipeline import scoring as scoring_module
from ecgfm_clinical.service import service as service_module
from ecgfm_clinical.service import watch as watch_module
from ecgfm_clinical.service.handling import Handling
from ecgfm_clinical.service.presence import FAILURES_TOLD, Presence
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.service.watch import Watch
from ecgfm_clinical.service.worker import Beat, Worker
from ecgfm_clinical.settings import Scoring, ServiceSettings, Settings, read_settings
from ecgfm_clinical.settings.web import Web, WebTls
from ecgfm_clinical.staging.checkpointing import Checkpointer
from ecgfm_clinical.staging.processes import Ailing
from ecgfm_clinical.staging.records import JobState
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Disposition, Handler, Listener, Received, Verdict
from ecgfm_connectors.dicom.storage import StorageScp
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.hl7.listener import MllpListener
from tests.helpers import task_faults
from tests.helpers.dicom_port import dicom_port
from tests.helpers.fakes import Clock, make_ecg, wait_until
from tests.helpers.task_faults import TaskFaults
from tests.helpers.told import Told

pytestmark = pytest.mark.slow

SOON = timedelta(milliseconds=10)


@pytest.fixture
def stop() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


def test_a_task_drains_its_queue_and_then_waits(stop: Event) -> None:
    left = [3, 2, 1, 0]
    worker = Worker("one", lambda: left.pop(0), stop=stop, every=timedelta(hours=1))
    worker.start()
    wait_until(lambda: not left)
    stop.set()
    assert worker.join(60)
    assert worker.health.failures == 0


@pytest.mark.parametrize("error", [ValueError("4711"), KeyError("4711"), StoreUnavailable(), MemoryError()])
def test_a_step_that_raises_is_said_without_its_text_and_runs_again(told: Told, stop: Event, error: Exception) -> None:
    runs: list[int] = []

    def step() -> int:
        runs.append(1)
        if len(runs) == 1:
            raise error
        return 0

    Worker("one", step, stop=stop, every=SOON).start()
    wait_until(lambda: len(runs) >= 3)
    assert [one["event"] for one in told()] == [
        "store.unavailable" if isinstance(error, StoreUnavailable) else "task.failed"
    ]
    assert "4711" not in json.dumps(told())


def test_one_slow_task_keeps_no_other_from_running(stop: Event) -> None:
    release, others = Event(), [0] * 12
    slow = [Worker(f"slow {number}", lambda: release.wait(60) and 0, stop=stop, every=SOON) for number in range(12)]

    def count() -> int:
        others[0] += 1
        return 0

    for worker in (*slow, Worker("other", count, stop=stop, every=SOON)):
        worker.start()
    wait_until(lambda: others[0] >= 3)
    release.set()


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_thread_that_dies_is_said_and_started_again(told: Told, stop: Event, end: type[BaseException]) -> None:
    runs: list[int] = []

    def step() -> int:
        runs.append(1)
        if len(runs) == 1:
            raise end
        return 0

    worker = Worker("one", step, stop=stop, every=SOON)
    watch = Watch([worker], {}, stop=stop, hang_after=900, on_hang=lambda _: None, every=0.01)
    worker.start()
    watch.start()
    wait_until(lambda: len(runs) >= 3)
    assert [one["error"] for one in told("task.died")] == [end.__name__]
    assert len(told("task.restarted")) == 1
    assert worker.health.deaths == 1


def test_a_task_whose_thread_died_is_told_until_a_step_ends_well(settings: Settings, store: Store, stop: Event) -> None:
    """It was told until the process was started anew, though it had long worked again."""
    clock, mended = Clock(), Event()

    def step() -> int:
        if not mended.is_set():
            raise SystemExit
        return 0

    worker = Worker("one", step, stop=stop, every=SOON)
    watch = Watch([worker], {}, stop=stop, hang_after=900, on_hang=lambda _: None, every=0.01)
    presence = Presence(
        store.processes,
        holder=worker_name("service"),
        roles=frozenset({"score"}),
        certificates={},
        hanging=set(),
        clock=clock,
    )

    def look() -> list[tuple[str, bool]]:
        """The alerts so far: of which task, and whether it is over."""
        presence.tell([worker.health])
        clock.advance(hours=1)
        presence.tell([worker.health])
        found = [one for one in conditions(settings, store, now=clock()) if one.name == "task-failing"]
        limits = settings.alerts
        store.alerts.look(
            found,
            routes=[],
            clear_after=limits.clear_after,
            escalate_after=limits.escalate_after,
            now=clock(),
            actor="test",
        )
        return [(one.subject, one.cleared_at is not None) for one in store.alerts.newest(limit=9)]

    worker.start()
    watch.start()
    wait_until(lambda: worker.health.deaths >= 2)
    assert [look(), look()] == [[("one", False)]] * 2, "opened once"
    mended.set()
    wait_until(lambda: not worker.health.is_unproven)
    look()
    assert [look(), look()] == [[("one", True)]] * 2, "cleared once"
    assert worker.health.deaths >= 2, "what happened stays counted"


def test_a_step_that_hangs_is_said_once_and_one_that_progresses_is_left_alone(told: Told, stop: Event) -> None:
    now, release = [0.0], Event()
    beats = {name: Beat(lambda: now[0]) for name in ("hangs", "long")}
    workers = [
        Worker(name, lambda: release.wait(60) and 0, stop=stop, every=timedelta(hours=1), beat=beat)
        for name, beat in beats.items()
    ]
    hung: list[str] = []
    watch = Watch(workers, {}, stop=stop, hang_after=100, on_hang=lambda name: hung.append(name))
    for worker in workers:
        worker.start()
    wait_until(lambda: all(beat._last is not None for beat in beats.values()))
    for _ in range(4):
        now[0] += 60
        beats["long"]()
        watch.look()
    assert hung == ["hangs"]
    assert [one["task"] for one in told("task.hangs")] == ["hangs"]
    release.set()


def test_a_step_that_hangs_is_said_within_the_time_that_it_gave_itself(told: Told, stop: Event) -> None:
    """As a scorer does while its model answers; before, while it is opened, the task has the longer time."""
    now, begun, answered, release = [0.0], Event(), Event(), Event()
    beat = Beat(lambda: now[0])

    def step() -> int:
        begun.set()
        answered.wait(120)
        beat(within=10)
        release.wait(120)
        return 0

    hung: list[str] = []
    worker = Worker("score", step, stop=stop, every=timedelta(hours=1), beat=beat)
    watch = Watch([worker], {}, stop=stop, hang_after=100, on_hang=hung.append)
    worker.start()
    assert begun.wait(120)
    now[0] += 90
    watch.look()
    assert hung == []
    answered.set()
    wait_until(lambda: beat.due == 10)
    now[0] += 11
    watch.look()
    assert hung == ["score"]
    release.set()


def test_a_port_whose_thread_died_is_opened_again(told: Told, stop: Event) -> None:
    def never(_: object) -> Any:
        raise AssertionError

    listener = MllpListener(name="hl7", host="127.0.0.1", port=0, handler=never, clock=Clock())
    listener.start()
    try:
        watch = Watch([], {"hl7": listener}, stop=stop, hang_after=900, on_hang=lambda _: None)
        watch.look()
        assert told() == []
        thread, port = listener._thread, listener.port
        assert thread is not None
        assert listener._wake is not None
        listener._stopping.set()  # the thread ends as after an error; nobody called `stop`
        listener._wake[1].send(b".")
        thread.join(60)
        assert not listener.alive
        watch.look()
        assert listener.alive
        assert listener.port == port
        assert [one["event"] for one in told()] == ["listener.died", "listener.started"]
    finally:
        listener.stop()


def test_the_alarm_ends_a_process_whose_watch_no_longer_looks(tmp_path: Path) -> None:
    program = tmp_path / "stuck.py"
    program.write_text(
        "import threading\n"
        "from ecgfm_clinical.service import watch\n"
        "watch.ALARM_AFTER = 0.5\n"
        "watch.alarm()\n"
        "threading.Event().wait(120)\n"
    )
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "stuck.py" in ended.stderr


# --- a whole service --------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(site: Path) -> Settings:
    read = read_settings(site)
    return read.model_copy(
        update={
            "service": ServiceSettings.model_construct(hang_seconds=5, stop_seconds=90),
            "listeners": read.listeners.model_copy(update={"dicom": (), "hl7": ()}),
        }
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    task_faults.quicken(monkeypatch)


def test_a_predictor_that_hangs_costs_its_work_an_attempt_and_ends_the_process(
    settings: Settings,
    store: Store,
    stage: Callable[[Any], Any],
    told: Told,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage(make_ecg(1))
    release = Event()

    def claim_and_hang() -> int:
        store.jobs.claim(
            worker=worker_name("score"),
            limit=1,
            now=wiring.utc_now(),
            lease=timedelta(seconds=60),
        )
        release.wait(120)
        return 0

    idle = SimpleNamespace(run_batch=lambda: 0)
    monkeypatch.setattr(scorers, "build_live_scorer", lambda *_, **__: SimpleNamespace(run_batch=claim_and_hang))
    monkeypatch.setattr(scorers, "build_shadow_scorer", lambda *_, **__: idle)
    service = Service(settings, "score", store)
    service.start()
    waiting = threading.Thread(target=service.wait, daemon=True)
    waiting.start()
    waiting.join(120)
    assert not waiting.is_alive()
    service.stop()
    assert service.hangs
    assert [one["task"] for one in told("task.hangs")].count("score") == 1
    held = store.ecgs.story(1)
    assert held.job_state is JobState.RUNNING  # left to whoever finds this process gone
    assert store.leases.reap(now=wiring.utc_now(), worker=worker_name("score")) == 1
    (process,) = store.processes.all()
    assert process.roles == "score"
    release.set()


@pytest.fixture
def everything(site: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return task_faults.everything(site, monkeypatch)


def test_every_task_of_a_service_survives_what_nobody_foresaw(
    everything: Settings, store: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = TaskFaults(monkeypatch, store, everything)
    service = Service(everything, "all", store, chores=faults.chores)
    service.start()
    try:
        assert {worker.name for worker in service._workers} == faults.tasks
        wait_until(lambda: {one["task"] for one in told("task.failed")} >= faults.tasks)
        wait_until(lambda: all(worker.health.failures >= FAILURES_TOLD for worker in service._workers))
        faults.mended.set()
        wait_until(lambda: all(worker.health.failures == 0 for worker in service._workers))
        assert not any(worker.health.deaths for worker in service._workers)
        wait_until(lambda: told("retention.planned"))  # nothing goes that was not announced
    finally:
        faults.mended.set()
        service.stop()
    assert not service.hangs
    assert store.processes.all() == ()
    assert "4711" not in json.dumps(told())


def test_a_task_that_fails_again_and_again_is_told_to_the_others(
    everything: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = TaskFaults(monkeypatch, store, everything)
    monkeypatch.setattr(store.leases, "reap", lambda **_: 0)  # the pulse alone goes on
    service = Service(everything, "all", store, chores=faults.chores)
    service.start()
    try:
        wait_until(lambda: store.processes.all())
        wait_until(
            lambda: (
                {one.task for one in store.processes.all()[0].ailing if one.failures >= FAILURES_TOLD}
                >= faults.tasks - {"pulse"}
            )
        )
    finally:
        faults.mended.set()
        service.stop()


def test_every_task_of_a_service_that_hangs_is_said_and_the_process_ends(
    everything: Settings, store: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = TaskFaults(monkeypatch, store, everything)
    faults.kind = "hangs"
    service = Service(everything, "all", store, chores=faults.chores)
    service.start()
    try:
        wait_until(lambda: faults.reached >= faults.tasks)
        assert told("task.hangs") == []
        assert service._watch is not None
        service._watch._hang_after = 0.0  # the time is over
        service.wait()
        service.stop()
    finally:
        faults.mended.set()
    assert service.hangs
    assert {one["task"] for one in told("task.hangs")} == faults.tasks
    assert not service.alive().holds
    for worker in service._workers:
        assert worker.join(120)


def test_a_process_that_gives_no_sign_is_said_by_another(
    settings: Settings,
    store: Store,
    told: Told,
    quick: None,
) -> None:
    now = wiring.utc_now()
    store.processes.lives(
        "elsewhere:1:1:service",
        roles="score",
        started_at=now,
        ailing=[Ailing(task="score", state="failing", failures=3, error="ValueError")],
        now=now - timedelta(minutes=2),
    )
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host, namespace, _, role = worker_name("service").split(":")
    store.processes.lives(f"{host}:{namespace}:{gone.pid}:{role}", roles="score", started_at=now, now=now)
    service = Service(settings, "report", store)
    service.start()
    wait_until(lambda: told("process.silent") and told("process.gone"))
    service.stop()
    # Both are missed until something takes their place.
    assert len(store.processes.all()) == 2
    replacing = Service(settings, "all", store)
    replacing.start()
    replacing.stop()
    assert store.processes.all() == ()


def test_a_container_that_was_killed_is_missed_no_longer_once_it_runs_again(
    settings: Settings, store: Store, quick: None
) -> None:
    """Another namespace of the same host: when it starts again nobody knows yet that the one before is silent."""
    host = worker_name("service").split(":")[0]
    before = wiring.utc_now() - timedelta(seconds=50)
    store.processes.lives(f"{host}:1:1:service", roles="report", started_at=before, now=before)
    store.processes.lives("elsewhere:1:1:service", roles="report", started_at=before, now=before)
    passed = [timedelta(seconds=5)]
    service = Service(settings, "report", store, clock=lambda: wiring.utc_now() + passed[0])
    service.start()
    assert len(store.processes.all()) >= 2
    passed[0] = timedelta(seconds=30)
    wait_until(lambda: f"{host}:1:1:service" not in [one.holder for one in store.processes.all()])
    service.stop()
    assert [one.holder for one in store.processes.all()] == ["elsewhere:1:1:service"]


def test_a_preparation_that_hangs_in_a_thread_is_said_and_ends_the_process(
    settings: Settings,
    store: Store,
    stage: Callable[[Any], Any],
    told: Told,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without processes of its own (`scoring.workers` = 0) nothing can be killed: `scoring.hang_seconds` holds."""
    release, begun = Event(), Event()

    def hangs(*_: object, **__: object) -> list[object]:
        begun.set()
        release.wait(120)
        return []

    monkeypatch.setattr(scoring_module, "prepare_jobs", hangs)
    stage(make_ecg(1))
    parts = {"service": ServiceSettings.model_construct(hang_seconds=900, stop_seconds=90)}
    short = settings.scoring.model_copy(update={"hang_seconds": 0.5})
    service = Service(settings.model_copy(update=parts | {"scoring": short}), "score", store)
    service.start()
    try:
        assert begun.wait(120)
        service.wait()
        service.stop()
        assert service.hangs
        assert [one["task"] for one in told("task.hangs")] == ["score"]
        assert store.ecgs.story(1).job_state is JobState.RUNNING  # left to whoever finds this process gone
        assert store.leases.reap(now=wiring.utc_now(), worker=worker_name("score")) == 1
    finally:
        release.set()


def test_a_certificate_that_ends_while_a_service_runs_is_said_once_and_needs_a_person(
    settings: Settings, store: Store, told: Told, quick: None, tmp_path: Path
) -> None:
    ends = datetime(2032, 1, 1, tzinfo=UTC)
    certificate = tmp_path / "web.crt"
    certificate.write_bytes(ending(ends))
    web = Web(tls=WebTls(certificate=certificate, key=certificate))
    now = [ends - timedelta(seconds=1)]
    service = Service(settings.model_copy(update={"web": web}), "report", store, clock=lambda: now[0])
    service.start()
    try:
        wait_until(lambda: store.processes.all())
        assert store.processes.all()[0].ailing == ()
        now[0] = ends
        wait_until(lambda: store.processes.all()[0].ailing)
        (one,) = store.processes.all()[0].ailing
        assert (one.task, one.error) == ("certificate of web", "CertificateEnded")
        (person,) = needs_person(store, now=now[0], limits=settings.attention).failing_tasks
        assert person.task == "certificate of web"
        certificate.write_bytes(ending(ends + timedelta(days=365)))
        wait_until(lambda: store.processes.all()[0].ailing == ())
    finally:
        service.stop()
    assert [line["part"] for line in told("certificate.ended")] == ["web"]


def ending(at: datetime) -> bytes:
    """A certificate, PEM, that ends then."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(at - timedelta(days=365)).not_valid_after(at)
    return built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("seconds", [0.5, 9, 29])
def test_a_lease_shorter_than_the_signs_of_life_is_refused(site: Path, seconds: float) -> None:
    text = site.read_text()
    site.write_text(text.replace("# lease_seconds = 300", f"lease_seconds = {seconds}"))
    with pytest.raises(SettingsError, match=r"scoring\.lease_seconds"):
        read_settings(site)
    assert Scoring().lease_seconds >= 3 * service_module.PULSE_EVERY.total_seconds()


def test_a_thread_that_ends_by_an_error_is_said_without_its_text(told: Told) -> None:
    try:
        raise ValueError("4711")
    except ValueError as error:
        ended = threading.ExceptHookArgs((ValueError, error, None, threading.Thread(name="mllp-hl7-peer")))
    log.thread_died(ended)
    assert [(one["event"], one["thread"], one["error"]) for one in told()] == [
        ("thread.died", "mllp-hl7-peer", "ValueError")
    ]


def test_a_stop_leaves_behind_what_does_not_end_in_time(
    settings: Settings,
    store: Store,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step that hangs once the watch has gone home held the stop for ever."""
    release, begun = Event(), Event()

    def hangs() -> int:
        begun.set()
        release.wait(120)
        return 0

    monkeypatch.setattr(scorers, "build_live_scorer", lambda *_, **__: SimpleNamespace(run_batch=hangs))
    monkeypatch.setattr(scorers, "build_shadow_scorer", lambda *_, **__: SimpleNamespace(run_batch=lambda: 0))
    short = ServiceSettings.model_construct(hang_seconds=900, stop_seconds=0.2)
    service = Service(settings.model_copy(update={"service": short}), "score", store)
    service.start()
    assert begun.wait(120)
    service.stop()
    assert not release.is_set()
    assert service.hangs  # so that the process ends at once
    assert "score" in [one["task"] for one in told("task.left-behind")]
    release.set()


# --- ports, handlers and what else lives ------------------------------------------------------------------------------


def _mllp(handle: Handler) -> MllpListener:
    return MllpListener(name="hl7", host="127.0.0.1", port=0, handler=handle, clock=Clock())


def _never(_: Received) -> Verdict:
    raise AssertionError


def test_a_dicom_port_whose_thread_died_is_opened_again(
    told: Told, stop: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", log.thread_died)
    listener = dicom_port(_never)
    listener.start()
    try:
        port, thread, server = listener.port, listener._thread, listener._server
        assert thread is not None
        assert server is not None

        def dies() -> None:
            raise RuntimeError("4711")

        server.service_actions = dies  # type: ignore[method-assign]  # the fault
        thread.join(120)
        watch = Watch([], {"dicom": listener}, stop=stop, hang_after=900, on_hang=lambda _: None)
        watch.look()
        assert listener.alive
        assert listener.port == port
        assert [one["event"] for one in told()] == ["thread.died", "listener.died", "listener.started"]
        assert "4711" not in json.dumps(told())
    finally:
        listener.stop()


@pytest.mark.parametrize("build", [_mllp, dicom_port])
def test_a_port_whose_thread_hangs_ends_the_process(
    told: Told,
    stop: Event,
    build: Callable[[Handler], Listener],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_module, "PORT_HANGS_AFTER", 0.5)
    release, hung = Event(), list[str]()

    listener = build(_never)
    watch = Watch([], {"port": listener}, stop=stop, hang_after=900, on_hang=hung.append)
    listener.start()
    try:
        if isinstance(listener, StorageScp):
            assert listener._server is not None
            listener._server.verify_request = lambda *_: release.wait(120) and False  # type: ignore[method-assign]
        else:
            listener._take = lambda _: release.wait(120) and None  # type: ignore[attr-defined]
        with socket.create_connection(("127.0.0.1", listener.port)):
            wait_until(lambda: listener.silence > 0.5)
            watch.look()
        watch.look()
        assert hung == ["port"]
        assert [one["listener"] for one in told("listener.hangs")] == ["port"]
    finally:
        release.set()
        listener.stop()


def test_a_handler_that_raises_is_said_and_one_that_hangs_ends_the_process(told: Told, stop: Event) -> None:
    now, release, begun, hung = [0.0], Event(), Event(), list[str]()
    handling = Handling("hl7", lambda: now[0])
    received = Received(transport="mllp", source="hl7", content=b"", received_at=wiring.utc_now())

    def fails(_: Received) -> Verdict:
        raise KeyError("4711")

    def hangs(_: Received) -> Verdict:
        begun.set()
        release.wait(120)
        return Verdict(disposition=Disposition.STAGED)

    with pytest.raises(KeyError):
        handling.of(fails)(received)
    assert [(one["listener"], one["error"]) for one in told("handler.failed")] == [("hl7", "KeyError")]
    assert "4711" not in json.dumps(told())
    watch = Watch([], {}, stop=stop, hang_after=100, on_hang=hung.append, handling={"hl7": handling})
    calling = threading.Thread(target=handling.of(hangs), args=(received,))
    calling.start()
    assert begun.wait(120)
    for _ in range(3):
        now[0] += 60
        watch.look()
    assert hung == ["hl7"]
    assert [one["handler"] for one in told("handler.hangs")] == ["hl7"]
    release.set()
    calling.join(120)
    assert handling.silence == 0


def test_a_checkpointer_that_died_is_started_by_the_next_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE one (number)")
    checkpointer = Checkpointer(path)
    worked = checkpointer._checkpoint
    done = Event()

    def dies() -> None:
        raise MemoryError

    monkeypatch.setattr(checkpointer, "_checkpoint", dies)
    checkpointer.nudge()
    wait_until(lambda: died)

    def works() -> None:
        worked()
        done.set()

    monkeypatch.setattr(checkpointer, "_checkpoint", works)
    wait_until(lambda: checkpointer._thread is not None and not checkpointer._thread.is_alive())
    checkpointer.nudge()
    assert done.wait(120)
    checkpointer.stop()


def test_the_port_of_monitors_is_opened_again(told: Told, stop: Event) -> None:
    condition = Condition()
    endpoint = Endpoint(
        host="127.0.0.1", port=0, registry=CollectorRegistry(), alive=lambda: condition, ready=lambda: condition
    )
    endpoint.start()
    server, thread = endpoint._server, endpoint._thread
    assert server is not None
    assert thread is not None
    server.shutdown()
    thread.join(120)
    Watch([], {"monitoring": endpoint}, stop=stop, hang_after=900, on_hang=lambda _: None).look()
    assert endpoint.alive
    assert [one["event"] for one in told()] == ["listener.died", "listener.started"]
    endpoint.stop()


# --- the page ---------------------------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "deploy" / "LIMITS.md"


def _watched() -> list[list[str]]:
    """The rows of the table of what lives: thread or process, who watches, within, what happens, tried by."""
    lines = PAGE.read_text(encoding="utf-8").partition("## What is watched")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| `")]
    return [[cell.strip(" |") for cell in row] for row in rows]


def test_each_row_of_what_is_watched_has_its_tests() -> None:
    assert len(_watched()) >= 10
    for row in _watched():
        assert len(row) == 5, row
        for tried in re.findall(r"`(\S+?::\S+?)`", row[4]):
            file, _, name = tried.partition("::")
            (path,) = PAGE.parents[1].joinpath("tests").rglob(file)
            assert f"def {name}(" in path.read_text(encoding="utf-8"), tried
        assert "::" in row[4], row


def test_each_thread_of_a_service_is_on_the_page(
    site: Path, store: Store, stage: Callable[[Ecg], Verdict], quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service with everything that can be set, which scores, has no thread that nobody watches."""
    site.write_text(re.sub(r"^port = \d+", "port = 0", site.read_text(), flags=re.MULTILINE))
    read = read_settings(site)
    everything = read.model_copy(
        update={
            "retention": read.retention.model_copy(update={"payload_days": 30}),
            "monitoring": read.monitoring.model_copy(update={"port": 0}),
        }
    )
    before = set(threading.enumerate())
    names: set[str] = set()

    def look() -> None:
        names.update(one.name for one in threading.enumerate() if one not in before)

    def looked_at(owner: Any, step: str) -> None:
        original = getattr(owner, step)

        def also(*arguments: Any, **named: Any) -> Any:
            look()
            return original(*arguments, **named)

        monkeypatch.setattr(owner, step, also)

    for owner, step in ((store.ecgs, "load"), (Predictor, "_prediction"), (store.jobs, "finish")):
        looked_at(owner, step)
    stage(make_ecg(1))
    service = Service(everything, "all", store)
    service.start()
    try:
        wait_until(lambda: store.questions.counts().scored)
        look()
    finally:
        service.stop()
    patterns = [re.compile(pattern.replace("NAME", r"\S+") + "$") for row in _watched() for pattern in _names(row[0])]
    unknown = {name for name in names if not any(pattern.match(name) for pattern in patterns)}
    assert not unknown
    assert {"watch", "pulse", "score", "monitoring", "prepare_0", "network_0", "finish_0"} <= names


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
