"""People whom a reverse proxy or an OpenID Connect provider signs in: what lets them in, and what does not."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.settings import Settings, Web, WebOidc, WebProxyHeader, WebRoles, read_settings
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.outside import role_of
from ecgfm_clinical.web.users import Role
from tests.clinical.web.conftest import HASHER
from tests.helpers.fakes import Clock
from tests.helpers.installation import Installation
from tests.helpers.oidc_provider import CLIENT, SECRET, OidcProvider, jwk, jwt, rsa_key
from tests.helpers.web_port import serving

pytest.importorskip("authlib", reason="the package authlib is not installed")

pytestmark = pytest.mark.slow(20)

ROLES = WebRoles(viewer=("ecg-viewers",), operator=("ecg-operators",), clinical_administrator=("ecg-administrators",))
HEADER = WebProxyHeader(user="X-Forwarded-User", groups="X-Forwarded-Groups")
BY_TLS = {"Origin": "https://console.test", "Host": "console.test"}

Start = Callable[..., str]


@pytest.fixture
def start(site: Installation) -> Iterator[Start]:
    """A console with other settings; its address."""
    with ExitStack() as closing:

        def started(web: Web, port_number: int = 0) -> str:
            settings: Settings = site.settings.model_copy(update={"web": web})
            console = build_console(settings, site.store, hasher=HASHER)
            return closing.enter_context(serving(console, number=port_number))

        yield started


def test_the_highest_group_gives_the_role() -> None:
    assert role_of(["ecg-viewers", "ecg-administrators", "others"], ROLES) is Role.ADMINISTRATOR
    assert role_of(["ecg-operators"], ROLES) is Role.OPERATOR
    assert role_of(["ECG-VIEWERS", "ecg", ""], ROLES) is None


def test_whom_the_proxy_names_is_signed_in_with_the_role_of_their_groups(start: Start, site: Installation) -> None:
    address = start(Web(proxies=("127.0.0.1",), roles=ROLES, header=HEADER))
    ada = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "staff, ecg-operators"} | BY_TLS
    with httpx.Client(base_url=address, timeout=60) as client:
        assert "ada, operator" in client.get("/", headers=ada).text
        assert client.post("/audit/verify", headers=ada).status_code == 200
        assert client.post("/ecgs/1/withdraw", headers=ada, data={"reason": "x"}).status_code == 403
        from_elsewhere = ada | {"Origin": "https://elsewhere.test"}
        assert client.post("/audit/verify", headers=from_elsewhere).status_code == 403
        client.post("/ecgs/of-patient", headers=ada, data={"authority": "A", "type": "MR", "value": "1"})
    assert [one.actor.split(" by ")[0] for one in site.store.care.trail() if one.action == "patient.searched"] == [
        "ada (proxy)"
    ]


NOBODY: tuple[list[tuple[str, str]], ...] = (
    [],
    [("X-Forwarded-User", "ada")],
    [("X-Forwarded-User", "ada"), ("X-Forwarded-Groups", "strangers")],
    [("X-Forwarded-User", ""), ("X-Forwarded-Groups", "ecg-administrators")],
    [("X-Forwarded-User", "a b:c"), ("X-Forwarded-Groups", "ecg-administrators")],
    [("X-Forwarded-User", "ada"), ("X-Forwarded-User", "root"), ("X-Forwarded-Groups", "ecg-administrators")],
    [("X_Forwarded_User", "ada"), ("X_Forwarded_Groups", "ecg-administrators")],
)


def test_a_proxy_that_names_nobody_with_a_role_lets_nobody_in(start: Start) -> None:
    address = start(Web(proxies=("127.0.0.1",), roles=ROLES, header=HEADER))
    assert [httpx.get(f"{address}/", headers=one, timeout=60).status_code for one in NOBODY] == [303] * len(NOBODY)


def test_nobody_but_the_proxy_is_believed(start: Start) -> None:
    """Another address is refused as a whole; without the setting the headers mean nothing."""
    ada = {"X-Forwarded-User": "ada", "X-Forwarded-Groups": "ecg-administrators"}
    elsewhere = start(Web(proxies=("192.0.2.30",), roles=ROLES, header=HEADER))
    assert httpx.get(f"{elsewhere}/", headers=ada, timeout=60).status_code == 403
    unset = start(Web(users=Path("web-users"), proxies=("127.0.0.1",)))
    assert httpx.get(f"{unset}/", headers=ada, timeout=60).status_code == 303


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[web.header]\nuser = "X-User"\ngroups = "X-Groups"\n[web.roles]\nviewer = ["a"]\n', "name the reverse proxy"),
        ('proxies = ["192.0.2.1"]\n[web.header]\nuser = "X-User"\ngroups = "X-Groups"\n', "roles must name a group"),
        (
            '[web.roles]\nviewer = ["a"]\n[web.oidc]\nissuer = "http://login.example"\nclient_id = "c"\n',
            "https",
        ),
    ],
)
def test_settings_that_would_let_strangers_in_are_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(f"[web]\n{text}", encoding="utf-8")
    with pytest.raises(SettingsError, match=why):
        read_settings(tmp_path / "settings.toml")


# --- OpenID Connect ---------------------------------------------------------------------------------------------------


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    made = OidcProvider(groups=("ecg-operators",))
    made.start()
    yield made
    made.stop()


@pytest.fixture
def address(provider: OidcProvider, start: Start, tmp_path: Path, free_port: Callable[[], int]) -> str:
    """A console whose people the provider signs in; it has no user of its own."""
    (tmp_path / "client-secret").write_text(SECRET, encoding="utf-8")
    port = free_port()
    provider.console = f"http://127.0.0.1:{port}"
    part = WebOidc(
        issuer=provider.issuer, console=provider.console, client_id=CLIENT, secret_file=tmp_path / "client-secret"
    )
    return start(Web(users=Path("nobody"), roles=ROLES, oidc=part), port)


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    here = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=address, headers=here, timeout=60) as made:
        yield made


def _at_the_provider(client: httpx.Client, provider: OidcProvider, to: str = "/") -> str:
    """Begin, and press the provider's button: the address that leads back."""
    away = client.get("/sign-in/oidc", params={"to": to})
    assert away.status_code == 303, away.text
    page = httpx.get(away.headers["location"], timeout=60)
    assert page.status_code == 200, provider.refused
    form = page.text.split('action="')[1].split('"')[0]
    return str(httpx.post(provider.issuer + form, timeout=60).headers["location"])


