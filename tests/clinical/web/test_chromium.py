"""The console in a real browser: nothing that a browser or an accessibility checker complains of, on any page or width,
without scripts too, with two people at once.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from ecgfm_clinical.settings import Web, WebOidc, WebRoles
from ecgfm_clinical.staging.search import Wanted
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.pages import PAGES
from ecgfm_clinical.web.users import Role
from ecgfm_clinical.wiring import utc_now
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web import hostile
from tests.clinical.web.chromium import Window, browser, needs_chromium, window
from tests.clinical.web.conftest import HASHER, add_users, fail_for_good
from tests.helpers.installation import Installation, adt, ecg, merge, pid
from tests.helpers.web_port import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="the package axe-playwright-python is not installed"
)

pytestmark = [pytest.mark.slow(30), *needs_chromium]

WIDTHS = (390, 1280, 1920)  #: CSS pixels: a telephone, a laptop, a screen in the control room


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One installation, one console, one browser, for all tests of this file."""

    site: Installation
    address: str
    chromium: "Browser"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("console")
    with ExitStack() as closing:
        site = Installation(folder, more='[web]\nusers = "web-users"\n')
        closing.callback(site.close)
        add_users(folder / "web-users")
        _fill(site)
        console = build_console(site.settings, site.store, hasher=HASHER, undo_for=timedelta(0))
        address = closing.enter_context(serving(console))
        yield House(site=site, address=address, chromium=closing.enter_context(browser()))


def _fill(site: Installation) -> None:
    """Something of each kind that a page shows: scored ECGs, a dead letter, what cannot be read, an open question."""
    site.mllp(merge("A", "B"))
    site.dicom(ecg(1, "A"))
    site.dicom(ecg(2, "B"))
    site.go_on()
    site.send_until(2)
    site.mllp(adt("A28", pid("A")))  # merged away, and now a person again: whose is the first ECG?
    assert site.store.results.holds()
    site.dicom(b"no DICOM at all")
    _set_aside(site, 3, "C")


def _set_aside(site: Installation, seed: int, who: str) -> None:
    """A result that the receiver refuses."""
    heard = len(site.ehr.messages)
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(seed, who))
    site.go_on()
    site.send_until(heard + 1)


@pytest.fixture
def tab(house: House) -> Iterator[Window]:
    """A tab of a clinical administrator, who may see and do everything."""
    with window(house.chromium, house.address) as opened:
        opened.sign_in(Role.ADMINISTRATOR)
        yield opened


def addresses() -> list[str]:
    """Every page that a browser shows, with what its path names filled in."""
    found = [re.sub(r"{\w+:int}", "1", page.path) for page in PAGES if page.method == "GET"]
    files = {"/ecgs.csv", *(page.path for page in PAGES if page.path.startswith("/sign-in"))}
    forms = {
        "/dead/preview": "?act=withdraw",
        "/refused/preview": "?act=seen",
        "/ecgs/1/preview": "?act=correct",
    }
    return [
        path + forms.get(path, "")
        for path in found
        if path not in files and not path.endswith((".svg", ".csv", ".png", ".pdf"))
    ]


def test_every_page_fits_every_screen_and_no_browser_complains(house: House, tab: Window) -> None:
    too_wide = []
    for path in addresses():
        tab.go(path)
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            if tab.overflow:
                too_wide.append((path, width, tab.overflow))
    assert (too_wide, tab.complaints) == ([], [])
    assert tab.complaints == []


def test_axe_finds_nothing_on_any_page(house: House, tab: Window) -> None:
    checker, found = axe.Axe(), {}
    with window(house.chromium, house.address) as stranger:
        stranger.go("/sign-in")
        found["/sign-in"] = checker.run(stranger.page).generate_snapshot()
    for path in addresses():
        tab.go(path)
        found[path] = checker.run(tab.page).generate_snapshot()
    assert {path: said for path, said in found.items() if said} == {}


