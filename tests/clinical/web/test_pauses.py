"""Pausing and resuming in the console: on every page, done once, told to who comes second, obeyed by the workers."""

import pytest

from ecgfm_clinical.web.users import Role
from tests.clinical.web.conftest import Browser
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(15)

EHR = {"kind": "destination", "name": "ehr", "reason": "it moves tonight"}


def test_a_pause_stands_on_every_page_and_is_obeyed_until_it_is_resumed(site: Installation, browser: Browser) -> None:
    client = browser(Role.OPERATOR)
    assert client.post("/pauses/pause", data=EHR).headers["location"] == "/pauses"
    for path in ("/", "/ecgs", "/audit", "/pauses", "/ecgs/99"):
        page = client.get(path).text
        assert "Destination ehr is paused" in page, path
        assert "it moves tonight" in page
    assert "it moves tonight" not in browser(None).get("/sign-in").text
    site.dicom(ecg(1, "A"))
    site.go_on()
    assert not site.ehr.messages
    assert "1 message" in client.get("/pauses").text
    (one,) = site.store.pauses.current()
    client.post("/pauses/resume", data={**EHR, "pause": str(one.pause_id), "reason": "it has moved"})
    site.send_until(1)
    page = client.get("/pauses").text
    assert "Destination ehr is paused" not in page
    assert "it has moved" in page
    assert [entry.actor.split()[0] for entry in site.store.care.found(limit=9, action="pause.")] == ["operator"] * 2


def test_the_second_of_two_operators_is_told_what_the_first_did(site: Installation, browser: Browser) -> None:
    first, second = browser(Role.OPERATOR), browser(Role.ADMINISTRATOR)
    first.post("/pauses/pause", data=EHR)
    refused = second.post("/pauses/pause", data=EHR)
    assert refused.status_code == 409
    assert "paused already since" in refused.text
    assert "by operator by" in refused.text
    (seen,) = site.store.pauses.current()
    first.post("/pauses/resume", data={**EHR, "pause": str(seen.pause_id)})
    first.post("/pauses/pause", data={**EHR, "reason": "once more"})
    late = second.post("/pauses/resume", data={**EHR, "pause": str(seen.pause_id)})
    assert "resumed and paused anew meanwhile" in late.text
    assert site.store.pauses.current()


def test_what_cannot_be_paused_is_refused_in_words(browser: Browser) -> None:
    client = browser(Role.OPERATOR)
    listener = client.post("/pauses/pause", data={"kind": "source", "name": "dicom", "reason": "x"})
    assert listener.status_code == 400
    assert "is a listener and stays open" in listener.text
    assert "there is no head nose to pause" in client.post(
        "/pauses/pause", data={"kind": "head", "name": "nose", "reason": "x"}
    ).text.replace("&#39;", "'")
    assert client.post("/pauses/pause", data={"kind": "everything"}).status_code == 400, "without a reason"
    assert client.post("/pauses/pause", data={"kind": "nonsense", "reason": "x"}).status_code == 400


def test_the_commands_do_the_same_and_status_tells(site: Installation) -> None:
    assert site.command("pause", "everything", "--reason", "the server room floods")[0] == 0
    told = site.command("status")[1]
    assert "PAUSED          everything since" in told
    assert "the server room floods" in told
    assert site.document("status")["paused"][0]["kind"] == "everything"
    code, text = site.command("pause", "everything", "--reason", "x")
    assert (code, "is paused already" in text) == (1, True)
    site.dicom(ecg(1, "A"))
    site.go_on()
    assert site.store.questions.counts().waiting == 1
    assert "everything goes on" in site.command("resume", "everything", "--reason", "dry again")[1]
    site.go_on()
    site.send_until(1)
