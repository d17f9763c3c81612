"""What breaks around a running installation: processes, databases, disks, models, clocks, connections,
and doubles of everyone.

Each test breaks one thing in the middle of a service that works, looks at what senders are told meanwhile, mends it,
and finds everything delivered once.
"""

import logging
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.errors import ModelError
from ecgfm_clinical.learning import governance
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging import engine
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.testing import aecg_writer, cart, dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.campaign import victim
from tests.helpers.fakes import make_ecg, wait_until
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = pytest.mark.slow(30)

OUT_OF_RESOURCES = 0xA700


def c_store(service: Service, number: int) -> int:
    """The status that the cart is answered."""
    content = dicom_writer.write_ecg(make_ecg(number))
    (answer,) = cart.send([content], host="127.0.0.1", port=service.ports["dicom"])
    return -1 if answer.status is None else answer.status


def mllp(service: Service, number: int) -> str:
    """MSA-1 and ERR-3 that the interface engine is answered."""
    message = oru_writer.write_ecg(make_ecg(number), control_id=f"C{number}", sent_at=datetime(2031, 1, 1, tzinfo=UTC))
    with MllpCart("127.0.0.1", service.ports["hl7"]) as sender:
        answer = sender.send(message)
    return f"{answer.code}{answer.error_code}"


def everything_rests(store: Store) -> None:
    """Nothing waits, the sum closes, and the audit trail is whole."""
    wait_until(lambda: not store.questions.counts().waiting and not store.questions.backlog().destinations, timeout=120)
    table = store.questions.count_table()
    for counts in (table.total, *table.by_source.values(), *table.by_head.values()):
        assert counts.received == counts.scored + counts.not_evaluable + counts.failed
    assert store.care.audit_faults() == []


@pytest.fixture
def events() -> Iterator[list[str]]:
    """The names of the events that the product logs."""
    seen: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    keeper, logger = Keeper(), logging.getLogger("ecgfm_clinical")
    level = logger.level
    logger.addHandler(keeper)
    logger.setLevel(logging.INFO)
    yield seen
    logger.removeHandler(keeper)
    logger.setLevel(level)


def test_an_ecg_that_kills_the_worker_process_fails_alone(settings: Settings, store: Store, tmp_path: Path) -> None:
    take = wiring.build_ingest(settings, store, "dicom")
    for number in range(5):
        ecg = make_ecg(number, sampling_rate=victim.POISON_RATE if number == 2 else 500.0)
        content = dicom_writer.write_ecg(ecg)
        take(Received(transport="dicom", source="dicom", content=content, received_at=wiring.utc_now()))
    order, deaths = ("preparing.record_of", "poison", 0), 0
    while store.questions.counts().waiting:
        worker = victim.start("score", settings.folder / "settings.toml", order, tmp_path / "score.log")
        while worker.exitcode is None and store.questions.counts().waiting:
            worker.join(0.1)
        if worker.exitcode is None:
            worker.terminate()
            worker.join(60)
        else:
            assert worker.exitcode == -signal.SIGKILL, (tmp_path / "score.log").read_text()
            deaths += 1
    assert deaths == settings.scoring.max_attempts
    states = {
        store.ecgs.story(one.ecg_id).ecg.ecg.source_id: store.ecgs.story(one.ecg_id).state
        for one in store.ecgs.newest()
    }
    assert states.pop("1.2.3.2") is EcgState.FAILED
    assert set(states.values()) == {EcgState.SCORED}
    (poison,) = store.ecgs.find("1.2.3.2")
    assert [error.kind for error in store.ecgs.story(poison).job_errors] == ["WorkerDied"] * deaths


def test_two_of_everyone_share_the_work(settings: Settings, store: Store, ehr: EhrReceiver, tmp_path: Path) -> None:
    path = settings.folder / "settings.toml"
    roles = ("connect", "score", "report")
    logs = {(role, n): tmp_path / f"{role}{n}.log" for role in roles for n in range(2)}
    everyone = [victim.start(role, path, victim.NO_ORDER, log) for (role, _), log in logs.items()]
    try:
        wait_until(lambda: all(b"service.started" in log.read_bytes() for log in logs.values()), timeout=120)
        for number in range(12):
            hidden = settings.folder / "drop" / f".{number}"
            hidden.write_bytes(aecg_writer.write_ecg(make_ecg(number)))
            hidden.rename(settings.folder / "drop" / f"{number}.xml")
        ehr.wait_for(12, timeout=120)
        everything_rests(store)
    finally:
        for one in everyone:
            one.terminate()
        for one in everyone:
            one.join(60)
    assert [one.exitcode for one in everyone] == [0] * 6
    assert store.questions.counts().received == store.questions.counts().scored == 12
    assert len(ehr.messages) == len(set(ehr.messages)) == 12
    pulled = [b"source.pulled" in logs["connect", n].read_bytes() for n in range(2)]
    assert sorted(pulled) == [False, True], "one scheduler pulls, the other stands by"


