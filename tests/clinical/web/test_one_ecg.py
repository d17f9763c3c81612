"""One ECG in the console: what cardiologists say of it, how its person's answers went, and acts that are previewed."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from httpx import Client
from sqlalchemy import update

from ecgfm_clinical.staging.schema import score
from ecgfm_clinical.web.trends import HEIGHT, WIDTH, trends
from ecgfm_clinical.web.users import Role
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.conftest import Browser
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(25)


@pytest.fixture
def scored(site: Installation) -> Installation:
    site.dicom(ecg(1, "A"))
    site.dicom(ecg(2, "A"))
    site.go_on()
    site.send_until(2)
    _give_operating_points(site)
    return site


def _give_operating_points(site: Installation) -> None:
    """The small model has none: let every label that was answered be positive from 0.5 on."""
    with site.store.database.writing(datetime.now(UTC), "test") as tx:
        answered = score.c.probability.is_not(None)
        tx.connection.execute(update(score).where(answered).values(threshold=0.5, positive=score.c.probability >= 0.5))


def _answered(site: Installation, ecg_id: int) -> tuple[str, str, bool]:
    """A label with an answer yes or no."""
    scores = site.store.ecgs.story(ecg_id).scorings[-1].scores
    one = next(score for score in scores if score.positive is not None)
    return one.head, one.label, bool(one.positive)


def _say(client: Client, site: Installation, verdict: str, **more: str) -> int:
    head, label, _ = _answered(site, 1)
    form = {"head": head, "label": label, "verdict": verdict, "word": "low voltage", **more}
    return client.post("/ecgs/1/opinion", data=form).status_code


def test_a_cardiologist_whom_the_settings_name_agrees_or_disagrees(scored: Installation, browser: Browser) -> None:
    """Only she may; the newest word counts, and is offered as a label."""
    site = scored
    client, head = browser(Role.VIEWER), _answered(site, 1)[0]
    assert _say(client, site, "agree") == 400
    assert "only whom web.cardiologists names" in client.post("/ecgs/1/opinion").text
    web = site.settings.web
    assert web is not None
    object.__setattr__(web, "cardiologists", ("viewer",))
    assert "Agree or disagree" in client.get("/ecgs/1").text
    assert _say(client, site, "agree") == 303
    assert _say(client, site, "disagree", word="a paced rhythm") == 303
    assert _say(client, site, "maybe") == 400
    assert _say(client, site, "agree", word="") == 400
    assert _say(client, site, "agree", scoring="99") == 409, "scored anew since"
    page = client.get("/ecgs/1").text
    assert "a paced rhythm" in page
    (counted,) = site.store.opinions.agreement()
    assert (counted.agree, counted.disagree, counted.ecgs) == (0, 1, 1)
    _, label, positive = _answered(site, 1)
    told = site.store.opinions.labels(head, (label, "another"))
    assert told["ecg:1"][0] == float(not positive)
    assert math.isnan(told["ecg:1"][1])
    assert len([one for one in site.store.care.trail() if one.action == "opinion.given"]) == 2


def test_an_act_is_previewed_and_the_second_operator_is_told_what_the_first_did(
    scored: Installation, browser: Browser
) -> None:
    first, second = browser(Role.ADMINISTRATOR), browser(Role.OPERATOR)
    preview = second.get("/ecgs/1/preview?act=correct").text
    assert "Nothing has happened yet" in preview
    seen = preview.partition('name="seen" value="')[2].partition('"')[0]
    assert int(seen) > 0
    assert "ehr" in first.get("/ecgs/1/preview?act=withdraw").text
    assert first.post("/ecgs/1/withdraw", data={"reason": "wrong electrodes", "seen": seen}).status_code == 200
    late = second.post("/ecgs/1/correct", data={"reason": "x", "seen": seen})
    assert late.status_code == 409
    assert "nothing was done: administrator by" in late.text
    assert "wrong electrodes" in late.text
    assert second.get("/ecgs/1/preview?act=send-again").status_code == 404
    assert second.get("/ecgs/1/preview?act=nonsense").status_code == 400
    assert browser(Role.VIEWER).get("/ecgs/1/preview?act=correct").status_code == 403


def test_messages_set_aside_go_again_from_the_page_of_the_ecg(site: Installation, browser: Browser) -> None:
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    client = browser(Role.OPERATOR)
    assert "Send again: 1" in client.get("/ecgs/1").text
    assert "set aside" in client.get("/ecgs/1/preview?act=send-again").text
    assert "1 message will be sent" in client.post("/ecgs/1/send-again").text


def test_an_open_record_shows_the_person_s_other_ecgs_with_their_trend_and_the_raw_header(
    scored: Installation, browser: Browser
) -> None:
    client = browser(Role.VIEWER)
    assert "Other ECGs" not in client.get("/ecgs/2").text
    page = client.post("/ecgs/2/open").text
    assert '<a href="/ecgs/1">' in page
    assert "polyline" in page
    assert "Beside the ECG before it" in page
    header = client.post("/ecgs/2/header").text
    assert "Patient&#39;s Name" in header
    assert "Waveform Sequence: not shown" in header
    assert len([one for one in scored.store.care.trail() if one.action == "patient.opened" and one.ecg_id == 2]) == 2


def test_a_trend_runs_from_the_oldest_to_the_newest_inside_its_picture(scored: Installation) -> None:
    both = scored.store.ecgs.newest()
    later = [replace(one, acquired_at=one.received_at + timedelta(days=one.ecg_id)) for one in both]
    found = trends(later)
    assert found
    for one in found:
        assert [point.ecg_id for point in one.points] == [1, 2]
        assert all(0 < point.x < WIDTH and 0 < point.y < HEIGHT for point in one.points)
        higher = max(one.points, key=lambda point: point.probability)
        assert higher.y == min(point.y for point in one.points)
    assert trends(later[:1]) == []


def test_the_result_page_is_taken_along_and_that_it_was_is_in_the_audit(scored: Installation, browser: Browser) -> None:
    pytest.importorskip("weasyprint")
    client = browser(Role.VIEWER)
    assert 'action="/ecgs/1/page"' in client.get("/ecgs/1").text
    answer = client.post("/ecgs/1/page")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content == client.post("/ecgs/1/page").content
    assert len([one for one in scored.store.care.trail() if one.action == "patient.opened" and one.ecg_id == 1]) == 2
