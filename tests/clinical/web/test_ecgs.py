"""The page ECGs: filters by device and reason, filters that a person keeps, pages that cost the same in any store."""

from dataclasses import replace

import pytest

from ecgfm_clinical.staging import search
from ecgfm_clinical.staging.search import Wanted
from ecgfm_clinical.web.users import Role
from ecgfm_connectors.ecg import Device
from tests.clinical.web.conftest import Browser
from tests.clinical.web.test_pages import _numbers
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(20)


@pytest.fixture
def mixed(site: Installation) -> Installation:
    """Three ECGs: of another device, of a lead without signal, and plain."""
    site.dicom(replace(ecg(1, "A"), device=Device(manufacturer="Philips", model="TC70")))
    flat = ecg(2, "B")
    signal = flat.signal.copy()
    signal[7] = 0
    site.dicom(replace(flat, signal=signal))
    site.dicom(ecg(3, "C"))
    site.score()
    return site


def test_filters_by_device_and_by_why_an_ecg_is_not_evaluable(mixed: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    assert _numbers(client.get("/ecgs", params={"device": "tc70"}).text) == [1]
    assert _numbers(client.get("/ecgs", params={"device": "%"}).text) == []
    scores = mixed.store.ecgs.story(2).scorings[-1].scores
    codes = {code for score in scores for code, _ in score.reasons}
    assert "flat-lead" in codes
    assert 2 in _numbers(client.get("/ecgs", params={"reason": "flat-lead"}).text)
    assert _numbers(client.get("/ecgs", params={"reason": "flat"}).text) == [], "a code, not its beginning"


def test_a_page_looks_through_so_many_and_says_how_to_go_on(
    mixed: Installation, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "WINDOW", 2)
    first = mixed.store.search.page(Wanted(device="tc70"), limit=50)
    assert (first.found, first.is_whole) == ((), False)
    second = mixed.store.search.page(Wanted(device="tc70", after=first.further), limit=50)
    assert [one.ecg_id for one in second.found] == [1]
    assert (second.is_whole, second.further) == (True, None)
    page = browser(Role.VIEWER).get("/ecgs", params={"device": "tc70"}).text
    assert "no ECG among those looked at fulfils this" in page
    assert "Go on looking" in page
    lines = browser(Role.VIEWER).get("/ecgs.csv", params={"device": "tc70"}).text.splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {"1"}, "a file holds everything"


def test_a_person_keeps_filters_without_the_number_in_them(mixed: Installation, browser: Browser) -> None:
    client, other = browser(Role.VIEWER), browser(Role.OPERATOR)
    form = {"name": "Philips", "query": "device=Philips&number=ACC1&after=x"}
    answer = client.post("/ecgs/presets/keep", data=form)
    assert answer.headers["location"] == "/ecgs?device=Philips"
    assert '<a href="/ecgs?device=Philips" aria-current="true">Philips</a>' in client.get("/ecgs?device=Philips").text
    assert "Philips</a>" not in other.get("/ecgs").text, "another person's are their own"
    (kept,) = mixed.store.presets.of("viewer")
    other.post("/ecgs/presets/forget", data={"preset": kept.preset_id})
    assert mixed.store.presets.of("viewer") == [kept]
    client.post("/ecgs/presets/forget", data={"preset": kept.preset_id})
    assert mixed.store.presets.of("viewer") == []
    assert client.post("/ecgs/presets/keep", data={"name": "", "query": ""}).status_code == 400


def test_now_counts_any_period_and_shows_every_destination(mixed: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    for period in ("today", "week", "month", "all"):
        assert "3 received" in client.get("/", params={"period": period}).text, period
    assert "0 received" in client.get("/", params={"period": "yesterday"}).text
    mixed.send()
    assert '<th scope="row">ehr</th>' in client.get("/").text
