"""The role `web`: a process of its own that answers browsers until it is stopped."""

import signal
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from tests.clinical.web.conftest import PASSWORD
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation

pytestmark = pytest.mark.slow(10)

PROGRAM = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()"]


def test_the_role_answers_browsers_and_stops(site: Installation, free_port: Callable[[], int]) -> None:
    port = free_port()
    written = site.path.read_text(encoding="utf-8")
    site.path.write_text(written.replace("[web]\n", f"[web]\nport = {port}\n"), encoding="utf-8")
    log = site.path.with_name("web.log")
    with log.open("wb") as events:
        process = subprocess.Popen([*PROGRAM, "run", "--role", "web", "--settings", str(site.path)], stderr=events)
    try:
        wait_until(lambda: b"service.started" in log.read_bytes() or process.poll() is not None)
        here = {"Origin": f"http://127.0.0.1:{port}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=here, timeout=120) as client:
            client.post("/sign-in", data={"name": "viewer", "password": PASSWORD})
            assert "0 received = 0 scored" in client.get("/").text
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
    assert code == 0, log.read_text(encoding="utf-8")
    assert PASSWORD not in log.read_text(encoding="utf-8")


def test_without_its_table_the_role_says_what_to_add(site: Installation) -> None:
    written = site.path.read_text(encoding="utf-8")
    site.path.write_text(written.partition("[web]")[0], encoding="utf-8")
    code, text = site.command("run", "--role", "web")
    assert code == 1
    assert "the settings have no [web]: add that table" in text
