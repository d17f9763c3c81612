"""The role `web`: a process of its own that answers browsers until it is stopped."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import httpx
import pytest

from ecgfm_clinical.settings.web import Web, WebTls
from ecgfm_clinical.web import rendering
from ecgfm_clinical.web.app import build_app, build_console
from ecgfm_clinical.web.languages import ENGLISH
from ecgfm_clinical.web.server import WebPort, tls_of
from tests.clinical.web.conftest import PASSWORD
from tests.helpers.certificates import CertificateAuthority
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


@pytest.mark.parametrize("shows", [False, True])
def test_a_renewed_certificate_counts_from_the_next_connection_on(
    site: Installation, tmp_path: Path, shows: bool
) -> None:
    """With and without certificates of browsers; half renewed files change nothing."""
    authority = CertificateAuthority(tmp_path)
    ours, browser = authority.issue("web"), authority.issue("browser")
    tls = WebTls(certificate=ours.certificate, key=ours.key, trusted=browser.trusted if shows else None)
    web = Web(users=Path("web-users"), tls=tls)
    settings = site.settings.model_copy(update={"web": web})
    console = build_console(settings, site.store)
    port = WebPort(build_app(console), host="127.0.0.1", port=0, tls=tls_of(settings, web))
    port.start()
    context = browser.client_context()

    def shown() -> bytes:
        with (
            socket.create_connection(("127.0.0.1", port.port), timeout=120) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as caller,
        ):
            caller.sendall(b"GET /sign-in HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert caller.recv(12).startswith(b"HTTP/1.")
            return caller.getpeercert(binary_form=True) or b""

    try:
        before = shown()
        key = authority.issue("web").key.read_bytes()
        ours.key.write_bytes(b"half renewed")
        assert shown() == before
        ours.key.write_bytes(key)
        assert (
            shown() == ssl.PEM_cert_to_DER_cert(re.findall(PEM, ours.certificate.read_text(), re.DOTALL)[0]) != before
        )
    finally:
        port.stop(grace=1)


PEM = "-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----"


def test_without_its_table_the_role_says_what_to_add(site: Installation) -> None:
    written = site.path.read_text(encoding="utf-8")
    site.path.write_text(written.partition("[web]")[0], encoding="utf-8")
    code, text = site.command("run", "--role", "web")
    assert code == 1
    assert "the settings have no [web]: add that table" in text


def test_a_template_that_an_upgrade_replaces_counts_from_the_next_start_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of a new version asks for what the code of the old one does not give."""
    monkeypatch.setattr(rendering, "TEMPLATES", tmp_path)
    page = tmp_path / "page.html"
    page.write_text("old", encoding="utf-8")
    made = rendering.environment(UTC, ENGLISH)
    assert made.get_template("page.html").render() == "old"
    page.write_text("{{ unknown }}", encoding="utf-8")
    os.utime(page, (0, 0))
    assert made.get_template("page.html").render() == "old"


def test_no_page_waits_for_the_acknowledgement_of_its_head(site: Installation) -> None:
    """Head and body of an answer are two writes: with Nagle the second waits 40 ms on a kept connection."""
    console = build_console(site.settings, site.store)
    port = WebPort(build_app(console), host="127.0.0.1", port=0, tls=None)
    port.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port.port}", timeout=120) as client:
            assert client.get("/sign-in").status_code == 200
            assert port._server is not None
            (one,) = port._server.server_state.connections
            held = one.transport.get_extra_info("socket")
            assert held.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        port.stop(grace=1)