def test_who_signs_in_gets_in_and_out_again(house: House) -> None:
    with window(house.chromium, house.address) as opened:
        opened.go("/ecgs?state=scored")
        opened.page.get_by_label("Name").fill("viewer")
        opened.page.get_by_label("Password").fill("not the password")
        opened.page.keyboard.press("Enter")
        assert opened.says("this name and this password do not belong together")
        opened.sign_in(Role.VIEWER)
        assert opened.says("How things stand")
        opened.page.get_by_role("button", name="Sign out").click()
        assert opened.says("Sign in")
        opened.go("/")
        assert "/sign-in" in opened.page.url
        # The browser itself tells of the answer 401, and of nothing else.
        assert all("401" in said for said in opened.complaints), opened.complaints


def test_a_record_is_opened_drawn_and_printed(house: House, tab: Window, tmp_path: Path) -> None:
    tab.go("/ecgs/1")
    assert "TESTFAMILY" not in tab.page.content()
    tab.page.get_by_role("button", name="Open the record").click()
    assert tab.says("TESTFAMILY")
    drawing = tab.page.locator("img.ecg")
    assert drawing.evaluate("async one => { await one.decode(); return one.naturalWidth }") > 0
    tab.page.emulate_media(media="print")
    assert not tab.page.get_by_role("button", name="Sign out").is_visible()
    assert not tab.page.get_by_role("button", name="Withdraw").is_visible()
    assert tab.page.pdf(format="A4").startswith(b"%PDF-")
    assert tab.complaints == []


def test_what_stands_is_asked_again_by_itself_while_somebody_can_see_it(house: House) -> None:
    with window(house.chromium, house.address) as opened:
        opened.page.clock.install()
        opened.sign_in(Role.VIEWER)
        before = _received(opened)
        house.site.dicom(ecg(40, "D"))
        opened.page.clock.fast_forward(15_000)
        opened.page.get_by_text(f"{before + 1} received").wait_for()
        assert opened.complaints == []


def _received(opened: Window) -> int:
    said = re.match(r"(\d+) received", opened.page.locator(".sum").inner_text())
    assert said is not None
    return int(said[1])


def test_every_page_is_made_and_opens_its_parts_without_scripts(house: House) -> None:
    _set_aside(house.site, 43, "G")
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.ADMINISTRATOR)
        for path in addresses():
            answer = opened.page.goto(opened.address + path)
            assert answer is not None
            assert answer.status == 200, path
            assert opened.page.locator("main h1").is_visible(), path
            for box in opened.page.locator("main details > summary").all():
                box.click()
            assert opened.page.locator("main details:not([open])").count() == 0, path


def test_everything_but_the_refreshing_works_without_scripts(house: House) -> None:
    _set_aside(house.site, 41, "E")
    waiting = len(house.site.store.questions.dead_letters())
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.OPERATOR)
        opened.page.get_by_role("link", name="Dead letters", exact=True).click()
        opened.page.get_by_role("button", name="Compose anew and send …").click()
        assert opened.says("Nothing has happened yet")
        opened.page.get_by_role("button", name=f"Compose anew and send: {waiting}").click()
        assert opened.says("will be sent")
        opened.page.get_by_role("link", name="Back").click()
        assert opened.says("no message is set aside")
    house.site.send()
    assert not house.site.store.questions.dead_letters()


def test_acts_on_what_is_refused_and_paused_work_without_scripts(house: House) -> None:
    house.site.dicom(b"neither DICOM nor anything else")
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.OPERATOR)
        opened.go("/refused/preview?act=seen")
        opened.page.get_by_label("Why, without patient data").fill("a test")
        opened.page.get_by_role("button", name="I have looked at them").click()
        opened.page.get_by_role("button", name="Undo").click()
        assert opened.says("again")
        opened.page.get_by_role("link", name="Back").click()
        assert opened.says("needs a person")
        opened.page.get_by_role("button", name="Read again …").click()
        opened.page.get_by_role("button", name="Read again").click()
        assert opened.says("unreadable")
        opened.go("/pauses")
        row = opened.page.locator("tr", has_text="destination ehr")
        row.locator("summary").click()
        row.get_by_label("Why, without patient data").fill("a test")
        row.get_by_role("button").click()
        assert opened.says("is paused")
        row.locator("summary").click()
        row.get_by_label("Why, without patient data").fill("it is over")
        row.get_by_role("button").click()
        opened.page.locator("#paused .banner").wait_for(state="detached")


