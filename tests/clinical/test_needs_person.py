"""What needs a person has one list, one count and one exit code; what repeats grows nothing."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from ecgfm_clinical import wiring
from ecgfm_clinical.operate.status import status_of, status_text
from ecgfm_clinical.pipeline.reporting import Reporter
from ecgfm_clinical.settings import Attention, read_settings
from ecgfm_clinical.staging.processes import Ailing
from ecgfm_clinical.staging.records import AttemptError, Retry
from ecgfm_clinical.staging.schema import attempt_error, audit
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.hl7.ack import reaction
from ecgfm_connectors.result import Ack
from ecgfm_connectors.testing import dicom_writer, oru_writer
from tests.helpers.fakes import Clock, make_ecg

pytestmark = pytest.mark.slow(3)

SENT = datetime(2026, 3, 1, 9, tzinfo=UTC)

Run = Callable[..., tuple[int, str, str]]


def _take(store: Store, clock: Clock, error: Exception, content: bytes = b"x") -> None:
    received = Received(transport="dicom", source="cart", content=content, received_at=clock())
    store.intake.record(received, error, now=clock(), actor="cart")  # type: ignore[arg-type]  # one of the two errors


def _needs(store: Store, clock: Clock, **limits: float) -> dict[str, Any]:
    stands = status_of(store, now=clock(), limits=Attention(**limits))
    found: dict[str, Any] = stands.to_json()
    assert found["needs_attention"] == (found["needs_person"]["count"] > 0)
    assert ("A person must look" in status_text(stands)) == found["needs_attention"]
    return dict(found["needs_person"])


def test_nothing_needs_a_person_in_an_empty_store(store: Store, clock: Clock) -> None:
    assert _needs(store, clock)["count"] == 0


def test_who_serves_a_store_is_said_and_that_nobody_ever_did(run: Run, tmp_path: Path, clock: Clock) -> None:
    """Whoever works by hand needs no service: said, and no fault."""
    assert run("init", tmp_path / "new")[0] == 0
    settings = tmp_path / "new" / "settings.toml"
    code, out, _ = run("status", "--settings", settings)
    assert code == 0
    assert "served          by no process, ever" in out
    store = wiring.open_store(read_settings(settings))
    try:
        store.processes.lives("host:0:0:service", roles="connect,score", started_at=clock(), now=wiring.utc_now())
        code, out, _ = run("status", "--settings", settings)
        assert (code, "by host:0:0:service (connect,score)" in out) == (0, True)
        store.processes.ended("host:0:0:service")
    finally:
        store.close()
    code, out, _ = run("status", "--settings", settings)
    assert (code, "by no process since 20" in out) == (0, True), "stopped in good order: said, and no fault"


def test_an_unreadable_payload_does_until_somebody_has_looked(store: Store, clock: Clock) -> None:
    _take(store, clock, Unreadable("not-dicom", "no DICOM object"))
    _take(store, clock, Refused("not-12-lead", "one lead only"), b"y")
    _take(store, clock, Refused("patient-mismatch", "two patients"), b"z")
    needs = _needs(store, clock)
    assert (needs["count"], needs["unreadable"], needs["patient_mismatches"]) == (2, 1, 1)
    for payload in store.questions.payloads_to_see_to():
        store.questions.payload_seen(payload.payload_id, reason="looked", now=clock(), actor="operator")
    assert _needs(store, clock)["count"] == 0
    assert store.questions.refusals()["not-dicom"] == 1


def test_what_a_message_lost_beside_what_was_taken_does_too(run: Run, site: Path, tmp_path: Path) -> None:
    """Its sender heard AA: the part that is damaged must not vanish with a finding."""
    good, damaged = (dicom_writer.write_ecg(make_ecg(number)) for number in (1, 2))
    files = [(good, "DICOM"), (damaged[:-4000], "DICOM")]
    sent = oru_writer.write_message(files, patient=make_ecg(1).patient, control_id="M1", sent_at=SENT)
    (tmp_path / "one.hl7").write_bytes(sent)
    assert run("ingest", tmp_path / "one.hl7", "--settings", site)[0] == 0
    code, out, _ = run("status", "--json", "--settings", site)
    needs = json.loads(out)["needs_person"]
    assert (code, needs["count"], needs["unreadable"]) == (1, 1, 1)
    assert "P1: " in run("held", "list", "--settings", site)[1]
    for words in (["list"], ["show", "1"]):
        _, out, _ = run("payloads", *words, "--settings", site)
        assert "in part" in out
    (listed,) = json.loads(run("payloads", "list", "--json", "--settings", site)[1])
    assert (listed["disposition"], listed["needs_a_person"]) == ("staged", True)
    assert run("payloads", "resolve", "1", "--reason", "sent again", "--settings", site)[0] == 0
    assert run("status", "--settings", site)[0] == 0
    assert run("show", "1", "--settings", site)[0] == 0


def test_an_ecg_unscored_for_longer_than_the_settings_say(
    store: Store, clock: Clock, stage: Callable[[Any], Any]
) -> None:
    stage(make_ecg(1))
    clock.advance(hours=23)
    assert _needs(store, clock)["count"] == 0
    assert _needs(store, clock, unscored_hours=5)["unscored_too_long"] is True
    clock.advance(hours=49)
    assert _needs(store, clock)["count"] == 1


def test_tasks_that_fail_and_processes_that_are_silent(store: Store, clock: Clock) -> None:
    ailing = [Ailing(task="pull pacs", state="failing", failures=7, error="Unreachable")]
    store.processes.lives("a:1:1:service", roles="connect", started_at=clock(), ailing=ailing, now=clock())
    needs = _needs(store, clock)
    assert [one["task"] for one in needs["failing_tasks"]] == ["pull pacs"]
    clock.advance(minutes=2)
    needs = _needs(store, clock)
    assert (needs["count"], needs["failing_tasks"], needs["silent_processes"]) == (1, [], ["a:1:1:service"])
    store.processes.ended("a:1:1:service")
    assert _needs(store, clock)["count"] == 0


def test_the_command_exits_with_1_and_all_payloads_are_seen_at_once(run: Run, site: Path, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(b"DICM" * number)
        run("ingest", tmp_path / f"{number}.dcm", "--settings", site)
    code, out, _ = run("status", "--json", "--settings", site)
    needs = json.loads(out)["needs_person"]
    assert (code, needs["count"], needs["unreadable"]) == (1, 3, 3)
    assert run("held", "reject", "P-all", "--reason", "looked", "--yes", "--settings", site)[0] == 0
    assert run("status", "--settings", site)[0] == 0


def test_an_ecg_that_can_never_be_scored_is_settled_by_the_command(run: Run, site: Path, recording: Path) -> None:
    assert run("ingest", recording, "--settings", site)[0] == 0
    with closing(wiring.open_store(read_settings(site))) as store:
        now = wiring.utc_now()
        (job,) = store.jobs.claim(worker="w", limit=1, now=now, lease=timedelta(minutes=1))
        error = AttemptError(at=now, attempt=1, kind="WorkerDied", text="the worker died")
        store.jobs.fail(job, Retry(due_at=None, error=error), now=now, worker="w")
    code, out, _ = run("status", "--settings", site)
    assert (code, "1 × ECG whose scoring failed: `ecgfm-clinical held list`" in out) == (1, True)
    assert run("held", "list", "--settings", site)[1].startswith(f"E{job.ecg_id}: scoring failed (WorkerDied), ")
    code, _, err = run("held", "release", f"E{job.ecg_id}", "--reason", "x", "--yes", "--settings", site)
    assert (code, "`correct` judges it again" in err) == (1, True)
    end = ("held", "reject", f"E{job.ecg_id}", "--reason", "no lead holds a signal", "--yes", "--settings", site)
    assert run(*end)[1].endswith("1 ECGs stay as they are and need nobody now.\n")
    assert run(*end)[0] == 1
    assert run("held", "reject", "E-all", "--reason", "none", "--yes", "--settings", site)[0] == 0
    assert run("status", "--settings", site)[0] == 0
    assert run("held", "list", "--settings", site)[1] == "nothing waits for a person\n"


class Busy:
    """A destination that answers: later."""

    name = "ehr"

    def send(self, body: bytes, *, control_id: str) -> Ack:
        return Ack(code="AR", control_id=control_id)

    def check(self) -> str:
        return "answers"

    def close(self) -> None: ...


@pytest.mark.parametrize("rounds", [200])
def test_a_receiver_that_says_later_for_weeks_grows_nothing(site: Path, recording: Path, run: Run, rounds: int) -> None:
    text = site.read_text()
    site.write_text(text + '\n[[destinations.file]]\nname = "ehr"\npath = "out"\n')
    assert run("ingest", recording, "--settings", site)[0] == 0
    assert run("score", "--settings", site)[0] == 0
    clock = Clock()
    clock.now = wiring.utc_now()
    with closing(wiring.open_store(read_settings(site))) as store:
        reporter = Reporter(
            store, Busy(), react=reaction, worker="w", clock=clock, max_attempts=None, lease=timedelta(minutes=1)
        )
        sizes = []
        for _ in range(rounds):
            assert reporter.run_batch() == 1
            clock.advance(minutes=6)
            with store.database.reading() as ask:
                sizes.append(
                    tuple(
                        ask.connection.scalar(select(func.count()).select_from(one)) for one in (attempt_error, audit)
                    )
                )
        (message,) = store.ecgs.story(1).messages
    assert sizes[-1] == sizes[0]
    assert [one.attempt for one in message.errors] == [rounds]