def test_connections_that_break_off_hard_cost_nothing(service: Service, store: Store, ehr: EhrReceiver) -> None:
    ehr.plan(Fault.RESET, Fault.RESET)
    half = oru_writer.write_ecg(make_ecg(9), control_id="HALF", sent_at=datetime(2031, 1, 1, tzinfo=UTC))[:5000]
    for port in (service.ports["hl7"], service.ports["dicom"]):
        for _ in range(3):
            peer = socket.create_connection(("127.0.0.1", port))
            peer.sendall(b"\x0b" + half)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
    assert c_store(service, 1) == 0
    assert mllp(service, 2) == "AA"
    ehr.wait_for(4)
    everything_rests(store)
    assert store.questions.counts().received == 2
    assert len(set(ehr.messages)) == 2


class TestClockSetBack:
    @pytest.fixture
    def ahead(self) -> list[timedelta]:
        """How far the clock is ahead at first."""
        return [timedelta(hours=5)]

    @pytest.fixture
    def clock(self, ahead: list[timedelta], store: Store) -> wiring.Clock:
        """While it was ahead, another process became the one that pulls."""

        def read() -> datetime:
            return datetime.now(UTC) + ahead[0]

        gone = "a process that is gone"
        assert store.coordination.acquire("schedule", gone, now=read(), duration=timedelta(hours=1))
        return read

    def test_nothing_waits(
        self, ahead: list[timedelta], service: Service, store: Store, ehr: EhrReceiver, settings: Settings
    ) -> None:
        ehr.plan(Fault.AR_BUSY)
        assert c_store(service, 1) == 0
        ehr.wait_for(1)
        (settings.folder / "drop" / "three.xml").write_bytes(aecg_writer.write_ecg(make_ecg(3)))
        ahead[0] = timedelta()
        assert c_store(service, 2) == 0
        ehr.wait_for(4)
        everything_rests(store)
        assert store.questions.counts().scored == 3


class TestClockJumps:
    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'store.db'}"

    @pytest.fixture
    def ahead(self) -> list[timedelta]:
        """By how much the service's clock is wrong."""
        return [timedelta()]

    @pytest.fixture
    def clock(self, ahead: list[timedelta]) -> wiring.Clock:
        return lambda: datetime.now(UTC) + ahead[0]

    def test_a_clock_that_jumps_both_ways_by_minutes_hours_and_years_stops_nothing(
        self, ahead: list[timedelta], service: Service, store: Store, ehr: EhrReceiver, settings: Settings
    ) -> None:
        """Each jump falls between the receipt of an ECG and its answer."""
        minutes, hour, years = timedelta(minutes=7), timedelta(hours=1), timedelta(days=3650)
        for number, wrong in enumerate((minutes, -minutes, hour, -hour, years, timedelta(), -years, timedelta())):
            assert c_store(service, 10 * number) == 0
            ahead[0] = wrong
            assert mllp(service, 10 * number + 1) == "AA"
            hidden = settings.folder / "drop" / f".{number}"
            hidden.write_bytes(aecg_writer.write_ecg(make_ecg(10 * number + 2)))
            hidden.rename(settings.folder / "drop" / f"{number}.xml")
            ehr.wait_for(3 * (number + 1), timeout=120)
        everything_rests(store)
        assert store.questions.counts().scored == 24
        assert len(set(ehr.messages)) == 24
        assert not service.hangs


@pytest.mark.peer
class TestPostgresql:
    @pytest.fixture
    def store_url(self, own_postgresql: Any) -> str:
        return str(own_postgresql.create_database())

    def test_a_server_that_stops_and_starts_again(
        self, own_postgresql: Any, service: Service, store: Store, ehr: EhrReceiver
    ) -> None:
        assert c_store(service, 1) == 0
        ehr.wait_for(1)
        own_postgresql.stop()
        assert c_store(service, 2) == OUT_OF_RESOURCES
        assert mllp(service, 3) == "AE207"
        own_postgresql.start()
        wait_until(lambda: c_store(service, 2) == 0)
        wait_until(lambda: mllp(service, 3) == "AA")
        # The first result may go twice, where its acknowledgement could not be written down: the same bytes.
        wait_until(lambda: len(set(ehr.messages)) == 3)
        everything_rests(store)
        assert len(set(ehr.messages)) == store.questions.counts().received == 3


