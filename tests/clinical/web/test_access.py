"""Who may do what in the console: signing in, roles, where a request comes from, how long a sign-in lasts."""

import re
from pathlib import Path

import httpx
import pytest

from ecgfm_clinical.errors import InputError, SettingsError
from ecgfm_clinical.settings import Web, read_settings
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.limiter import MOST_OF_A_NAME, Limiter
from ecgfm_clinical.web.pages import PAGES
from ecgfm_clinical.web.sessions import Sessions
from ecgfm_clinical.web.users import Role, User, UsersFile
from ecgfm_clinical.web.visit import Console
from tests.clinical.web.conftest import HASHER, PASSWORD, Browser
from tests.helpers.fakes import Clock
from tests.helpers.installation import Installation
from tests.helpers.web_port import serving

pytestmark = pytest.mark.slow(20)

WRITES = Path(__file__).with_name("routes.txt")


def concrete(path: str) -> str:
    return re.sub(r"{\w+:int}", "1", path)


def test_every_route_that_writes_is_listed_with_its_role() -> None:
    """A new one, or another role, changes the list: somebody has thought about it."""
    found = [
        f"{page.method} {page.path} {page.role.word if page.role else 'anybody'}"
        for page in PAGES
        if page.method == "POST"
    ]
    assert sorted(found) == WRITES.read_text(encoding="utf-8").splitlines()


def test_nobody_sees_or_does_anything_without_signing_in(browser: Browser) -> None:
    stranger = browser(None)
    for page in PAGES:
        if page.role is not None:
            answer = stranger.request(page.method, concrete(page.path))
            assert (answer.status_code, answer.text) == (303, ""), page.path
            assert answer.headers["location"].startswith("/sign-in?to=")


def test_a_role_gets_what_it_needs_and_no_more(site: Installation, browser: Browser) -> None:
    before = site.store.care.audit_length()
    for role in (Role.VIEWER, Role.OPERATOR):
        client = browser(role)
        for page in PAGES:
            if page.role is not None and page.role > role:
                answer = client.request(page.method, concrete(page.path), data={"reason": "x", "message": "1"})
                assert answer.status_code == 403, page.path
                assert f"this needs the role {page.role.word}" in answer.text
    assert site.store.care.audit_length() == before + 2  # two sign-ins


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://elsewhere.test"},
        {"Origin": "null"},
    ],
)
def test_an_act_that_another_page_asks_for_is_refused(
    headers: dict[str, str], site: Installation, browser: Browser
) -> None:
    client = browser(Role.ADMINISTRATOR)
    before = site.store.care.audit_length()
    assert client.post("/ecgs/1/open", headers=headers).status_code == 403
    assert site.store.care.audit_length() == before


def test_an_act_that_says_nothing_of_where_it_comes_from_is_refused(browser: Browser) -> None:
    client = browser(Role.ADMINISTRATOR)
    for name in ("Origin", "Sec-Fetch-Site"):
        del client.headers[name]
    assert client.post("/audit/verify").status_code == 403
    assert client.get("/").status_code == 200


def test_every_answer_tells_the_browser_what_it_may_do(browser: Browser) -> None:
    client = browser(Role.VIEWER)
    for path in ("/", "/ecgs", "/ecgs/1", "/nowhere", "/static/console.css"):
        headers = client.get(path).headers
        assert "'unsafe-inline'" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        # With `no-referrer` a browser would send `Origin: null` with our own forms, and nobody could sign in.
        assert headers["referrer-policy"] == "same-origin"
    first, second = (client.get("/").headers["content-security-policy"] for _ in range(2))
    assert first != second  # a nonce of its own


def test_no_page_holds_an_inline_script_or_style(browser: Browser) -> None:
    client = browser(Role.ADMINISTRATOR)
    for page in PAGES:
        if page.method == "GET" and "{" not in page.path and page.path != "/ecgs.csv":
            text = client.get(page.path).text
            assert "<style" not in text
            assert " style=" not in text
            assert " onclick" not in text
            assert text.count("<script") == text.count('<script src="/static/') or "<html" not in text