WHY = "Why, without patient data"


def test_acts_on_what_is_held_or_failed_work_without_scripts(house: House) -> None:
    house.site.dicom(ecg(44, "H"))
    fail_for_good(house.site)
    (asked,) = house.site.store.results.holds()
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.ADMINISTRATOR)
        opened.go("/held")
        opened.page.get_by_role("button", name="Leave all without an answer …").click()
        opened.page.get_by_label(WHY).fill("a test")
        opened.page.get_by_role("button", name="Leave without an answer: 1").click()
        assert opened.says("1 ECG needs nobody now")
        opened.page.get_by_role("button", name="Undo").click()
        assert opened.says("1 ECG needs a person again")
        opened.go(f"/held/{asked.hold_id}")
        opened.page.get_by_role("button", name="Open the record").click()
        assert opened.says("Between")
        opened.page.locator("#why-reject").fill("a test")
        opened.page.get_by_role("button", name="Reject").click()
        assert opened.says("Rejected")
    assert house.site.store.results.holds() == []


def test_acts_on_one_ecg_work_without_scripts(house: House) -> None:
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.ADMINISTRATOR)
        opened.go("/ecgs/2")
        opened.page.get_by_role("button", name="Open the record").click()
        assert opened.says("TESTFAMILY")
        opened.page.get_by_role("button", name="Raw header as it came").click()
        assert opened.says("SOP Instance UID")
        opened.go("/ecgs/2")
        opened.page.get_by_role("button", name="Replay").click()
        assert opened.says("Exactly the same again")
        for act, told in (("Correct", "ECG 2 is corrected"), ("Withdraw", "The results of ECG 2 are withdrawn")):
            opened.go("/ecgs/2")
            opened.page.get_by_role("button", name=f"{act} …").click()
            opened.page.get_by_label(WHY).fill("a test")
            opened.page.get_by_role("button", name=act, exact=True).click()
            assert opened.says(told)
        opened.page.get_by_role("button", name="Undo").click()
        assert opened.says("Undone")


def test_outcomes_and_models_work_without_scripts(house: House) -> None:
    segments = (
        "MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||ORU^R01|LAB-1|P|2.5.1",
        "PID|1||N1^^^TESTHOSP^MR||TESTFAMILY^ALEX||19550505|F",
        "OBR|1|P1|F1|93306^Echo^CPT|||20260301080000||||||||||||||||||F",
        "OBX|1|TX|59462-2^Echo report^LN||LVEF 38% (55% in 2021).||||||F",
    )
    house.site.mllp("".join(f"{one}\r" for one in segments).encode())
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.ADMINISTRATOR)
        opened.go("/outcomes")
        opened.page.get_by_label("Kind").select_option("lvef")
        opened.page.get_by_role("button", name="Filter").click()
        opened.page.get_by_role("button", name="Show the sentences").click()
        assert opened.says("55% in 2021")
        opened.go("/models")
        opened.page.get_by_label("At").fill("2031-01-01T12:00")
        opened.page.get_by_role("button", name="Look").click()
        assert opened.says("At 2031-01-01 12:00:00")
        opened.go("/models/1")
        opened.page.get_by_text("Roll back …").click()
        opened.page.get_by_label("Why").fill("a test")
        opened.page.get_by_role("button", name="Roll back").click()
        assert opened.says("This cannot be done"), "there was none before it"


def test_two_operators_at_once_send_one_message_once(house: House) -> None:
    _set_aside(house.site, 42, "F")
    with (
        window(house.chromium, house.address) as first,
        window(house.chromium, house.address) as second,
    ):
        for one, role in ((first, Role.OPERATOR), (second, Role.ADMINISTRATOR)):
            one.sign_in(role)
            one.go("/dead/preview?act=again")
        heard = len(house.site.ehr.messages)
        for one in (first, second):
            one.page.get_by_role("button", name="Send again: 1").click()
            one.page.get_by_role("link", name="Back").wait_for()
        house.site.send_until(heard + 1)
        house.site.send()
        assert len(house.site.ehr.messages) == heard + 1
        assert first.complaints == []


