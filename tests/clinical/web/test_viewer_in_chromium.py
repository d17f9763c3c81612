"""The viewer in a real browser: true millimetres on paper, callipers exact to 1 ms and 0.01 mV, every layout as an
independent renderer draws it.
"""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ecgfm_clinical.ecg.layouts import LAYOUTS
from ecgfm_clinical.ecg.sheet import GRID, PAGE, START
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.users import Role
from ecgfm_clinical.wiring import utc_now
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.testing import dicom_writer
from tests.clinical.web.chromium import Window, browser, needs_chromium, window
from tests.clinical.web.conftest import HASHER, add_users
from tests.helpers.fakes import make_ecg
from tests.helpers.installation import Installation, patient
from tests.helpers.web_port import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pdfium = pytest.importorskip("pypdfium2", reason="the package pypdfium2 is not installed")

pytestmark = [pytest.mark.slow(65), *needs_chromium]

PX = 96 / 25.4  #: CSS pixels in a millimetre
DPI = 254  #: ten pixels a millimetre, as the PNG has them


def step() -> Ecg:
    """A ripple of 5 µV, which no reader takes for filling, and a rectangle in lead II: 0.5 mV from 4.0 s to 4.2 s."""
    places = np.outer(np.arange(3, 15), np.arange(5000))
    signal = (0.005 * np.sin(places)).astype(np.float32)
    signal[1, 2000:2100] = 0.5
    return replace(make_ecg(1), signal=signal)


def faster() -> Ecg:
    """1000 Hz."""
    one = make_ecg(2)
    return replace(one, signal=np.repeat(one.signal, 2, axis=1), sampling_rate=1000.0)


def slower() -> Ecg:
    """240 Hz."""
    one = make_ecg(3)
    places = np.rint(np.arange(2400) * 500 / 240).astype(int)
    return replace(one, signal=np.ascontiguousarray(one.signal[:, places]), sampling_rate=240.0)


def minute() -> Ecg:
    one = make_ecg(4)
    return replace(one, signal=np.tile(one.signal, 6))


def missing() -> Ecg:
    """V1 and V6 were not recorded."""
    one = make_ecg(5)
    signal = one.signal.copy()
    signal[[6, 11]] = np.nan
    return replace(one, signal=signal)


def apart() -> Ecg:
    """4 × 2.5 s, as a recorder of three channels gives them: each column of leads has its own time."""
    one = make_ecg(6)
    signal = np.full_like(one.signal, np.nan)
    for column in range(4):
        leads, samples = np.s_[column * 3 : column * 3 + 3], np.s_[column * 1250 : (column + 1) * 1250]
        signal[leads, samples] = one.signal[leads, samples]
    return replace(one, signal=signal)


RECORDINGS = {
    "step": step,
    "1000 Hz": faster,
    "240 Hz": slower,
    "60 s": minute,
    "missing leads": missing,
    "4 × 2.5 s": apart,
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[Browser, str]]":
    folder = tmp_path_factory.mktemp("viewer")
    with ExitStack() as closing:
        site = Installation(folder, more='[web]\nusers = "web-users"\n')
        closing.callback(site.close)
        add_users(folder / "web-users")
        for number, made in enumerate(RECORDINGS.values()):
            one = replace(made(), source_id=f"1.2.826.0.1.3680043.2.{number + 1}", patient=patient("A"))
            if made is apart:  # which no DICOM reader takes; a reader of another format may
                received = Received(transport="mllp", source="hl7", content=b"4 x 2.5 s", received_at=utc_now())
                site.store.intake.record(received, Contents(ecgs=(one,)), now=utc_now(), actor="hl7")
            else:
                site.dicom(dicom_writer.write_ecg(one))
        site.score()
        address = closing.enter_context(serving(build_console(site.settings, site.store, hasher=HASHER)))
        yield closing.enter_context(browser()), address


@pytest.fixture(scope="module")
def reading(house: "tuple[Browser, str]") -> Iterator[Window]:
    with window(*house) as opened:
        opened.sign_in(Role.VIEWER)
        yield opened


@pytest.fixture
def tab(reading: Window) -> Window:
    reading.begin()
    return reading


@pytest.fixture(scope="module")
def plain(house: "tuple[Browser, str]") -> Iterator[Window]:
    with window(*house, scripts=False) as opened:
        opened.sign_in(Role.VIEWER)
        yield opened


@pytest.fixture(scope="module")
def easel(reading: Window) -> "Iterator[Page]":
    """A page as large as a sheet at ten pixels a millimetre."""
    page = reading.context.new_page()
    page.set_viewport_size({"width": PAGE[0] * 10, "height": PAGE[1] * 10})
    yield page
    page.close()


def number_of(name: str) -> int:
    return list(RECORDINGS).index(name) + 1


