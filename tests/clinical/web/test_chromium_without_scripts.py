"""The console in a browser that runs no scripts: every page, and every act by forms alone."""

from collections.abc import Iterator

import pytest

from ecgfm_clinical.web.users import Role
from tests.clinical.web.candidate import add_candidate
from tests.clinical.web.chromium import needs_chromium, window
from tests.clinical.web.conftest import fail_for_good
from tests.clinical.web.house import House, addresses, ask_whose, opened_house, set_aside
from tests.helpers.installation import ecg

pytestmark = [pytest.mark.slow(30), *needs_chromium]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened_house(tmp_path_factory.mktemp("console")) as made:
        yield made


def test_every_page_is_made_and_opens_its_parts_without_scripts(house: House) -> None:
    set_aside(house.site, 43, "G")
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
    set_aside(house.site, 41, "E")
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
        merged = ask_whose(house.site, 45, "M", "B")
        opened.go(f"/held/{merged.hold_id}")
        opened.page.locator("#why-release").fill("a test")
        opened.page.get_by_role("button", name="Release").click()
        assert opened.says("Released")
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


def test_a_model_is_put_into_the_shadow_promoted_and_rolled_back_without_scripts(house: House) -> None:
    models = house.site.store.models
    before, candidate = models.live(), add_candidate(house.site)
    with window(house.chromium, house.address, scripts=False) as opened:
        opened.sign_in(Role.ADMINISTRATOR)

        def act(name: str) -> None:
            opened.go("/models/2")
            part = opened.page.locator("details.act", has_text=name)
            part.locator("summary").click()
            part.get_by_label("Why").fill(f"{name}, a test")
            part.get_by_role("button", name=name).click()
            opened.page.get_by_role("cell", name=f"{name}, a test").first.wait_for()

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
