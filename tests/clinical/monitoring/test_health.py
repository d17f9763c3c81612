"""`health` says by its exit code what a monitor must know, whoever asks."""

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any, NoReturn

import pytest
import sqlalchemy

from ecgfm_clinical import scorers
from ecgfm_clinical.errors import ModelError, StoreUnavailable
from ecgfm_clinical.service.notifying import Notifier
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.staging import migrations
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation, ecg
from tests.helpers.ports import free_port

pytestmark = pytest.mark.slow(3)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path)
    yield site
    site.close()


def test_without_a_port_the_store_knows_whether_a_process_lives(site: Installation) -> None:
    code, text = site.command("health")
    assert code == 1
    assert "no `ecgfm-clinical run` of this host" in text
    service = Service(site.settings, "report", site.store)
    service.start()
    wait_until(lambda: site.command("health") == (0, "ok\n"))
    service.stop()
    assert site.command("health")[0] == 1


def test_the_process_itself_is_asked_in_every_state_from_start_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Installation(tmp_path, more=f"\n[monitoring]\nport = {free_port()}\n")
    opens, may_open = scorers.scorer_of, Event()

    def open_model(*arguments: Any, **named: Any) -> Any:
        if not may_open.is_set():
            raise ModelError("the folder of the bundle is gone")
        return opens(*arguments, **named)

    monkeypatch.setattr(scorers, "scorer_of", open_model)
    for question in (("health",), ("health", "--ready")):
        code, text = site.command(*question)
        assert (code, "nothing answers on port" in text) == (1, True)
    service = Service(site.settings, "all", site.store)
    service.start()

    def is_alive_and_says(*reasons: str) -> bool:
        alive, ready = site.document("health"), site.document("health", "--ready")
        return bool(alive["well"]) and (ready["well"], tuple(ready["reasons"])) == (not reasons, reasons)

    wait_until(lambda: is_alive_and_says("the live model is not open"))
    may_open.set()
    wait_until(lambda: is_alive_and_says())
    with monkeypatch.context() as fault:
        fault.setattr(site.store, "check_schema", _does_not_answer)
        assert is_alive_and_says("the staging store does not answer")
    _migrated_to(site, "9999")
    newer = f"the store is at schema 9999, this program knows up to {migrations.HEAD}: upgrade ecgfm-clinical"
    wait_until(lambda: is_alive_and_says(newer))
    _migrated_to(site, migrations.HEAD)
    wait_until(lambda: is_alive_and_says())
    service._listeners["hl7"].stop(grace=0)
    assert is_alive_and_says("listener hl7 is closed")
    service._listeners["hl7"].start()
    wait_until(lambda: is_alive_and_says())
    service.request_stop()
    assert is_alive_and_says("the service is stopping")
    service.stop()
    for question in (("health",), ("health", "--ready")):
        code, text = site.command(*question)
        assert (code, "nothing answers on port" in text) == (1, True)
    site.close()


def _does_not_answer(*_: object, **__: object) -> NoReturn:
    raise StoreUnavailable("no answer")


def _migrated_to(site: Installation, revision: str) -> None:
    """As a program of that schema leaves the store."""
    with site.store.database.writer.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = :to"), {"to": revision})


def test_a_store_of_an_earlier_version_is_not_well(site: Installation) -> None:
    with site.store.database.writer.begin() as connection:
        earlier = sqlalchemy.text("UPDATE alembic_version SET version_num = :earlier")
        connection.execute(earlier, {"earlier": migrations.REVISIONS[-2]})
    code, said = site.command("health")
    assert (code, "ecgfm-clinical migrate" in said) == (1, True)


def test_nagios_hears_the_four_states(site: Installation) -> None:
    code, line = site.command("health", "--nagios")
    assert (code, line.startswith("ECGFM CRITICAL - no process serves this store")) == (2, True)
    service = Service(site.settings, "report", site.store)
    service.start()
    wait_until(lambda: site.command("health", "--nagios")[0] == 0)
    assert site.command("health", "--nagios")[1].endswith(
        "| received=0c waiting=0 failed=0 unsent=0 set_aside=0 needs_person=0\n"
    )
    site.dicom(b"SECRET, no recording")
    code, line = site.command("health", "--nagios")
    assert (code, "1 unreadable" in line, "SECRET" in line) == (1, True, False)
    service.stop()
    site.path.write_text(site.path.read_text().replace("staging.sqlite", "gone.sqlite"))
    code, line = site.command("health", "--nagios")
    assert (code, line.startswith("ECGFM UNKNOWN - ")) == (3, True)


def test_status_tells_when_anything_last_moved(site: Installation) -> None:
    found = site.document("status")
    assert found["last_received_at"] == {"dicom": None, "hl7": None, "ingest": None}
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    site.dicom(ecg(2, "A"))
    site.score()
    found = site.document("status")
    assert found["last_received_at"]["dicom"] is not None
    assert found["destinations"]["ehr"]["last_acknowledged_at"] is not None


def test_a_destination_out_of_reach_for_too_long_needs_a_person(tmp_path: Path) -> None:
    site = Installation(tmp_path, more="\n[attention]\noutage_minutes = 1e-9\n")
    site.dicom(ecg(1, "A"))
    site.score()
    site.ehr.stop()
    site.send()
    found = site.document("status")
    assert found["needs_person"]["out_of_reach"] == ["ehr"]
    assert found["needs_attention"]
    site.store.close()


def test_systemd_hears_ready_alive_and_stopping(site: Installation, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(120)
        service = Service(
            site.settings, "report", site.store, notifier=Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        )
        service.start()
        heard = [systemd.recv(64)]
        while not {b"READY=1", b"WATCHDOG=1"} <= set(heard):
            heard.append(systemd.recv(64))
        service.stop()
        heard.append(systemd.recv(64))
        while heard[-1] == b"WATCHDOG=1":
            heard.append(systemd.recv(64))
    assert heard[-1] == b"STOPPING=1"
