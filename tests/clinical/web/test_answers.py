"""Asking where the model looked, on the page and by a program: under way, shown, failed; and what changed since."""

import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace

import httpx
import numpy as np
import pytest
from matplotlib.image import imread

from ecgfm_clinical import scorers
from ecgfm_clinical.operate.answers import WARNING
from ecgfm_clinical.web.users import Role
from tests.clinical.web.conftest import Browser
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(20)


@pytest.fixture
def scored(site: Installation) -> Installation:
    """ECG 1 and 2 of one person, 3 of another."""
    for seed, who in ((1, "A"), (2, "A"), (3, "B")):
        site.dicom(ecg(seed, who))
    site.score()
    return site


@pytest.fixture
def token(site: Installation, address: str) -> Callable[[Role], httpx.Client]:
    def made(role: Role) -> httpx.Client:
        code, shown = site.command("token", "add", f"lab-{role.name.lower()}", "--role", role.word)
        assert code == 0, shown
        return httpx.Client(
            base_url=f"{address}/api/v1", headers={"Authorization": f"Bearer {shown.strip()}"}, timeout=120
        )

    return made


def ask(client: httpx.Client, ecg_id: int = 1, **more: str) -> httpx.Response:
    form = {"head": "troponin", "label": "troponin", "view": "layout=6x2&speed=50"} | more
    return client.post(f"/ecgs/{ecg_id}/saliency", data=form)


def explain(site: Installation) -> None:
    explaining = scorers.build_explaining(site.settings, site.store)
    while explaining.run_one():
        pass


def test_a_viewer_asks_waits_and_sees_where_the_model_looked(scored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    page = client.get("/ecgs/1/viewer").text
    (scoring,) = set(re.findall(r'name="scoring" value="(\d+)"', page))
    answer = ask(client, scoring=scoring)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/ecgs/1/viewer?layout=6x2")
    waiting = client.get("/ecgs/1/viewer").text
    assert "under way" in waiting
    assert 'hx-trigger="every 3s"' in waiting
    assert "under way" in client.get("/ecgs/1/answers").text
    (noted,) = [one for one in scored.store.care.trail() if one.action == "saliency.asked"]
    assert noted.actor.startswith("viewer by ")
    explain(scored)
    page = client.get("/ecgs/1/viewer").text
    assert "hx-trigger" not in page
    (address,) = re.findall(r'<a href="([^"]*looked=1[^"]*)">Show on the ECG', page)
    shown = client.get(address.replace("&amp;", "&")).text
    assert WARNING in shown.replace("&#34;", '"')
    (picture,) = re.findall(r'<img src="(/ecgs/1/drawing.svg\?[^"]*looked=1[^"]*)"', shown)
    drawing = client.get(picture.replace("&amp;", "&")).text
    assert 'class="looked"' in drawing
    assert 'class="beat"' in drawing
    assert re.search(r"most in \w+ \(\d+ %\) and in the beat at", drawing)
    assert "where the model looked for troponin" in drawing
    assert 'class="looked"' not in client.get("/ecgs/1/drawing.svg").text


def test_the_png_is_shaded_as_the_svg_is(scored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    ask(client)
    explain(scored)
    plain, shaded = (
        imread(io.BytesIO(client.get("/ecgs/1/drawing.png", params=asked).content)) for asked in ({}, {"looked": "1"})
    )
    changed = np.abs(plain - shaded)[250:1950, 300:2850].max(axis=2) > 0.02
    assert 0.02 < changed.mean() < 1


def test_no_other_ecg_shows_it(scored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    ask(client)
    explain(scored)
    for path in ("viewer", "drawing.svg"):
        assert client.get(f"/ecgs/2/{path}", params={"looked": "1"}).status_code == 404


def test_what_cannot_be_computed_says_why_and_can_be_asked_again(scored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    ask(client)
    shutil.rmtree(scored.path.with_name("tiny"))
    explain(scored)
    page = client.get("/ecgs/1/viewer").text
    assert "failed: no model bundle at" in page
    assert "Ask again" in page
    assert ask(client).status_code == 303
    assert "under way" in client.get("/ecgs/1/viewer").text


def test_what_is_not_there_cannot_be_asked(scored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    assert ask(client, label="no such label").status_code == 404
    assert ask(client, scoring="99").status_code == 409
    assert ask(client, scoring="x").status_code == 400


def test_a_program_reads_the_viewer_as_json(scored: Installation, token: Callable[[Role], httpx.Client]) -> None:
    with token(Role.VIEWER) as lab:
        asked = lab.post("/ecgs/1/saliency", json={"head": "troponin", "label": "troponin"})
        assert asked.status_code == 303
        assert asked.headers["location"].startswith("/api/v1/ecgs/1/viewer?")
        explain(scored)
        (answer,) = [one for one in lab.get("/ecgs/1/answers").json()["answers"] if one["looked"] is not None]
        assert answer["looked"]["state"] == "done"
        assert answer["score"]["label"] == "troponin"
        number = answer["looked"]["saliency_id"]
        told = lab.get("/ecgs/1/viewer", params={"layout": "cabrera", "looked": str(number), "with": "2"}).json()
        assert told["view"] == {"layout": "cabrera", "rhythm": "II", "speed": 25.0, "gain": 10.0, "start": 0.0}
        assert told["rows"][0] == ["aVL", "aVF", "V3"]
        assert told["seconds_on_sheet"] == 10
        assert told["computed"]["rate"] > 40
        assert told["saliency_warning"] == WARNING
        assert np.shape(told["saliency"]["weights"]) == (12, 250)
        assert np.max(told["saliency"]["weights"]) == 1
        shares = [one["leads"] for one in told["saliency"]["beats"]]
        assert np.shape(shares)[1] == 12
        assert 0.7 < np.sum(shares) <= 1.0001
        assert [one["what"] for one in told["since"]][:2] == ["rate, computed", "QRS axis, computed"]
        for path in told["drawings"]:
            assert lab.get(path.removeprefix("/api/v1")).status_code == 200
    assert lab_is_noted(scored) == [1, 2]


def lab_is_noted(site: Installation) -> list[int]:
    """ECGs that the program has opened."""
    noted = [one for one in site.store.care.trail() if one.action == "patient.opened"]
    assert all(one.actor.startswith("lab-viewer (token) by ") for one in noted)
    return sorted({one.ecg_id for one in noted if one.ecg_id is not None})


def test_what_changed_since_the_ecg_before_is_a_table(site: Installation, browser: Browser) -> None:
    for seed, rate in ((1, "63 /min"), (1, "80 /min")):
        one = ecg(seed, "A", measurements=(("Ventricular rate", rate),))
        site.dicom(replace(one, source_id=f"1.2.826.0.1.3680043.2.{rate[:2]}"))
    site.score()
    client = browser(Role.VIEWER)
    assert "What changed since the ECG before it (ECG 1)?" in client.get("/ecgs/2/viewer").text
    page = client.get("/ecgs/2/viewer", params={"with": "1"}).text
    table = page.partition('id="since"')[2].partition("</section>")[0]
    assert "QRS axis, computed" in table
    assert "the same" in table