def ink(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """[y, x]: where something dark is drawn."""
    red, green, blue = (picture[..., channel] for channel in range(3))
    return np.asarray(np.maximum(np.maximum(red, green), blue) < 0.35 * 255)


def ink_of(png: bytes) -> NDArray[np.bool_]:
    return ink(np.asarray(Image.open(io.BytesIO(png))))


def widened(dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[y, x]: where something dark is drawn no more than three pixels away along either axis."""
    for axis in (0, 1):
        wide = dark.copy()
        for shift in (1, 2, 3):
            here, there = (np.s_[shift:], np.s_[:-shift]) if axis == 0 else (np.s_[:, shift:], np.s_[:, :-shift])
            wide[here] |= dark[there]
            wide[there] |= dark[here]
        dark = wide
    return dark


def test_the_printed_page_measures_the_ecg(tab: Window, tmp_path: Path) -> None:
    tab.go(f"/ecgs/{number_of('step')}/viewer?layout=12x1")
    tab.page.locator("#paper img").evaluate("one => one.decode()")
    printed = pdfium.PdfDocument(tab.page.pdf(prefer_css_page_size=True, print_background=True))
    assert len(printed) == 1
    sheet = np.asarray(printed[0].render(scale=DPI / 72, rev_byteorder=True).to_numpy())
    assert sheet.shape[1] == pytest.approx(PAGE[0] * 10, abs=3)
    assert sheet.shape[0] == pytest.approx(PAGE[1] * 10, abs=3)
    dark = ink(sheet)
    # Lead II is the second row; the rectangle stands 5 mm wide (0.2 s) and 5 mm high (0.5 mV).
    rows = np.s_[round((PAGE[1] - 160) * 10) - 80 : round((PAGE[1] - 160) * 10) + 20]
    top, foot = (_height(dark[rows], begin) for begin in (4.05, 4.4))
    assert foot - top == pytest.approx(50, rel=0.01)
    half = round((PAGE[1] - 160) * 10) - 25
    flanks = np.flatnonzero(dark[half, _x(3.9) : _x(4.3)])
    # The flanks take one sample each, 2 ms: at half height they are 0.2 s apart.
    assert flanks[flanks > 50].mean() - flanks[flanks < 50].mean() == pytest.approx(50, rel=0.01)
    grid = np.flatnonzero(sheet[round((PAGE[1] - 11.5) * 10), :, 1] < 0.8 * 255) / 10
    assert GRID[0] == pytest.approx(grid.min(), abs=0.3)
    assert GRID[2] == pytest.approx(grid.max(), abs=0.3)


def _x(second: float) -> int:
    """The pixel column of this instant."""
    return round((START + second * 25) * 10)


def _height(dark: NDArray[np.bool_], second: float) -> float:
    """The pixel row on which the line runs during the tenth of a second from here."""
    return float(np.mean([np.flatnonzero(column).mean() for column in dark[:, _x(second) : _x(second + 0.1)].T]))


def drag(tab: Window, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of the sheet to another, mm from its upper left corner."""
    box = tab.page.locator("svg.measure").bounding_box()
    assert box is not None
    (x1, y1), (x2, y2) = (
        (box["x"] + x / PAGE[0] * box["width"], box["y"] + y / PAGE[1] * box["height"]) for x, y in (begin, end)
    )
    tab.page.mouse.move(x1, y1)
    tab.page.mouse.down()
    tab.page.mouse.move(x2, y2, steps=3)
    tab.page.mouse.up()


def told(tab: Window, name: str) -> str:
    return str(tab.page.locator(f"#{name}").evaluate("one => one.value"))


def test_callipers_measure_to_the_millisecond_and_the_hundredth_of_a_millivolt(tab: Window) -> None:
    tab.page.set_viewport_size({"width": 1900, "height": 1300})
    tab.go(f"/ecgs/{number_of('step')}/viewer?layout=3x4")
    tab.page.get_by_role("button", name="True size").click()
    # From the foot of the rectangle to its top, by keys: 200 ms and 0.50 mV away from wherever the legs stand.
    tab.page.locator("#paper").focus()
    for _ in range(20):
        tab.page.keyboard.press("Shift+ArrowRight")
    for _ in range(5):
        tab.page.keyboard.press("Shift+ArrowUp")
    assert (told(tab, "time"), told(tab, "voltage")) == ("200 ms", "0.50 mV")
    tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("ArrowRight")
    tab.page.keyboard.press("ArrowDown")
    assert (told(tab, "time"), told(tab, "voltage")) == ("199 ms", "0.51 mV")
    tab.page.keyboard.press("Escape")
    assert told(tab, "time") == "–"
    for zoom in ("True size", "Larger", "Fit"):
        tab.page.get_by_role("button", name=zoom).click()
        tab.page.locator("#paper").scroll_into_view_if_needed()
        drag(tab, (60.0, 60.0), (80.0, 50.0))  # 20 mm are 0.8 s, 10 mm are 1 mV; a mouse hits whole pixels
        assert int(told(tab, "time").split()[0]) == pytest.approx(800, abs=1.1 / PX * 40)
        assert float(told(tab, "voltage").split()[0]) == pytest.approx(1.0, abs=1.1 / PX / 10)
    assert tab.complaints == []


def test_rate_and_qtc_follow_from_the_callipers(tab: Window) -> None:
    tab.go(f"/ecgs/{number_of('step')}/viewer")
    tab.page.locator("#paper").focus()
    for _ in range(64):
        tab.page.keyboard.press("Shift+ArrowRight")
    tab.page.get_by_role("button", name="Keep as RR").click()
    tab.page.locator("#paper").focus()
    for _ in range(24):
        tab.page.keyboard.press("Shift+ArrowLeft")
    tab.page.get_by_role("button", name="Keep as QT").click()
    assert told(tab, "rr") == "640 ms, 94 /min"
    assert told(tab, "qt") == "400 ms"
    # 400 / sqrt(0.64) = 500; 400 / 0.64^(1/3) = 464.2
    assert told(tab, "qtc") == "500 ms (Bazett), 464 ms (Fridericia)"


def test_the_effective_scale_is_told_and_follows_the_zoom(tab: Window) -> None:
    tab.page.set_viewport_size({"width": 1400, "height": 900})
    tab.go("/ecgs/1/viewer?speed=50&gain=5")
    tab.page.get_by_role("button", name="True size").click()
    assert tab.says("Effective on this screen: 50.0 mm/s, 5.0 mm/mV")
    box = tab.page.locator("#paper img").bounding_box()
    assert box is not None
    assert box["width"] / PX == pytest.approx(PAGE[0], rel=0.001)
    tab.page.get_by_role("button", name="Larger").click()
    assert tab.says("Effective on this screen: 62.5 mm/s, 6.3 mm/mV")


@pytest.mark.parametrize("name", list(RECORDINGS))
def test_every_layout_is_what_another_renderer_draws(tab: Window, easel: "Page", name: str) -> None:
    """The browser's picture of the SVG and matplotlib's PNG, ten pixels a millimetre: ink lies near ink.

    The first recording is drawn in every layout, each other one in one, so that each layout is drawn twice or more: two
    pictures of a sheet take seconds.
    """
    place = number_of(name) - 1
    for layout in LAYOUTS if not place else (LAYOUTS[place % len(LAYOUTS)],):
        query = f"layout={layout}"
        svg = tab.page.request.get(f"{tab.address}/ecgs/{number_of(name)}/drawing.svg?{query}").text()
        easel.set_content(f"<style>body{{margin:0}}svg{{width:2970px;height:2100px;display:block}}</style>{svg}")
        png = tab.page.request.get(f"{tab.address}/ecgs/{number_of(name)}/drawing.png?{query}").body()
        paper = np.s_[2100 - GRID[3] * 10 + 2 : 2100 - GRID[1] * 10 - 2, 300:2858]
        drawn, other = ink_of(easel.screenshot())[paper], ink_of(png)[paper]
        for one, another in ((drawn, other), (other, drawn)):
            stray = one & ~widened(another)
            letters = 0.04  # the share of the ink that names of leads have, in two renderers' fonts
            assert one.any()
            assert stray.sum() <= letters * one.sum(), layout


def test_the_page_can_be_used_without_scripts(plain: Window) -> None:
    plain.go("/ecgs/4/viewer")
    plain.page.get_by_label("Layout").select_option("12x1")
    plain.page.get_by_role("button", name="Show").click()
    plain.page.get_by_role("link", name="Later").click()
    assert "start=10" in plain.page.url
    assert plain.page.get_by_label("Layout").input_value() == "12x1"
    assert not plain.page.locator(".callipers").is_visible()
    box = plain.page.locator("#paper img").bounding_box()
    assert box is not None
    assert box["width"] / PX == pytest.approx(PAGE[0], rel=0.001)


def test_where_the_model_looked_is_asked_without_scripts(plain: Window) -> None:
    plain.go(f"/ecgs/{number_of('1000 Hz')}/viewer?layout=6x2")
    plain.page.get_by_role("button", name="Ask where the model looked for troponin").click()
    assert "layout=6x2" in plain.page.url
    assert plain.says("under way")
    plain.page.get_by_role("link", name="Look again").click()
    assert plain.says("under way")


@pytest.mark.parametrize("name", ["missing leads", "4 × 2.5 s"])
def test_leads_that_are_not_there_are_said_and_marked(tab: Window, name: str) -> None:
    tab.page.emulate_media(color_scheme="dark")
    tab.go(f"/ecgs/{number_of(name)}/viewer?layout=12x1")
    assert tab.says("no signal in V1, V6" if name == "missing leads" else "not recorded at the same time")
    paper = tab.page.locator("#paper").evaluate("one => getComputedStyle(one).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    drawing = tab.page.request.get(f"{tab.address}/ecgs/{number_of(name)}/drawing.svg?layout=12x1").text()
    assert ("no signal" in drawing) is (name == "missing leads")
    assert ("no samples" in drawing) is (name == "4 × 2.5 s")


@pytest.mark.parametrize("width", [390, 640])  # 640 is a window of 1280 at 200 %
def test_it_fits_a_telephone_and_a_page_at_twice_its_size(tab: Window, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.go("/ecgs/2/viewer?layout=6x2&with=1")
    assert tab.overflow == 0
    assert tab.complaints == []