def test_whom_the_provider_signs_in_is_in_with_the_role_of_their_groups(
    client: httpx.Client, provider: OidcProvider, site: Installation
) -> None:
    assert "Sign in by localhost" in client.get("/sign-in").text
    assert 'name="password"' not in client.get("/sign-in").text
    arrived = client.get(_at_the_provider(client, provider, to="/ecgs?state=scored"))
    assert (arrived.status_code, provider.refused) == (200, [])
    assert 'content="0;url=/ecgs?state=scored"' in arrived.text
    session, gone = arrived.headers.get_list("set-cookie")
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in session.split(";")}
    assert 'ecgfm-oidc=""' in gone
    assert "ada, operator" in client.get("/").text
    assert client.post("/ecgs/1/withdraw", data={"reason": "x"}).status_code == 403
    (noted,) = [one for one in site.store.care.trail() if one.action == "console.signed-in"]
    assert noted.actor.startswith("ada (oidc) by ")
    client.post("/sign-out")
    assert client.get("/").status_code == 303


def _unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in parts) + "."


def _shared_secret(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return str(jwt.encode({"alg": "HS256"}, claims, jwk.OctKey.import_key(SECRET.ljust(32, "x"))))


def _other_key(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return str(jwt.encode(header, claims, rsa_key("one", 2)))


def _set(**changes: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def spoil(header: dict[str, Any], claims: dict[str, Any]) -> None:
        claims.update(changes)
        for name in [name for name, value in changes.items() if value is None]:
            del claims[name]

    return spoil


SPOILT = {
    "unsigned": _unsigned,
    "signed with a shared secret": _shared_secret,
    "signed with another key": _other_key,
    "no token at all": lambda header, claims: "",
    "of another issuer": _set(iss="https://elsewhere.test"),
    "for another client": _set(aud="another"),
    "for two, and bound to another": _set(aud=[CLIENT, "another"], azp="another"),
    "of another sign-in": _set(nonce="another"),
    "without a nonce": _set(nonce=None),
    "expired": _set(exp=1_700_000_000),
    "without an end": _set(exp=None),
    "of the future": _set(iat=4_100_000_000),
    "of nobody": _set(preferred_username=None),
    "of a name that is none": _set(preferred_username="<script>"),
    "of no group": _set(groups=None),
    "of groups without a role": _set(groups=["strangers"]),
    "of groups that are no list": _set(groups={"ecg-administrators": True}),
    "of another access token": _set(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
}


def test_a_token_that_is_not_to_be_believed_lets_nobody_in(
    client: httpx.Client, provider: OidcProvider, site: Installation
) -> None:
    found = {}
    for what, spoil in SPOILT.items():
        provider.spoil = spoil
        arrived = client.get(_at_the_provider(client, provider))
        found[what] = (arrived.status_code, 'role="alert"' in arrived.text, client.get("/").status_code)
    assert found == dict.fromkeys(SPOILT, (401, True, 303))
    assert provider.refused == []
    acted = [one.action for one in site.store.care.trail() if one.action.startswith("console.")]
    assert acted == ["console.sign-in-failed"] * len(SPOILT)


def test_a_sign_in_is_finished_in_the_browser_that_began_it_and_once(
    client: httpx.Client, provider: OidcProvider, address: str
) -> None:
    back = _at_the_provider(client, provider)
    with httpx.Client(base_url=address, timeout=60) as other:
        assert other.get(back).status_code == 401  # the link that an attacker sends
        other.get("/sign-in/oidc")
        assert other.get(back).status_code == 401  # their own sign-in under way changes nothing
    assert client.get(back).status_code == 200
    assert client.get(back).status_code == 401


def test_an_answer_that_is_not_the_providers_lets_nobody_in(client: httpx.Client, provider: OidcProvider) -> None:
    spoilt = ({"iss": "https://elsewhere.test"}, {"iss": ""}, {"code": ""}, {"state": "x"})
    for changed in spoilt:
        back = urlsplit(_at_the_provider(client, provider))
        told = {name: values[0] for name, values in parse_qs(back.query).items()} | changed
        assert client.get(back.path, params=told).status_code == 401, changed
        assert client.get("/").status_code == 303


def test_a_provider_that_is_away_is_said_in_a_sentence(client: httpx.Client, provider: OidcProvider) -> None:
    provider.stop()
    answer = client.get("/sign-in/oidc")
    assert answer.status_code == 401
    assert "localhost does not answer" in answer.text
    assert client.get("/sign-in").status_code == 200


def test_a_provider_that_changes_its_keys_is_asked_again(
    provider: OidcProvider, site: Installation, tmp_path: Path
) -> None:
    from ecgfm_clinical.web.oidc import Begun, Provider, SignInRefused

    (tmp_path / "client-secret").write_text(SECRET, encoding="utf-8")
    provider.console = "http://127.0.0.1:1"
    part = WebOidc(
        issuer=provider.issuer, console=provider.console, client_id=CLIENT, secret_file=tmp_path / "client-secret"
    )
    clock = Clock()
    clock.now = datetime.now(UTC)  # tokens have a time
    asked = Provider(site.settings, Web(roles=ROLES, oidc=part), clock=clock)

    def signed_in() -> str:
        begun = Begun.anew("/")
        page = httpx.get(asked.address(begun), timeout=60).text
        code = page.split("code=")[1].split('"')[0]
        return asked.user(begun, code=code, issuer=provider.issuer).name

    assert signed_in() == "ada"
    provider.key = rsa_key("two", 2)
    provider.spoil = lambda header, claims: header.update(kid="two")
    with pytest.raises(SignInRefused, match="not to be believed"):
        signed_in()  # asked a moment ago: nobody makes it ask without end
    clock.advance(minutes=2)
    assert signed_in() == "ada"
