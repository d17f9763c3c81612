"""Pages show what the store holds, acts do what the commands do, and no text from outside becomes part of a page."""

import csv
import html
import io
import random
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ecgfm_clinical.ecg.sheet import compose
from ecgfm_clinical.ecg.svg import drawing
from ecgfm_clinical.web.pages import PAGES
from ecgfm_clinical.web.users import Role
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Device, Ecg, Order
from ecgfm_connectors.testing import oru_writer
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.conftest import Browser
from tests.helpers.fakes import make_ecg
from tests.helpers.installation import Installation, ecg, number, patient

pytestmark = pytest.mark.slow(18)

PAYLOAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


@pytest.fixture
def scored(site: Installation) -> Installation:
    """Two ECGs, scored and told."""
    site.dicom(ecg(1, "A"))
    site.dicom(ecg(2, "B"))
    site.go_on()
    site.send_until(2)
    return site


def test_the_pages_show_what_the_store_holds(scored: Installation, browser: Browser) -> None:
    client = browser(Role.OPERATOR)
    now = client.get("/").text
    assert "2 received = 2 scored + 0 not evaluable + 0 failed + 0 waiting" in now
    assert "Nothing waits for a person" in now
    assert '<a href="/ecgs/2">' in client.get("/ecgs?state=scored&source=dicom").text
    assert "no ECG fulfils this" in client.get("/ecgs?state=failed").text
    live = scored.store.models.live()
    assert live is not None
    assert live.model_id[:12] in client.get("/models").text
    assert "ecg.scored" in client.get("/audit?action=ecg.&ecg=1").text
    assert "ecg.scored" not in client.get("/audit?action=message.").text
    settings = client.get("/settings").text
    assert "site.name" in settings
    assert "Test Hospital" in settings
    assert "<code>false</code>" in settings, "as the file has it"
    assert "<dd><code></code></dd>" not in settings
    assert client.post("/audit/verify").text.count("The trail is whole") == 2  # title and heading
    assert "destination ehr" in client.post("/settings/check").text


def test_a_time_at_the_end_of_the_calendar_counts_nothing(scored: Installation, browser: Browser) -> None:
    page = browser(Role.VIEWER).get("/", params={"since": "9999-12-31T23:59:59"})
    assert page.status_code == 200
    assert "0 received" in page.text


def test_a_record_is_hidden_until_it_is_opened_and_that_is_noted(scored: Installation, browser: Browser) -> None:
    client = browser(Role.VIEWER)
    hidden = client.get("/ecgs/1").text
    assert "TESTFAMILY" not in hidden
    assert "PID|" not in hidden
    assert not [one for one in scored.store.care.trail() if one.action == "patient.opened"]
    shown = client.post("/ecgs/1/open").text
    assert "TESTFAMILY" in shown
    assert "PID|" in shown
    assert "the patient: numbers, name, birth date, sex" in shown
    (noted,) = [one for one in scored.store.care.trail() if one.action == "patient.opened"]
    assert noted.ecg_id == 1
    assert noted.actor.startswith("viewer by ")


