"""Undo until sent: what an act put on its way waits, and who did it may take it back; what has left stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from ecgfm_clinical.web.app import build_console
from ecgfm_connectors.base import Received
from ecgfm_connectors.ecg import Device
from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.testing import dicom_writer
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.conftest import HASHER, PASSWORD, fail_for_good
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation, adt, ecg, merge, pid
from tests.helpers.web_port import serving

pytestmark = pytest.mark.slow(15)


@pytest.fixture
def patient_console(site: Installation) -> Iterator[str]:
    """A console that leaves nine minutes for second thoughts."""
    console = build_console(site.settings, site.store, hasher=HASHER, undo_for=timedelta(minutes=9))
    with serving(console) as address:
        yield address


@contextmanager
def _client(address: str, name: str) -> Iterator[httpx.Client]:
    here = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=address, headers=here, timeout=120) as client:
        client.post("/sign-in", data={"name": name, "password": PASSWORD})
        yield client


def _word(page: str) -> str:
    return page.partition('name="undo" value="')[2].partition('"')[0]


@pytest.mark.parametrize("act", ["again", "recompose"])
def test_messages_on_their_way_are_set_aside_again(site: Installation, patient_console: str, act: str) -> None:
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    (dead,) = site.store.questions.dead_letters()
    with _client(patient_console, "operator") as client, _client(patient_console, "administrator") as other:
        page = client.post(f"/dead/{act}", data={"message": dead.message_id}).text
        assert "1 message will be sent" in page
        site.send()
        assert len(site.ehr.messages) == 1, "it waits"
        assert other.post("/undo", data={"undo": _word(page)}).status_code == 404, "somebody else's"
        page = other.post(f"/dead/{act}", data={"message": dead.message_id}).text
        assert "1 of 1 chosen had been dealt with already" in page
        assert "by operator by" in page


@pytest.mark.parametrize("act", ["again", "recompose"])
def test_an_undone_repeat_leaves_the_dead_letter_as_it_was(site: Installation, patient_console: str, act: str) -> None:
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    (dead,) = site.store.questions.dead_letters()
    with _client(patient_console, "operator") as client:
        page = client.post(f"/dead/{act}", data={"message": dead.message_id}).text
        word = _word(page)
        assert "1 message was undone" in client.post("/undo", data={"undo": word}).text
        assert client.post("/undo", data={"undo": word}).status_code == 404, "once"
    assert [one.message_id for one in site.store.questions.dead_letters()] == [dead.message_id]
    site.send()
    assert len(site.ehr.messages) == 1
    assert site.store.care.audit_faults() == []


def test_an_undone_withdrawal_leaves_the_result_standing(site: Installation, patient_console: str) -> None:
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    with _client(patient_console, "administrator") as client:
        page = client.post("/ecgs/1/withdraw", data={"reason": "wrong electrodes"}).text
        site.send()
        assert "1 withdrawal was undone" in client.post("/undo", data={"undo": _word(page)}).text
    site.go_on()
    assert [kind for _, kind in site.told] == ["F"], "the receiver heard nothing of it"
    assert [one.kind for one in site.store.results.told(ecg_id=1)] == ["F"]
    assert site.store.ecgs.story(1).recording.withdrawn is None


def test_an_undone_withdrawal_of_what_never_left_lets_it_leave(site: Installation, patient_console: str) -> None:
    site.dicom(ecg(1, "A"))
    site.score()
    with _client(patient_console, "administrator") as client:
        page = client.post("/ecgs/1/withdraw", data={"reason": "a test"}).text
        site.send()
        assert not site.ehr.messages
        client.post("/undo", data={"undo": _word(page)})
    site.go_on()
    site.send_until(1)
    assert [kind for _, kind in site.told] == ["F"]


def test_what_has_left_is_not_undone(site: Installation, address: str) -> None:
    """A console without a wait: the withdrawal goes at once."""
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    with _client(address, "administrator") as client:
        page = client.post("/ecgs/1/withdraw", data={"reason": "a test"}).text
        site.send_until(2)
        wait_until(lambda: len(site.told) == 2)
        assert "1 had left already" in client.post("/undo", data={"undo": _word(page)}).text
    assert [kind for _, kind in site.told] == ["F", "W"]


def _not_read(site: Installation) -> None:
    """A recording that a decoder of an earlier version failed at."""
    now = datetime.now(UTC)
    content = dicom_writer.write_ecg(ecg(1, "A"))
    received = Received(transport="dicom", source="dicom", content=content, received_at=now)
    site.store.intake.record(received, Unreadable("decoder-fault", "a fault"), now=now, actor="dicom")


def test_a_payload_that_was_read_again_is_set_aside_again_and_its_ecg_was_never_scored(
    site: Installation, patient_console: str
) -> None:
    _not_read(site)
    (before,) = site.store.payloads.set_aside(limit=9)
    sums = site.store.questions.counts()
    with _client(patient_console, "operator") as client:
        page = client.post("/refused/read-again", data={"payload": before.payload_id}).text
        assert "1 × staged" in page
        site.score()
        assert site.store.ecgs.story(1).scorings == (), "it waits"
        assert "1 payload is set aside again" in client.post("/undo", data={"undo": _word(page)}).text
        assert site.store.payloads.set_aside(limit=9) == [before]
        assert site.store.questions.counts() == sums
        assert client.get("/ecgs/1").status_code == 404
        page = client.post("/refused/read-again", data={"payload": before.payload_id}).text
        assert "1 × staged" in page, "and once more, for good"
    assert site.store.questions.counts().waiting == 1
    assert {one.actor.split()[0] for one in site.store.care.found(limit=9, action="payload.read")} == {"operator"}
    assert site.store.care.audit_faults() == []


def test_a_second_operator_is_told_that_it_was_read_and_by_whom(site: Installation, patient_console: str) -> None:
    _not_read(site)
    with _client(patient_console, "operator") as client, _client(patient_console, "administrator") as other:
        client.post("/refused/read-again", data={"payload": 1})
        page = other.post("/refused/read-again", data={"payload": 1}).text
        assert "1 of 1 chosen had been dealt with already" in page
        assert "payload.read-again by operator by" in page
        assert not _word(page), "who did nothing has nothing to undo"


def test_what_was_scored_meanwhile_is_left_as_it_is(site: Installation, address: str) -> None:
    """A console without a wait."""
    _not_read(site)
    with _client(address, "operator") as client:
        page = client.post("/refused/read-again", data={"payload": 1}).text
        site.go_on()
        assert "left as read: 1" in client.post("/undo", data={"undo": _word(page)}).text
    assert site.store.ecgs.story(1).scorings
    assert not site.store.payloads.set_aside(limit=9)


def test_a_recording_that_came_again_meanwhile_is_left_as_it_is(site: Installation, patient_console: str) -> None:
    _not_read(site)
    with _client(patient_console, "operator") as client:
        page = client.post("/refused/read-again", data={"payload": 1}).text
        site.dicom(replace(ecg(1, "A"), device=Device(model="renamed")))
        assert "left as read: 1" in client.post("/undo", data={"undo": _word(page)}).text
    assert site.store.questions.counts().received == 2


def test_who_said_that_they_have_looked_may_think_again(site: Installation, address: str) -> None:
    site.dicom(b"no DICOM at all")
    with _client(address, "operator") as client, _client(address, "administrator") as other:
        page = client.post("/refused/seen", data={"payload": 1, "reason": "a test"}).text
        assert "1 payload needs nobody now" in page
        second = other.post("/refused/seen", data={"payload": 1, "reason": "a test"}).text
        assert "1 of 1 chosen had been dealt with already" in second
        assert "payload.seen by operator by" in second
        assert "1 payload needs a person again" in client.post("/undo", data={"undo": _word(page)}).text
        assert "needs a person" in client.get("/refused").text


def test_an_ecg_whose_scoring_failed_is_settled_after_a_preview_and_may_be_thought_of_again(
    site: Installation, address: str
) -> None:
    site.dicom(ecg(1, "A"))
    fail_for_good(site)
    with _client(address, "operator") as client, _client(address, "administrator") as other:
        assert "NoSignal" in client.get("/held").text
        preview = client.get("/held/failed/preview", params={"ecg": 1}).text
        assert "Nothing has happened yet" in preview
        assert 'name="ecg" value="1"' in preview
        assert site.store.questions.backlog().jobs_failed == 1
        assert client.post("/held/failed/settle", data={"ecg": 1}).status_code == 400, "why is asked for"
        page = client.post("/held/failed/settle", data={"ecg": 1, "reason": "a test"}).text
        assert "1 ECG needs nobody now" in page
        assert site.store.questions.backlog().jobs_failed == 0
        second = other.post("/held/failed/settle", data={"ecg": 1, "reason": "a test"}).text
        assert "1 of 1 chosen had been dealt with already" in second
        assert "ecg.settled by operator by" in second
        assert not _word(second), "who did nothing has nothing to undo"
        (event,) = site.store.care.found(limit=9, action="ecg.settled")
        assert (event.ecg_id, event.detail["reason"], event.actor.split()[0]) == (1, "a test", "operator")
        assert "1 ECG needs a person again" in client.post("/undo", data={"undo": _word(page)}).text
        assert "NoSignal" in client.get("/held").text


def test_a_second_administrator_is_told_who_decided_a_question_and_how(site: Installation, address: str) -> None:
    site.mllp(merge("A", "B"))
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    site.mllp(adt("A28", pid("A")))
    (held,) = site.store.results.holds()
    with _client(address, "administrator") as first, _client(address, "administrator") as second:
        assert first.post(f"/held/{held.hold_id}/reject", data={"reason": "a test"}).status_code == 200
        late = second.post(f"/held/{held.hold_id}/release", data={"reason": "another"})
        assert late.status_code == 409
        assert "was decided already: rejected by administrator by" in late.text
