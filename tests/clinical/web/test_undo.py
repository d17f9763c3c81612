"""Undo until sent: what an act put on its way waits, and who did it may take it back; what has left stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest

from ecgfm_clinical.web.app import build_console
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.conftest import HASHER, PASSWORD
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation, ecg
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
        assert "1 messages will be sent" in page
        site.send()
        assert len(site.ehr.messages) == 1, "it waits"
        assert other.post("/undo", data={"undo": _word(page)}).status_code == 404, "somebody else's"
        page = other.post(f"/dead/{act}", data={"message": dead.message_id}).text
        assert "1 of the 1 chosen were not set aside any more" in page
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
        assert "1 messages were undone" in client.post("/undo", data={"undo": word}).text
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
        assert "1 withdrawals were undone" in client.post("/undo", data={"undo": _word(page)}).text
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