def test_the_drawing_is_the_recording_to_the_millimetre(scored: Installation, browser: Browser) -> None:
    answer = browser(Role.VIEWER).get("/ecgs/1/drawing.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    one = scored.store.ecgs.story(1).ecg.ecg
    line = re.findall(r'd="(M[^"]*l[^"]*)"', drawing(compose(one.signal, one.sampling_rate), title=""))
    assert len(line) == 13
    assert re.findall(r'd="(M[^"]*l[^"]*)"', answer.text) == line


def test_the_filter_is_the_address_and_pages_follow_by_key(site: Installation, browser: Browser) -> None:
    for seed in range(3):
        site.dicom(ecg(seed, f"N{seed}", order=Order(accession=f"ACC{seed}")))
    site.score()
    client = browser(Role.VIEWER)
    assert _numbers(client.get("/ecgs?number=ACC1").text) == [2]
    assert _numbers(client.get("/ecgs").text) == [3, 2, 1]
    second = site.store.ecgs.story(2).ecg.received_at.isoformat()
    after = client.get("/ecgs", params={"after": f"{second}~2"}).text
    assert _numbers(after) == [1]
    rows = list(csv.DictReader(io.StringIO(client.get("/ecgs.csv").text)))
    assert {row["ecg"] for row in rows} == {"1", "2", "3"}
    for answer in ("positive", "negative", "not-evaluable"):
        found = {int(row["ecg"]) for row in rows if _answer(row) == answer}
        assert set(_numbers(client.get("/ecgs", params={"answer": answer}).text)) == found


def _numbers(page: str) -> list[int]:
    return [int(one) for one in re.findall(r'<a href="/ecgs/(\d+)">', page)]


def _answer(row: dict[str, str]) -> str:
    return (
        "not-evaluable"
        if not row["probability"]
        else {"True": "positive", "False": "negative"}.get(row["positive"], "")
    )


def test_the_number_of_a_message_that_came_in_leads_to_what_it_gave(site: Installation, browser: Browser) -> None:
    for seed, who, sender in ((1, "A", "CART"), (2, "B", "<i>MUSE")):
        sent = oru_writer.write_ecg(
            ecg(seed, who), control_id="1001", sent_at=datetime(2031, 1, 1, tzinfo=UTC), sender=(sender, "X")
        )
        assert site.mllp(sent).code == "AA"
    page = browser(Role.VIEWER).get("/ecgs", params={"number": "1001"}).text
    assert "Messages received under this number" in page
    assert "CART|X" in page
    assert "&lt;i&gt;MUSE|X" in page
    assert page.count('<a href="/ecgs/2">') == 2, "in the list of ECGs, and by its message"


def test_looking_for_a_patient_is_noted_and_in_no_address(scored: Installation, browser: Browser) -> None:
    who = number("A")
    form = {"authority": who.authority, "type": who.type, "value": who.value}
    page = browser(Role.VIEWER).post("/ecgs/of-patient", data=form)
    assert _numbers(page.text) == [1]
    assert [one.action for one in scored.store.care.trail() if one.action == "patient.searched"]


def test_a_refused_message_goes_again_after_a_preview(site: Installation, browser: Browser) -> None:
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    (dead,) = site.store.questions.dead_letters()
    client = browser(Role.OPERATOR)
    assert "1 × message set aside" in client.get("/").text
    preview = client.get("/dead/preview?act=again").text
    assert "Nothing has happened yet" in preview
    assert f'name="message" value="{dead.message_id}"' in preview
    assert site.store.questions.dead_letters()
    assert "1 message will be sent" in client.post("/dead/again", data={"message": dead.message_id}).text
    site.send_until(2)
    assert not site.store.questions.dead_letters()
    assert client.post("/dead/again").status_code == 400


def test_acts_on_one_ecg_are_those_of_the_commands(scored: Installation, browser: Browser) -> None:
    client = browser(Role.ADMINISTRATOR)
    assert "Exactly the same again" in client.post("/ecgs/1/replay").text
    assert client.post("/ecgs/1/withdraw").status_code == 400  # without a reason
    assert "1 message will be sent" in client.post("/ecgs/1/withdraw", data={"reason": "a test"}).text
    scored.send_until(3)
    assert scored.told[-1] == ("A", "W")
    client.post("/ecgs/2/correct", data={"reason": "a test"})
    scored.go_on()
    assert client.post("/ecgs/99/withdraw", data={"reason": "x"}).status_code == 404
    assert {one.actor.split()[0] for one in scored.store.care.found(limit=99, actor="administrator by ")}


def test_what_was_refused_is_read_again_and_looked_at(site: Installation, browser: Browser) -> None:
    site.dicom(b"no DICOM at all")
    client = browser(Role.OPERATOR)
    page = client.get("/refused").text
    assert "needs a person" in page
    assert "1 payload" in client.get("/refused/preview?act=seen").text
    assert "unreadable" in client.post("/refused/read-again", data={"payload": "1"}).text
    assert "needs nobody now" in client.post("/refused/seen", data={"payload": "1", "reason": "a test"}).text
    assert "needs a person" not in client.get("/refused").text


def test_no_text_of_an_ecg_becomes_part_of_a_page(site: Installation, browser: Browser) -> None:
    """Every free text carries markup; each page holds it escaped, or not at all."""
    hostile = patient(number("N1"), family_name=PAYLOAD[:60], given_name=PAYLOAD[:60])
    one = replace(
        make_ecg(1, patient=hostile),
        device=Device(manufacturer=PAYLOAD, model=PAYLOAD, software=PAYLOAD, institution=PAYLOAD),
        order=Order(placer=PAYLOAD, filler=PAYLOAD, accession=PAYLOAD),
        statements=(PAYLOAD,),
        measurements=((PAYLOAD, PAYLOAD),),
        findings=(),
    )
    _stage(site, one)
    site.score()
    client = browser(Role.ADMINISTRATOR)
    pages = [
        client.get(page.path.replace("{ecg:int}", "1"))
        for page in PAGES
        if page.method == "GET" and "hold" not in page.path
    ]
    opened = client.post("/ecgs/1/open")
    for answer in (*pages, opened, client.get("/ecgs", params={"number": PAYLOAD, "head": PAYLOAD})):
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
    assert html.escape("<script>alert(1)</script>", quote=False) in opened.text


def _stage(site: Installation, one: Ecg) -> None:
    now = datetime.now(UTC)
    received = Received(transport="dicom", source="dicom", content=b"hostile", received_at=now, peer=PAYLOAD)
    site.store.intake.record(received, Contents(ecgs=(one,)), now=now, actor="dicom")


def test_no_request_brings_the_console_down(scored: Installation, browser: Browser) -> None:
    """Queries, forms and paths of random text: an answer that a person understands, never a fault."""
    client, draw = browser(Role.OPERATOR), random.Random(7)
    alphabet = "0123456789abc%&=~-:T<>'\"\\/\x00é日+ .;#?"
    names = (
        "after",
        "since",
        "until",
        "state",
        "answer",
        "number",
        "head",
        "before",
        "ecg",
        "at",
        "act",
        "message",
        "payload",
        "reason",
        "code",
        "period",
        "destination",
    )
    for _ in range(120):
        page = draw.choice(PAGES)
        if page.path in ("/settings/check", "/sign-out", "/sign-in") or page.path.endswith("/replay"):
            continue
        told = {draw.choice(names): "".join(draw.choices(alphabet, k=draw.randrange(30))) for _ in range(3)}
        path = re.sub(r"{\w+:int}", lambda _: str(draw.choice((0, 1, 2**63, 10**30))), page.path)
        answer = client.request(page.method, path, params=told, data=told if page.method == "POST" else None)
        assert answer.status_code < 500, (page.path, told)


def test_a_form_that_is_too_long_is_not_read(browser: Browser) -> None:
    assert browser(Role.OPERATOR).post("/dead/again", data={"message": "1" * 300_000}).status_code == 413
