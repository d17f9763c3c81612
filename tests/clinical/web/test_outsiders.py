"""Who is not signed in can neither keep others out nor borrow what they may do: silence, half forms, other names."""

import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ecgfm_clinical.settings import Web
from ecgfm_clinical.settings.web import WebTls
from ecgfm_clinical.web import impatient, limiter, server
from ecgfm_clinical.web.app import build_app, build_console, settings_of
from ecgfm_clinical.web.callers import caller_of
from ecgfm_clinical.web.limiter import Limiter
from ecgfm_clinical.web.users import Role
from ecgfm_clinical.web.visit import Console
from ecgfm_connectors.testing.ehr import Fault
from tests.clinical.web.conftest import PASSWORD, Browser
from tests.helpers.certificates import CertificateAuthority
from tests.helpers.fakes import Clock, wait_until
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(12)


def connected(address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(address).port or 0), timeout=120)


def test_connections_that_say_nothing_keep_nobody_out(address: str, browser: Browser) -> None:
    """Browsers hold several, too: twenty operators' were more than the console took."""
    with ExitStack() as closing:
        for _ in range(130):
            closing.enter_context(connected(address))
        assert browser(Role.VIEWER).get("/").status_code == 200


def test_one_address_holds_so_many_connections_and_no_more(site: Installation, tmp_path: Path) -> None:
    """With TLS, where strangers connect: one host could hold every connection that the console takes."""
    certificate = CertificateAuthority(tmp_path).issue("web")
    tls = WebTls(certificate=certificate.certificate, key=certificate.key)
    settings = site.settings.model_copy(update={"web": Web(users=Path("web-users"), tls=tls)})
    assert server.build_port(settings, site.store)._most_of_one == server.MOST_OF_ONE_ADDRESS
    app, files = build_app(build_console(settings, site.store)), server.tls_of(settings, settings_of(settings))
    port = server.WebPort(app, host="127.0.0.1", port=0, tls=files, most_of_one=3)
    client = certificate.client_context()
    port.start()

    def plain() -> socket.socket:
        return closing.enter_context(socket.create_connection(("127.0.0.1", port.port), timeout=120))

    def answered() -> bool:
        try:
            caller = closing.enter_context(client.wrap_socket(plain(), server_hostname="localhost"))
            caller.sendall(b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return caller.recv(8) == b"HTTP/1.1"
        except OSError:
            return False

    try:
        with ExitStack() as closing:
            silent = plain()  # a TLS handshake that nobody begins counts
            assert [answered(), answered()] == [True, True]
            assert not answered()
            silent.close()
            wait_until(answered)
    finally:
        port.stop(grace=1)


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_of_ipv6_a_caller_is_a_64(address: str, caller: str) -> None:
    assert caller_of(address) == caller


def test_who_tries_passwords_from_many_addresses_of_one_64_waits(clock: Clock) -> None:
    known = Limiter()
    tries = [
        known.takes(f"name{n}", f"2001:db8:1:2::{n:x}", now=clock()) for n in range(limiter.MOST_OF_AN_ADDRESS + 1)
    ]
    assert tries == [True] * limiter.MOST_OF_AN_ADDRESS + [False]
    assert known.takes("other", "2001:db8:1:3::1", now=clock())


HALF_A_FORM = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: 9\r\n\r\nna"


@pytest.mark.parametrize("begun", [b"", b"GET / HT", HALF_A_FORM])
def test_who_does_not_send_a_whole_request_in_time_is_hung_up_on(
    begun: bytes, address: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impatient, "REQUEST_WITHIN", 0.05)
    with connected(address) as silent, suppress(ConnectionResetError):
        silent.sendall(begun)
        assert silent.recv(1) == b""
    monkeypatch.undo()
    assert browser(Role.VIEWER).get("/").status_code == 200


def test_half_a_form_does_nothing(site: Installation, address: str, browser: Browser) -> None:
    """`message=12` is the beginning of `message=123`, and another message."""
    site.ehr.plan(Fault.AE)
    site.dicom(ecg(1, "A"))
    site.go_on()
    site.send_until(1)
    (dead,) = site.store.questions.dead_letters()
    client = browser(Role.OPERATOR)
    ((name, token),) = client.cookies.items()
    before = site.store.care.audit_length()
    body = f"message={dead.message_id}"
    head = (
        f"POST /dead/again HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\nOrigin: {address}\r\n"
        f"Cookie: {name}={token}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    )
    with connected(address) as cut_off:
        cut_off.sendall(f"{head}{body}".encode())
        cut_off.shutdown(socket.SHUT_WR)
        assert b"200 OK" not in cut_off.recv(4096)
    assert client.get("/dead").status_code == 200
    assert site.store.questions.dead_letters() == [dead]
    assert site.store.care.audit_length() == before


@pytest.mark.parametrize("host", ["elsewhere.test", "127.0.0.1.elsewhere.test:80", "192.0.2.7", "[::1", ""])
def test_a_name_of_somebody_else_that_leads_here_is_no_console(host: str, address: str) -> None:
    """A page of theirs would be of one origin with ours (DNS rebinding), and could try passwords from inside."""
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    told = {"name": "viewer", "password": PASSWORD}
    assert httpx.post(f"{address}/sign-in", data=told, headers=headers, timeout=120).status_code in (400, 421)
    own = {"Host": f"localhost:{urlsplit(address).port}"}
    assert httpx.get(f"{address}/sign-in", headers=own, timeout=120).status_code == 200


def test_another_password_ends_what_was_signed_in_by_the_old_one(console: Console, browser: Browser) -> None:
    client = browser(Role.OPERATOR)
    assert client.get("/").status_code == 200
    console.users.add("operator", Role.OPERATOR, "another long password")
    wait_until(lambda: client.get("/").status_code == 303)
    answer = client.post("/sign-in", data={"name": "operator", "password": "another long password"})
    assert answer.status_code == 303
    assert client.get("/").status_code == 200


def test_signing_in_again_ends_the_sign_in_before(browser: Browser, address: str) -> None:
    client = browser(Role.OPERATOR)
    before = dict(client.cookies)
    client.post("/sign-in", data={"name": "viewer", "password": PASSWORD})
    assert client.get("/").status_code == 200
    assert httpx.get(address, cookies=before, timeout=120).status_code == 303
