"""A real Chromium in front of the console: what a browser says of a page, and what axe finds in it.

Debian's browser is driven, by Playwright; none is downloaded.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ecgfm_clinical.web.users import Role
from tests.clinical.web.conftest import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page

playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")

#: Without the browser's own windows, of which each person's profile would open some: a third of the processor time.
PROGRAM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or ""
#: A slow machine takes its time; a test waits for what is there, never for a second.
PATIENCE = 120_000  # ms
WIDTH, HEIGHT = 1280, 900  #: CSS pixels of a window

needs_chromium = [
    pytest.mark.peer,
    pytest.mark.skipif(
        not PROGRAM, reason="Chromium is not installed (no `chromium-headless-shell`, no `chromium` on PATH)"
    ),
]


@contextmanager
def browser() -> "Iterator[Browser]":
    """One Chromium, without a window and without a network beyond this machine."""
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=PROGRAM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-component-update"],
        )
        try:
            yield opened
        finally:
            opened.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One tab of one person, with everything that the browser complained of."""

    page: "Page"
    address: str
    complaints: list[str] = field(default_factory=list)

    @property
    def context(self) -> "BrowserContext":
        return self.page.context

    def begin(self) -> None:
        """As a window that was just opened, but that it knows who is signed in: a new one takes a second."""
        self.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        self.page.emulate_media(media="null", color_scheme="null")
        self.complaints.clear()

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)

    def sign_in(self, role: Role) -> None:
        """As a person does: by the form."""
        self.go("/sign-in")
        self.page.get_by_label("Name").fill(role.name.lower())
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()

    def says(self, text: str) -> bool:
        """Whether the page shows this text; waits for it."""
        self.page.get_by_text(text).first.wait_for()
        return True

    @property
    def overflow(self) -> int:
        """By how many CSS pixels the page is wider than the window: 0 where nobody has to scroll sideways."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@contextmanager
def window(opened: "Browser", address: str, *, scripts: bool = True) -> Iterator[Window]:
    """A browser profile of its own; whatever the console or the policy reports is a complaint."""
    context = opened.new_context(viewport={"width": WIDTH, "height": HEIGHT}, java_script_enabled=scripts)
    context.set_default_timeout(PATIENCE)
    try:
        made = Window(page=context.new_page(), address=address)
        made.page.on("console", lambda said: _note(made, said))
        made.page.on("pageerror", lambda error: _note_error(made, error))
        made.page.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective))"
        )
        yield made
    finally:
        context.close()


def _note(told: Window, said: "ConsoleMessage") -> None:
    if said.type in ("error", "warning"):
        told.complaints.append(f"{said.type}: {said.text}")


def _note_error(told: Window, error: "Error") -> None:
    told.complaints.append(f"exception: {error}")
