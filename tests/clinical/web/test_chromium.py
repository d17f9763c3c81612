"""The console in a real browser: nothing that a browser or an accessibility checker complains of, on any page or width,
without scripts too, with two people at once.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from ecgfm_clinical.settings import Web, WebOidc, WebRoles
from ecgfm_clinical.staging.search import Wanted
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.users import Role
from ecgfm_clinical.wiring import utc_now
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web import hostile
from tests.clinical.web.chromium import Window, needs_chromium, window
from tests.clinical.web.conftest import HASHER
from tests.clinical.web.house import House, addresses, opened_house, set_aside
from tests.helpers.installation import Installation, ecg
from tests.helpers.web_port import serving

if TYPE_CHECKING:
    from playwright.sync_api import Dialog

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="the package axe-playwright-python is not installed"
)

pytestmark = [pytest.mark.slow(45), *needs_chromium]

WIDTHS = (390, 1920, 1280)  #: CSS pixels: a telephone, a screen in the control room, a laptop, which axe looks at


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened_house(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest.fixture(scope="module")
def stranger(house: House) -> Iterator[Window]:
    """Somebody who is not signed in."""
    with window(house.chromium, house.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def administrator(house: House) -> Iterator[Window]:
    """One who may see and do everything."""
    with window(house.chromium, house.address) as opened:
        opened.sign_in(Role.ADMINISTRATOR)
        yield opened


@pytest.fixture
def tab(administrator: Window) -> Window:
    administrator.begin()
    return administrator


@dataclass(frozen=True)
class Seen:
    """What was found on a walk through every page, each loaded once."""

    too_wide: list[tuple[str, int, int]]  #: path, width of the window, by how much
    complaints: list[str]
    inaccessible: dict[str, str]  #: path -> what the accessibility checker said


@pytest.fixture(scope="module")
def seen(stranger: Window, administrator: Window) -> Seen:
    """By a clinical administrator, who may see and do everything; the page to sign in by a stranger."""
    checker, tab, found = axe.Axe(), administrator, Seen(too_wide=[], complaints=[], inaccessible={})
    stranger.go("/sign-in")
    found.inaccessible["/sign-in"] = checker.run(stranger.page).generate_snapshot()
    for path in addresses():
        tab.go(path)
        for width in WIDTHS:
            tab.page.set_viewport_size({"width": width, "height": 900})
            if tab.overflow:
                found.too_wide.append((path, width, tab.overflow))
        found.complaints.extend(tab.complaints)
        found.inaccessible[path] = checker.run(tab.page).generate_snapshot()
        tab.complaints.clear()  # what the checker's own script may have caused
    return found


def test_every_page_fits_every_screen_and_no_browser_complains(seen: Seen) -> None:
    assert (seen.too_wide, seen.complaints) == ([], [])


def test_axe_finds_nothing_on_any_page(seen: Seen) -> None:
    assert {path: said for path, said in seen.inaccessible.items() if said} == {}


def test_who_signs_in_gets_in_and_out_again(stranger: Window) -> None:
    stranger.begin()
    stranger.go("/ecgs?state=scored")
    stranger.page.get_by_label("Name").fill("viewer")
    stranger.page.get_by_label("Password").fill("not the password")
    stranger.page.keyboard.press("Enter")
    assert stranger.says("this name and this password do not belong together")
    stranger.sign_in(Role.VIEWER)
    assert stranger.says("How things stand")
    stranger.page.get_by_role("button", name="Sign out").click()
    assert stranger.says("Sign in")
    stranger.go("/")
    assert "/sign-in" in stranger.page.url
    # The browser itself tells of the answer 401, and of nothing else.
    assert all("401" in said for said in stranger.complaints), stranger.complaints


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


def test_two_operators_at_once_send_one_message_once(house: House, tab: Window) -> None:
    set_aside(house.site, 42, "F")
    waiting = len(house.site.store.questions.dead_letters())
    with window(house.chromium, house.address) as first:
        first.sign_in(Role.OPERATOR)
        for one in (first, tab):
            one.go("/dead/preview?act=again")
        heard = len(house.site.ehr.messages)
        for one in (first, tab):
            one.page.get_by_role("button", name=f"Send again: {waiting}").click()
            one.page.get_by_role("link", name="Back").wait_for()
        house.site.send_until(heard + waiting)
        house.site.send()
        assert len(house.site.ehr.messages) == heard + waiting
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
    site.mllp(hostile.hl7(501))
    site.go_on()
    assert site.store.questions.dead_letters()
    for message in hostile.hl7_by_field(600):  # their scores would say nothing that the others' do not
        site.mllp(message)
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
