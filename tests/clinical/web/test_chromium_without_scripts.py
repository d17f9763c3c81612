"""The console in a browser that runs no scripts: every page, and every act by forms alone."""

from collections.abc import Iterator

import pytest

from ecgfm_clinical.web.users import Role
from tests.clinical.web.candidate import add_candidate
from tests.clinical.web.chromium import Window, needs_chromium, window
from tests.clinical.web.conftest import fail_for_good
from tests.clinical.web.house import House, addresses, ask_whose, opened_house, set_aside
from tests.helpers.installation import ecg

pytestmark = [pytest.mark.slow(28), *needs_chromium]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened_house(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest.fixture(scope="module")
def tab(house: House) -> Iterator[Window]:
    """One who may see and do everything."""
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.ADMINISTRATOR)
        yield opened


@pytest.fixture(scope="module")
def operator(house: House) -> Iterator[Window]:
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.OPERATOR)
        yield opened


def test_every_page_is_made_and_opens_its_parts_without_scripts(house: House, tab: Window) -> None:
    set_aside(house.site, 43, "G")
    for path in addresses():
        answer = tab.page.goto(tab.address + path)
        assert answer is not None
        assert answer.status == 200, path
        assert tab.page.locator("main h1").is_visible(), path
        for box in tab.page.locator("main details > summary").all():
            box.click()
        assert tab.page.locator("main details:not([open])").count() == 0, path


def test_everything_but_the_refreshing_works_without_scripts(house: House, operator: Window) -> None:
    set_aside(house.site, 41, "E")
    waiting = len(house.site.store.questions.dead_letters())
    operator.go("/")
    operator.page.get_by_role("link", name="Dead letters", exact=True).click()
    operator.page.get_by_role("button", name="Compose anew and send …").click()
    assert operator.says("Nothing has happened yet")
    operator.page.get_by_role("button", name=f"Compose anew and send: {waiting}").click()
    assert operator.says("will be sent")
    operator.page.get_by_role("link", name="Back").click()
    assert operator.says("no message is set aside")
    house.site.send()
    assert not house.site.store.questions.dead_letters()


def test_acts_on_what_is_refused_and_paused_work_without_scripts(house: House, operator: Window) -> None:
    house.site.dicom(b"neither DICOM nor anything else")
    operator.go("/refused/preview?act=seen")
    operator.page.get_by_label("Why, without patient data").fill("a test")
    operator.page.get_by_role("button", name="I have looked at them").click()
    operator.page.get_by_role("button", name="Undo").click()
    assert operator.says("again")
    operator.page.get_by_role("link", name="Back").click()
    assert operator.says("needs a person")
    operator.page.get_by_role("button", name="Read again …").click()
    operator.page.get_by_role("button", name="Read again").click()
    assert operator.says("unreadable")
    operator.go("/pauses")
    row = operator.page.locator("tr", has_text="destination ehr")
    row.locator("summary").click()
    row.get_by_label("Why, without patient data").fill("a test")
    row.get_by_role("button").click()
    assert operator.says("is paused")
    row.locator("summary").click()
    row.get_by_label("Why, without patient data").fill("it is over")
    row.get_by_role("button").click()
    operator.page.locator("#paused .banner").wait_for(state="detached")


WHY = "Why, without patient data"


def test_acts_on_what_is_held_or_failed_work_without_scripts(house: House, tab: Window) -> None:
    house.site.dicom(ecg(44, "H"))
    fail_for_good(house.site)
    (asked,) = house.site.store.results.holds()
    tab.go("/held")
    tab.page.get_by_role("button", name="Leave all without an answer …").click()
    tab.page.get_by_label(WHY).fill("a test")
    tab.page.get_by_role("button", name="Leave without an answer: 1").click()
    assert tab.says("1 ECG needs nobody now")
    tab.page.get_by_role("button", name="Undo").click()
    assert tab.says("1 ECG needs a person again")
    tab.go(f"/held/{asked.hold_id}")
    tab.page.get_by_role("button", name="Open the record").click()
    assert tab.says("Between")
    tab.page.locator("#why-reject").fill("a test")
    tab.page.get_by_role("button", name="Reject").click()
    assert tab.says("Rejected")
    merged = ask_whose(house.site, 45, "M", "B")
    tab.go(f"/held/{merged.hold_id}")
    tab.page.locator("#why-release").fill("a test")
    tab.page.get_by_role("button", name="Release").click()
    assert tab.says("Released")
    assert house.site.store.results.holds() == []


def test_acts_on_one_ecg_work_without_scripts(house: House, tab: Window) -> None:
    tab.go("/ecgs/2")
    tab.page.get_by_role("button", name="Open the record").click()
    assert tab.says("TESTFAMILY")
    tab.page.get_by_role("button", name="Raw header as it came").click()
    assert tab.says("SOP Instance UID")
    tab.go("/ecgs/2")
    tab.page.get_by_role("button", name="Replay").click()
    assert tab.says("Exactly the same again")
    for act, told in (("Correct", "ECG 2 is corrected"), ("Withdraw", "The results of ECG 2 are withdrawn")):
        tab.go("/ecgs/2")
        tab.page.get_by_role("button", name=f"{act} …").click()
        tab.page.get_by_label(WHY).fill("a test")
        tab.page.get_by_role("button", name=act, exact=True).click()
        assert tab.says(told)
    tab.page.get_by_role("button", name="Undo").click()
    assert tab.says("Undone")


def test_outcomes_and_models_work_without_scripts(house: House, tab: Window) -> None:
    segments = (
        "MSH|^~\\&|LIS|LAB|ECGFM|H|20260301090000+0100||ORU^R01|LAB-1|P|2.5.1",
        "PID|1||N1^^^TESTHOSP^MR||TESTFAMILY^ALEX||19550505|F",
        "OBR|1|P1|F1|93306^Echo^CPT|||20260301080000||||||||||||||||||F",
        "OBX|1|TX|59462-2^Echo report^LN||LVEF 38% (55% in 2021).||||||F",
    )
    house.site.mllp("".join(f"{one}\r" for one in segments).encode())
    tab.go("/outcomes")
    tab.page.get_by_label("Kind").select_option("lvef")
    tab.page.get_by_role("button", name="Filter").click()
    tab.page.get_by_role("button", name="Show the sentences").click()
    assert tab.says("55% in 2021")
    tab.go("/models")
    tab.page.get_by_label("At").fill("2031-01-01T12:00")
    tab.page.get_by_role("button", name="Look").click()
    assert tab.says("At 2031-01-01 12:00:00")
    tab.go("/models/1")
    tab.page.get_by_text("Roll back …").click()
    tab.page.get_by_label("Why").fill("a test")
    tab.page.get_by_role("button", name="Roll back").click()
    assert tab.says("This cannot be done"), "there was none before it"


def test_a_model_is_put_into_the_shadow_promoted_and_rolled_back_without_scripts(house: House, tab: Window) -> None:
    models = house.site.store.models
    before, candidate = models.live(), add_candidate(house.site)

    def act(name: str) -> None:
        tab.go("/models/2")
        part = tab.page.locator("details.act", has_text=name)
        part.locator("summary").click()
        part.get_by_label("Why").fill(f"{name}, a test")
        part.get_by_role("button", name=name).click()
        tab.page.get_by_role("cell", name=f"{name}, a test").first.wait_for()

    act("Into the shadow")
    assert models.shadow() is not None
    act("End the shadow")
    assert models.shadow() is None
    act("Promote")
    live = models.live()
    assert live is not None
    assert live.model_id == candidate.model_id
    act("Roll back")
    assert models.live() == before
