"""The viewer's pages and files, as a browser asks for them."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from ecgfm_clinical.web.users import Role
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.patient import Identifier
from ecgfm_connectors.testing import dicom_writer
from tests.clinical.web.conftest import Browser
from tests.helpers import ecg_documents as others
from tests.helpers import report_writer as sr
from tests.helpers.fakes import make_ecg
from tests.helpers.installation import Installation, ecg, patient

pytestmark = pytest.mark.slow(12)


def dicom(made: Ecg) -> bytes:
    return dicom_writer.write_ecg(made)


@pytest.fixture
def stored(site: Installation) -> Installation:
    """ECG 1 and 2 of one person, 3 of another, 4 of a minute's length."""
    for seed, who in ((1, "A"), (2, "A"), (3, "B")):
        site.dicom(ecg(seed, who))
    long = make_ecg(4)
    signal = np.tile(long.signal, 6)
    site.dicom(dicom(replace(long, patient=patient("C"), signal=signal)))
    site.score()
    return site


def test_the_page_shows_what_was_asked_for_and_notes_who_looks(stored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    page = client.get("/ecgs/1/viewer", params={"layout": "6x2", "speed": "50", "gain": "20"}).text
    assert '<option value="6x2" selected>' in page
    assert "50 mm/s and 20 mm/mV" in page
    (address,) = re.findall(r'<img src="(/ecgs/1/drawing.svg\?[^"]*)"', page)
    picture = client.get(address.replace("&amp;", "&"))
    assert picture.status_code == 200
    assert "50 mm/s · 20 mm/mV" in picture.text
    assert opened(stored) == [1], "the drawing on the page is part of the same opening"
    assert client.get("/ecgs/1/drawing.pdf").status_code == 200
    assert opened(stored) == [1, 1], "a file to take along is one of its own"
    browser(Role.OPERATOR).get(address.replace("&amp;", "&"))
    assert opened(stored) == [1, 1, 1], "and so is the drawing alone, of somebody else"
    client.get("/ecgs/1/viewer", params={"with": "2"})
    client.get("/ecgs/2/drawing.svg")
    assert opened(stored)[3:] == [1, 2]


def test_what_other_systems_say_stands_below_the_device(site: Installation, browser: Browser) -> None:
    named = patient(Identifier(authority="HOSP", value="E1"))
    site.dicom(dicom(make_ecg(1, source_id=others.ECG, patient=named)))
    site.dicom(sr.write(others.ai_report()))
    client = browser(Role.VIEWER)
    page = client.get("/ecgs/1/viewer").text
    assert "Other systems say" in page
    assert "Probability of amyloidosis: 0.87" in page
    record = client.get("/ecgs/1").text
    assert "What they say is shown once the record is opened." in record
    assert "amyloidosis" not in record


def opened(site: Installation) -> list[int | None]:
    """ECG after ECG that was looked at."""
    return [one.ecg_id for one in site.store.care.trail() if one.action == "patient.opened"]


def test_only_ecgs_of_the_same_person_are_shown_beside_each_other(stored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    page = client.get("/ecgs/1/viewer", params={"with": "2"}).text
    assert 'src="/ecgs/2/drawing.svg?' in page
    assert "ECG 3," not in page
    for path in ("viewer", "drawing.svg"):
        refused = client.get(f"/ecgs/1/{path}", params={"with": "3", "beat": "1"})
        assert refused.status_code == 400
        assert "is not one of this person" in refused.text
    both = client.get("/ecgs/1/drawing.svg", params={"with": "2", "beat": "1"}).text
    assert "blue, thin: the other recording" in both
    assert both.count("#0072b2") == 13


def test_a_long_recording_is_turned_over(stored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    page = client.get("/ecgs/4/viewer", params={"start": "20", "layout": "12x1"}).text
    (before, after) = re.findall(r'<a href="\?([^"]*)">(?:Earlier|Later)</a>', page)
    assert "start=10" in before
    assert "start=30" in after
    assert "Later" not in client.get("/ecgs/4/viewer", params={"start": "50"}).text
    drawing = client.get("/ecgs/4/drawing.svg", params={"start": "20"}).text
    assert "20 to 30 s of 60.0 s" in drawing


def test_files_carry_the_demo_mark_and_no_name(stored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    drawing = client.get("/ecgs/1/drawing.svg").text
    assert ("NOT FOR CLINICAL USE" in drawing) is stored.store.ecgs.story(1).scorings[-1].demo
    assert "TESTFAMILY" not in drawing
    png = client.get("/ecgs/1/drawing.png")
    assert imread(io.BytesIO(png.content)).shape[:2] == (2100, 2970)
    pdf = client.get("/ecgs/1/drawing.pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.content == client.get("/ecgs/1/drawing.pdf").content
    assert pdf.headers["content-disposition"] == 'attachment; filename="ecg-1.pdf"'


def test_a_view_that_does_not_exist_is_a_sentence(stored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    for asked in ("layout=9x9", "speed=33", "gain=x", "start=-1", "start=nan", "rhythm=V9", "with=x"):
        for path in ("viewer", "drawing.svg"):
            answer = client.get(f"/ecgs/1/{path}?{asked}")
            assert answer.status_code == 400, asked
            assert "Traceback" not in answer.text, asked


def test_nobody_sees_an_ecg_without_signing_in(stored: Installation, browser: Browser) -> None:
    for path in ("viewer", "drawing.svg", "drawing.png", "drawing.pdf"):
        assert browser(None).get(f"/ecgs/1/{path}", follow_redirects=False).status_code in (303, 401)
