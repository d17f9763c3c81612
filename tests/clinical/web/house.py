"""One installation with something of each kind that the console shows, and a browser in front of it."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfm_clinical.staging.holds import Hold
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.pages import PAGES
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.chromium import browser
from tests.clinical.web.conftest import HASHER, add_users
from tests.helpers.installation import Installation, adt, ecg, merge, pid
from tests.helpers.web_port import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One installation, one console, one browser, for all tests of this file."""

    site: Installation
    address: str
    chromium: "Browser"


@contextmanager
def opened_house(folder: Path) -> Iterator[House]:
    """Its files lie in the folder."""
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
    ask_whose(site, 1, "A", "B")
    site.dicom(ecg(2, "B"))
    site.go_on()
    site.send_until(2)
    site.dicom(b"no DICOM at all")
    set_aside(site, 3, "C")


def ask_whose(site: Installation, seed: int, retired: str, surviving: str) -> Hold:
    """An ECG of a number that was merged away, and is now a person's again."""
    heard = len(site.ehr.messages)
    site.mllp(merge(retired, surviving))
    site.dicom(ecg(seed, retired))
    site.go_on()
    site.send_until(heard + 1)
    site.mllp(adt("A28", pid(retired)))
    return site.store.results.holds()[-1]


def set_aside(site: Installation, seed: int, who: str) -> None:
    """A result that the receiver refuses."""
    heard = len(site.ehr.messages)
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(seed, who))
    site.go_on()
    site.send_until(heard + 1)


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
