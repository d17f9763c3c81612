"""A running service tells monitors that it lives, that it can work, and its numbers; and never a patient."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ecgfm_clinical import liveness
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.service.service import Service
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow


def get(port: int | None, path: str) -> tuple[int, str]:
    assert port is not None
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    caller.request("GET", path)
    answer = caller.getresponse()
    text = answer.read().decode()
    caller.close()
    return answer.status, text


def figures(port: int | None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of `/metrics`."""
    status, text = get(port, "/metrics")
    assert status == 200
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path, more="\n[monitoring]\nport = 0\n")
    yield site
    site.close()


@pytest.fixture
def service(site: Installation) -> Iterator[Service]:
    service = Service(site.settings, "all", site.store)
    service.start()
    yield service
    service.stop()


def test_numbers_agree_with_the_store_and_name_nobody(site: Installation, service: Service) -> None:
    for seed in range(3):
        site.dicom(ecg(seed, f"SECRET{seed}"))
    site.dicom(b"no recording at all")
    wait_until(lambda: len(site.ehr.messages) == 3)
    wait_until(lambda: figures(service.monitoring_port).get(("ecgfm_store_up", ())) == 1)
    wait_until(lambda: figures(service.monitoring_port)["ecgfm_deliver_seconds_count", (("destination", "ehr"),)] == 3)
    found = figures(service.monitoring_port)
    counts = site.store.questions.counts()
    assert found["ecgfm_ecgs_received_total", (("source", "dicom"),)] == counts.received == 4
    by_state = {
        state: found["ecgfm_ecgs", (("source", "dicom"), ("state", state))]
        for state in ("scored", "not_evaluable", "failed", "waiting")
    }
    assert by_state == {
        "scored": counts.scored,
        "not_evaluable": counts.not_evaluable,
        "failed": counts.failed,
        "waiting": 0,
    }
    assert found["ecgfm_outbox_messages", (("destination", "ehr"), ("state", "waiting"))] == 0
    assert found["ecgfm_arrival_to_acknowledged_seconds_count", (("destination", "ehr"),)] == 3
    assert found["ecgfm_messages_total", (("answer", "acknowledged"), ("destination", "ehr"))] == 3
    assert found["ecgfm_needs_person", (("kind", "unreadable"),)] == 1
    assert found["ecgfm_source_last_received_timestamp_seconds", (("source", "dicom"),)] > 0
    assert found["ecgfm_destination_last_acknowledged_timestamp_seconds", (("destination", "ehr"),)] > 0
    _, text = get(service.monitoring_port, "/metrics")
    assert "SECRET" not in text
    assert "TESTFAMILY" not in text


def test_only_one_process_tells_the_figures_of_the_store(
    site: Installation, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tells(one: Service) -> bool:
        return ("ecgfm_store_up", ()) in figures(one.monitoring_port)

    wait_until(lambda: tells(service))
    monkeypatch.setattr(liveness, "worker_name", lambda role: f"another-host:1:2:{role}")
    second = Service(site.settings, "report", site.store)
    second.start()
    try:
        wait_until(lambda: len(site.store.processes.all()) == 2)
        assert (tells(service), tells(second)) == (True, False)
        assert ("ecgfm_task_up", (("task", "pulse"),)) in figures(second.monitoring_port)
        service.stop()
        wait_until(lambda: tells(second))
    finally:
        second.stop()


def test_a_store_that_does_not_answer_is_not_ready_and_alive(
    site: Installation, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def does_not_answer(*_: object, **__: object) -> NoReturn:
        raise StoreUnavailable("no answer")

    port = service.monitoring_port
    wait_until(lambda: get(port, "/readyz")[0] == 200)
    wait_until(lambda: figures(port).get(("ecgfm_store_up", ())) == 1)
    with monkeypatch.context() as fault:
        fault.setattr(site.store, "check_schema", does_not_answer)
        fault.setattr(site.store.questions, "backlog", does_not_answer)
        assert get(port, "/readyz") == (503, "the staging store does not answer\n")
        assert get(port, "/healthz")[0] == 200
        assert figures(port)["ecgfm_store_up", ()] == 0
    assert get(port, "/readyz")[0] == 200


def test_other_paths_and_rubbish_harm_nobody(service: Service) -> None:
    port = service.monitoring_port
    assert get(port, "/metrics/../etc")[0] == 404
    assert port is not None
    for rubbish in (b"\r\n\r\n", b"\0" * 1000, b"GET /metrics", b"POST / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as caller:
            caller.sendall(rubbish)
    assert get(port, "/healthz")[0] == 200


def test_silent_callers_leave_places_for_others(service: Service) -> None:
    port = service.monitoring_port
    assert port is not None
    silent = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(40)]
    for caller in silent:
        caller.close()

    def answered() -> bool:
        try:
            return get(port, "/healthz")[0] == 200
        except (ConnectionError, http.client.HTTPException):
            return False

    wait_until(answered)