def test_the_cookie_is_kept_from_scripts_and_other_sites(site: Installation, browser: Browser) -> None:
    answer = browser(None).post("/sign-in", data={"name": "viewer", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("ecgfm=")  # plain http on loopback: no `__Host-`
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}


def test_behind_tls_the_cookie_is_bound_to_host_and_https(site: Installation) -> None:
    web = Web(users=Path("web-users"), proxies=("127.0.0.1",))
    console = build_console(site.settings.model_copy(update={"web": web}), site.store, hasher=HASHER)
    assert console.encrypted
    assert console.cookie == "__Host-ecgfm"


def test_with_a_proxy_nobody_else_may_connect(site: Installation) -> None:
    web = Web(users=Path("web-users"), proxies=("192.0.2.30",))
    console = build_console(site.settings.model_copy(update={"web": web}), site.store, hasher=HASHER)
    with serving(console) as address:
        answer = httpx.get(f"{address}/sign-in", timeout=60)
    assert answer.status_code == 403


@pytest.mark.parametrize("to", ["//elsewhere.test", "https://elsewhere.test", "/\\elsewhere.test", "javascript:x", ""])
def test_signing_in_leads_to_a_page_of_ours(to: str, browser: Browser) -> None:
    answer = browser(None).post("/sign-in", data={"name": "viewer", "password": PASSWORD, "to": to})
    assert answer.headers["location"] == "/"


def test_signing_in_leads_back_to_where_somebody_wanted_to_go(browser: Browser) -> None:
    client = browser(None)
    asked = client.get("/ecgs?state=scored").headers["location"]
    assert "/ecgs?state=scored" in client.get(asked).text
    answer = client.post("/sign-in", data={"name": "viewer", "password": PASSWORD, "to": "/ecgs?state=scored"})
    assert answer.headers["location"] == "/ecgs?state=scored"


def test_who_fails_too_often_waits(browser: Browser, site: Installation) -> None:
    client = browser(None)
    for _ in range(MOST_OF_A_NAME):
        assert client.post("/sign-in", data={"name": "viewer", "password": "wrong"}).status_code == 401
    late = client.post("/sign-in", data={"name": "viewer", "password": PASSWORD})
    assert late.status_code == 429
    failed = [one for one in site.store.care.trail() if one.action == "console.sign-in-failed"]
    assert [one.detail["user"] for one in failed] == ["viewer"] * MOST_OF_A_NAME


def test_a_name_that_is_none_is_not_written_down(browser: Browser, site: Installation) -> None:
    """It may be a password in the wrong field."""
    browser(None).post("/sign-in", data={"name": "MySecretPassword1", "password": "x"})
    assert "MySecretPassword1" not in str(site.store.care.trail())


def test_tries_are_counted_for_a_quarter_of_an_hour(clock: Clock) -> None:
    limiter = Limiter()
    taken = [limiter.takes("ada", "192.0.2.1", now=clock()) for _ in range(MOST_OF_A_NAME + 1)]
    assert taken == [True] * MOST_OF_A_NAME + [False]
    assert limiter.takes("bob", "192.0.2.1", now=clock())
    clock.advance(minutes=16)
    assert limiter.takes("ada", "192.0.2.1", now=clock())
    limiter.succeeded("ada", "192.0.2.1")
    assert limiter.takes("ada", "192.0.2.1", now=clock())


def test_an_address_that_tries_many_names_waits(clock: Clock) -> None:
    limiter = Limiter()
    taken = [limiter.takes(f"name{number}", "192.0.2.1", now=clock()) for number in range(25)]
    assert taken == [True] * 20 + [False] * 5
    assert limiter.takes("name1", "192.0.2.2", now=clock())


def test_a_session_ends_by_idling_and_in_any_case(clock: Clock) -> None:
    ada, bob = (User(name=name, role=Role.VIEWER) for name in ("ada", "bob"))
    sessions = Sessions(longest=Web().session, idle=Web().idle)
    idle, busy = sessions.begin(ada, now=clock()), sessions.begin(bob, now=clock())
    clock.advance(minutes=15)
    assert sessions.user_of(busy, now=clock()) == bob
    assert sessions.user_of(idle, now=clock(), is_a_click=False) == ada  # a page that refreshed itself
    clock.advance(minutes=10)
    assert sessions.user_of(idle, now=clock()) is None
    for _ in range(60):
        clock.advance(minutes=15)
        sessions.user_of(busy, now=clock())
    assert sessions.user_of(busy, now=clock()) is None
    assert sessions.user_of("made up", now=clock()) is None


def test_a_clock_that_is_set_back_ends_sessions_and_locks_nobody_out(clock: Clock) -> None:
    """A session would have lasted, and a name been locked, until the clock was there again."""
    ada = User(name="ada", role=Role.VIEWER)
    sessions, limiter = Sessions(longest=Web().session, idle=Web().idle), Limiter()
    token = sessions.begin(ada, now=clock())
    for _ in range(MOST_OF_A_NAME):
        limiter.takes("ada", "192.0.2.1", now=clock())
    clock.advance(seconds=-5)  # as NTP does
    assert sessions.user_of(token, now=clock()) == ada
    clock.advance(days=-3650)
    assert sessions.user_of(token, now=clock()) is None
    assert limiter.takes("ada", "192.0.2.1", now=clock())


def test_who_signs_out_or_is_removed_is_out_at_once(browser: Browser, console: Console, tmp_path: Path) -> None:
    client = browser(Role.VIEWER)
    kept = dict(client.cookies)
    client.post("/sign-out")
    client.cookies.update(kept)  # a thief of the cookie
    assert client.get("/").status_code == 303
    other = browser(Role.OPERATOR)
    assert other.get("/").status_code == 200
    UsersFile(tmp_path / "web-users", HASHER).remove("operator")
    assert other.get("/").status_code == 303


def test_it_does_not_start_without_a_user(site: Installation, tmp_path: Path) -> None:
    (tmp_path / "web-users").unlink()
    with pytest.raises(SettingsError, match="has no user yet, and there is none by default"):
        build_console(site.settings, site.store, hasher=HASHER)


@pytest.mark.parametrize("text", ["nonsense", "ada:viewer:plain", "ada:king:$argon2id$x", "a b:viewer:$argon2id$x"])
def test_a_damaged_file_of_users_lets_nobody_in(text: str, tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="line 1"):
        UsersFile(path, HASHER).all()


def test_the_file_of_users_holds_no_password_and_is_the_owners_alone(tmp_path: Path) -> None:
    users = UsersFile(tmp_path / "users", HASHER)
    users.add("ada", Role.VIEWER, PASSWORD)
    users.add("ada", Role.OPERATOR, PASSWORD + "!")
    assert users.verified("ada", PASSWORD) is None
    assert users.verified("ada", PASSWORD + "!") == User(name="ada", role=Role.OPERATOR)
    assert PASSWORD not in (tmp_path / "users").read_text(encoding="utf-8")
    assert (tmp_path / "users").stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="12 to 256"):
        users.add("bob", Role.VIEWER, "short")
    with pytest.raises(InputError, match="letters, digits"):
        users.add("bob:admin", Role.VIEWER, PASSWORD)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "console.example"])
def test_off_this_machine_it_needs_tls_or_a_proxy(host: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f'[web]\nhost = "{host}"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="reached from other machines in clear"):
        read_settings(path)
    path.write_text(f'[web]\nhost = "{host}"\nproxies = ["192.0.2.30"]\n', encoding="utf-8")
    assert read_settings(path).web is not None


def test_the_commands_keep_the_file(site: Installation) -> None:
    code, text = site.command("user", "list")
    assert (code, text.splitlines()) == (
        0,
        ["viewer: viewer", "operator: operator", "administrator: clinical-administrator"],
    )
    assert site.command("user", "remove", "viewer")[0] == 0
    code, text = site.command("user", "remove", "viewer")
    assert code == 1
    assert "has no user viewer" in text
