"""How soon the viewer shows an ECG: first paint in Chromium on loopback, the server's drawing, one calliper.

    python tests/benchmarks/bench_viewer.py --rounds 15

12 leads of 10 s at 500 Hz. Beside the page of the viewer, in the same browser and by turns: the console's page Now,
which holds no ECG.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.users import Role
from tests.clinical.web.chromium import Window, browser, window
from tests.clinical.web.conftest import HASHER, add_users
from tests.helpers.installation import Installation, ecg
from tests.helpers.web_port import serving

_PAINT = """() => new Promise(done => new PerformanceObserver(list => {
    const found = list.getEntriesByName('first-contentful-paint')[0];
    if (found) done(found.startTime);
}).observe({ type: 'paint', buffered: true }))"""
#: From the press of a key to the number that it changes, and to the frame that shows it.
_KEY = """async () => {
    const paper = document.getElementById('paper'), begun = performance.now();
    paper.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true, cancelable: true }));
    await new Promise(requestAnimationFrame);
    return performance.now() - begun;
}"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=15)
    rounds = asked.parse_args().rounds
    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        site = Installation(folder, more='[web]\nusers = "web-users"\n')
        closing.callback(site.close)
        add_users(folder / "web-users")
        site.dicom(ecg(1, "A"))
        site.score()
        address = closing.enter_context(serving(build_console(site.settings, site.store, hasher=HASHER)))
        tab = closing.enter_context(window(closing.enter_context(browser()), address))
        tab.sign_in(Role.VIEWER)
        tell(tab, rounds)


def tell(tab: Window, rounds: int) -> None:
    """Medians and the largest of each, by turns."""
    measured: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, measure in _MEASURES.items():
            measured.setdefault(name, []).append(measure(tab))
    for name, found in measured.items():
        print(f"{name}: median {statistics.median(found):.0f} ms, largest {max(found):.0f} ms of {rounds}")


def first_paint(path: str) -> Callable[[Window], float]:
    """ms from the click to the first contentful paint."""

    def measure(tab: Window) -> float:
        tab.go(path)
        return float(tab.page.evaluate(_PAINT))

    return measure


def drawing(tab: Window) -> float:
    """ms until the server's SVG is here."""
    begun = time.perf_counter()
    tab.page.request.get(f"{tab.address}/ecgs/1/drawing.svg")
    return 1000 * (time.perf_counter() - begun)


def key(tab: Window) -> float:
    """ms from a key to the frame with the new distance."""
    tab.go("/ecgs/1/viewer")
    return float(tab.page.evaluate(_KEY))


_MEASURES: dict[str, Callable[[Window], float]] = {
    "viewer, first paint": first_paint("/ecgs/1/viewer"),
    "page Now, first paint": first_paint("/"),
    "drawing.svg": drawing,
    "calliper key to frame": key,
}

if __name__ == "__main__":
    main()