#: What an element of the payload's would be, were a page to take it for its own.
INJECTED = "img[src=x], script:not([src^='/static/']), [onerror], [onload], iframe, object, embed"


def test_no_text_of_any_message_runs(house: House, tab: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text of recordings, of messages, and of a receiver's refusals is markup; no page takes any for its own."""
    site = house.site
    monkeypatch.setattr("ecgfm_connectors.testing.ehr.acknowledge", hostile.refusal)
    site.ehr.plan(*[Fault.AE] * 1000)
    for content in (hostile.dicom(500), b"<script>alert(3)</script>"):
        site.dicom(content)
    for message in (hostile.hl7(501), *hostile.hl7_by_field(600)):
        site.mllp(message)
    site.go_on()
    assert site.store.questions.dead_letters()
    newest = [one.ecg_id for one in site.store.search.ecgs(Wanted(), limit=1000, now=utc_now(), actor="test")]
    ran: list[str] = []

    def seen(dialog: "Dialog") -> None:
        ran.append(dialog.message)
        dialog.dismiss()

    tab.page.on("dialog", seen)
    tab.page.on("request", lambda request: ran.extend([request.url] if request.url.endswith("/x") else []))
    for path in (*addresses(), f"/ecgs?number={quote(hostile.PAYLOAD)}&head={quote(hostile.PAYLOAD)}"):
        tab.go(path)
        assert tab.page.locator(INJECTED).count() == 0, path
    tab.go(f"/ecgs/{_taken(site)}")
    tab.page.get_by_role("button", name="Open the record").click()
    assert tab.says("onerror=alert(1)")
    for number in newest:  # parsed by the browser, and not shown: that is faster
        answer = tab.context.request.post(f"{tab.address}/ecgs/{number}/open", headers={"Origin": tab.address})
        found = tab.page.evaluate(_PARSED, [answer.text(), INJECTED])
        assert (answer.status, found) == (200, 0), number
    assert (ran, tab.complaints) == ([], [])


_PARSED = """([text, selector]) =>
    new DOMParser().parseFromString(text, "text/html").querySelectorAll(selector).length"""


def _taken(site: Installation) -> int:
    """The ECG of the message that was taken with all its markup."""
    (found,) = site.store.search.by_number(f"F501{hostile.PAYLOAD}")
    return found


def test_who_is_signed_in_elsewhere_comes_in_by_the_provider(house: House, free_port: Callable[[], int]) -> None:
    """The provider is another site for a browser: a strict cookie must arrive all the same, and nobody else's."""
    pytest.importorskip("authlib", reason="the package authlib is not installed")
    from tests.helpers.oidc_provider import CLIENT, SECRET, OidcProvider

    provider, number = OidcProvider(groups=("ecg-operators",)), free_port()
    provider.console = f"http://127.0.0.1:{number}"
    secret = house.site.path.with_name("client-secret")
    secret.write_text(SECRET, encoding="utf-8")
    provider.start()
    part = WebOidc(issuer=provider.issuer, console=provider.console, client_id=CLIENT, secret_file=secret)
    web = Web(users=Path("nobody"), roles=WebRoles(operator=("ecg-operators",)), oidc=part)
    settings = house.site.settings.model_copy(update={"web": web})
    console = build_console(settings, house.site.store, hasher=HASHER)
    try:
        with serving(console, number=number), window(house.chromium, provider.console) as opened:
            opened.go("/ecgs")
            opened.page.get_by_role("link", name="Sign in by localhost").click()
            opened.page.get_by_role("button", name="I am ada").click()
            assert opened.says("ada, operator")
            assert opened.page.url == provider.console + "/ecgs"
            assert opened.complaints == []
            names = {one["name"]: one.get("sameSite") for one in opened.context.cookies()}
            assert names == {"ecgfm": "Strict"}
    finally:
        provider.stop()