class TestSqlite:
    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'store.db'}"

    @pytest.fixture
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 200)

    def test_a_file_locked_by_another_program(
        self, impatient: None, settings: Settings, service: Service, store: Store, ehr: EhrReceiver
    ) -> None:
        hold = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30);"
            " c.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
        )
        words = [sys.executable, "-c", hold, str(settings.folder / "store.db")]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdin
            assert other.stdout
            assert other.stdout.readline() == b"locked\n"
            assert c_store(service, 1) == OUT_OF_RESOURCES
            assert mllp(service, 2) == "AE207"
            other.stdin.close()
        wait_until(lambda: c_store(service, 1) == 0)
        wait_until(lambda: mllp(service, 2) == "AA")
        ehr.wait_for(2)
        everything_rests(store)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB; skips where this user may not mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


class TestDisk:
    @pytest.fixture
    def store_url(self, small_disk: Path) -> str:
        return f"sqlite:///{small_disk / 'store.db'}"

    @pytest.fixture(params=[6, 0], ids=["nearly full", "full"])
    def settings(self, settings: Settings, request: pytest.FixtureRequest) -> Settings:
        changed = settings.store.model_copy(update={"min_free_mb": request.param})
        return settings.model_copy(update={"store": changed})

    def test_a_full_disk_turns_senders_away_until_there_is_room(
        self, small_disk: Path, settings: Settings, service: Service, store: Store, ehr: EhrReceiver
    ) -> None:
        assert c_store(service, 1) == 0
        everything_rests(store)
        room = shutil.disk_usage(small_disk).free
        with (small_disk / "filler").open("wb") as filler:
            filler.write(bytes(max(0, room - settings.store.min_free_mb * 1_000_000 - 300_000)))
        taken, number = 1, 1
        while (status := c_store(service, number + 1)) == 0:
            taken, number = taken + 1, number + 1
        assert status == OUT_OF_RESOURCES
        assert mllp(service, 99) == "AE207"
        (small_disk / "filler").unlink()
        wait_until(lambda: c_store(service, number + 1) == 0)
        ehr.wait_for(taken + 1)
        everything_rests(store)
        assert store.questions.counts().received == taken + 1
        assert len(set(ehr.messages)) == taken + 1
        with closing(sqlite3.connect(small_disk / "store.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _flip_a_byte(bundle: Path) -> None:
    weights = bundle / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)


def _lose_the_weights(bundle: Path) -> None:
    (bundle / "model.safetensors").unlink()


def _lose_everything(bundle: Path) -> None:
    shutil.rmtree(bundle)


@pytest.mark.parametrize("damage", [_flip_a_byte, _lose_the_weights, _lose_everything])
class TestModel:
    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'store.db'}"

    def test_a_service_does_not_start_with_a_damaged_bundle(
        self, damage: Callable[[Path], None], settings: Settings, store: Store
    ) -> None:
        damage(settings.folder / "tiny")
        with pytest.raises(ModelError, match="tiny"):
            Service(settings, "all", store).start()

    def test_a_promoted_bundle_that_is_damaged_holds_work_back_until_it_is_mended(
        self,
        damage: Callable[[Path], None],
        events: list[str],
        settings: Settings,
        service: Service,
        store: Store,
        ehr: EhrReceiver,
    ) -> None:
        assert c_store(service, 1) == 0
        ehr.wait_for(1)
        bundle = write_tiny_bundle(settings.folder / "second", seed=1)
        row = governance.model_row(bundle, path="second", now=wiring.utc_now())
        shutil.copytree(settings.folder / "second", settings.folder / "spare")
        damage(settings.folder / "second")
        registry = store.models
        registry.register(row, now=wiring.utc_now(), actor="tester")
        registry.act("promoted", row.model_id, now=wiring.utc_now(), actor="tester", reason="test")
        wait_until(lambda: "model.unavailable" in events)
        assert c_store(service, 2) == 0
        seen = events.count("model.unavailable")
        wait_until(lambda: events.count("model.unavailable") > seen + 1)
        assert store.questions.counts().waiting == 1, "never scored by another model than the live one"
        shutil.copytree(settings.folder / "spare", settings.folder / "second", dirs_exist_ok=True)
        ehr.wait_for(2)
        everything_rests(store)
        (second,) = store.ecgs.find("1.2.3.2")
        assert [one.model_id for one in store.ecgs.story(second).scorings] == [row.model_id]


def test_carts_that_cannot_connect_lose_nothing(settings: Settings, store: Store, ehr: EhrReceiver) -> None:
    """A service that is away refuses connections; what the cart sends afterwards is taken as ever."""
    service = Service(settings, "all", store)
    service.start()
    port = service.ports["dicom"]
    service.stop()
    with pytest.raises(ConnectorError):
        cart.send([dicom_writer.write_ecg(make_ecg(1))], host="127.0.0.1", port=port)
    again = Service(settings, "all", store)
    again.start()
    try:
        assert c_store(again, 1) == 0
        ehr.wait_for(1)
        everything_rests(store)
    finally:
        again.stop()
