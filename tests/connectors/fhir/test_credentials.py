"""Who we are: a token that is asked for once and kept until it ends, by a secret or a signed assertion; mutual TLS."""

import base64
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ecgfm_connectors.errors import ConnectorError, Misconfigured, NotReached
from ecgfm_connectors.fhir import outcomes
from ecgfm_connectors.fhir.bundle import compose
from ecgfm_connectors.fhir.credentials import Client, ClientCredentials, Fixed, basic
from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.fhir.server import FhirServer
from ecgfm_connectors.result import Result
from ecgfm_connectors.tls import TlsFiles
from tests.connectors.fhir.conftest import NOW
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.fhir_server import StrictFhirServer

jwt = pytest.importorskip("joserfc.jwt", reason="the package joserfc is not installed")
jwk = pytest.importorskip("joserfc.jwk", reason="the package joserfc is not installed")

SECRET = "the client's s3cret"


class Tokens:
    """An authorization server: `/token` of the FHIR server."""

    def __init__(self, *, lives: int = 300) -> None:
        self.lives = lives
        self.given = 0
        self.ended: set[str] = set()  #: tokens that were taken back
        self.answer: tuple[int, dict[str, Any]] | None = None

    def token(self, form: dict[str, str], headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        if self.answer is not None:
            return self.answer
        self.given += 1
        return 200, {"access_token": f"t{self.given}", "token_type": "bearer", "expires_in": self.lives}

    def guard(self, headers: Mapping[str, str]) -> bool:
        known = {f"Bearer t{number}" for number in range(1, self.given + 1)} - {f"Bearer {one}" for one in self.ended}
        return headers.get("authorization") in known


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def tokens(server: StrictFhirServer) -> Tokens:
    told = Tokens()
    server.token, server._guard = told.token, told.guard
    return told


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(server: StrictFhirServer) -> Client:
    token_url = f"http://127.0.0.1:{server.port}/token"
    return Client(token_url=token_url, client_id="ecgfm", scope="system/*.cruds", secret=SECRET)


def connected(server: StrictFhirServer, client: Client, clock: Clock) -> FhirServer:
    credentials = ClientCredentials(client, clock=clock, unique=lambda: "number-1")
    return FhirServer(name="fhir", url=server.url, credentials=credentials, clock=clock)


def test_a_token_is_asked_for_once_and_kept_until_it_ends(
    server: StrictFhirServer, tokens: Tokens, client: Client, clock: Clock, result: Result, profile: FhirProfile
) -> None:
    destination, body = connected(server, client, clock), compose(result, profile)
    for _ in range(3):
        assert outcomes.reaction(destination.send(body, control_id="E")) == "done"
    assert tokens.given == 1
    assert server.forms == [{"grant_type": "client_credentials", "scope": "system/*.cruds"}]
    shown = dict(server.requests)["POST /token"]["authorization"]
    assert base64.b64decode(shown.removeprefix("Basic ")).decode() == f"ecgfm:{SECRET}"
    clock.now += timedelta(seconds=290)
    destination.send(body, control_id="E")
    assert tokens.given == 2, "a token is not used in its last seconds"
    destination.close()


def test_a_token_that_was_taken_back_is_asked_for_anew_once(
    server: StrictFhirServer, tokens: Tokens, client: Client, clock: Clock, result: Result, profile: FhirProfile
) -> None:
    destination, body = connected(server, client, clock), compose(result, profile)
    destination.send(body, control_id="E")
    tokens.ended = {"t1"}
    assert outcomes.reaction(destination.send(body, control_id="E")) == "done"
    tokens.ended = {"t2", "t3", "t4"}
    with pytest.raises(NotReached, match="401"):
        destination.send(body, control_id="E")
    assert tokens.given == 3
    destination.close()


@pytest.mark.parametrize(
    "answer",
    [
        (401, {"error": "invalid_client", "error_description": "CANARY"}),
        (400, {"error": "canary"}),
        (200, {}),
        (200, {"access_token": "t", "token_type": "mac"}),
        (503, {}),
    ],
)
def test_without_a_token_nothing_is_sent(
    server: StrictFhirServer,
    tokens: Tokens,
    client: Client,
    clock: Clock,
    answer: Any,
    result: Result,
    profile: FhirProfile,
) -> None:
    tokens.answer = answer
    destination = connected(server, client, clock)
    with pytest.raises(NotReached) as raised:
        destination.send(compose(result, profile), control_id="E")
    assert SECRET not in str(raised.value)
    assert "canary" not in str(raised.value).lower()
    assert server.received == []
    destination.close()


def pem(kind: str) -> tuple[bytes, Any]:
    key = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if kind == "RS384"
        else ec.generate_private_key(ec.SECP384R1())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, (jwk.RSAKey if kind == "RS384" else jwk.ECKey).import_key(public)


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_a_signed_assertion_instead_of_a_secret(
    server: StrictFhirServer, tokens: Tokens, client: Client, clock: Clock, algorithm: str
) -> None:
    """SMART Backend Services: iss and sub are the client, aud the token endpoint, five minutes at most."""
    private, public = pem(algorithm)
    client = replace(client, secret="", private_key=private, key_id="2031-1")
    destination = connected(server, client, clock)
    assert "takes transactions" in destination.check()
    (form,) = server.forms
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    told = jwt.decode(form["client_assertion"], public, algorithms=[algorithm])
    assert told.header["alg"] == algorithm
    assert told.header["kid"] == "2031-1"
    assert {name: told.claims[name] for name in ("iss", "sub", "aud", "jti")} == {
        "iss": "ecgfm",
        "sub": "ecgfm",
        "aud": client.token_url,
        "jti": "number-1",
    }
    assert 0 < told.claims["exp"] - NOW.timestamp() <= 300
    assert "authorization" not in dict(server.requests)["POST /token"]
    destination.close()


def test_a_key_that_is_none_is_said_at_once(client: Client, clock: Clock) -> None:
    with pytest.raises(Misconfigured, match="private key"):
        ClientCredentials(replace(client, private_key=b"-----BEGIN s3cret"), clock=clock, unique=str)


def test_secrets_are_not_shown(client: Client) -> None:
    shown = repr(replace(client, private_key=b"s3cret")) + repr(basic("ada", "s3cret"))
    assert "s3cret" not in shown
    assert base64.b64encode(b"ada:s3cret").decode() not in shown


@pytest.mark.skipif(shutil.which(OPENSSL) is None, reason="openssl is not installed")
def test_mutual_tls_lets_in_who_shows_a_certificate(tmp_path: Path, result: Result, profile: FhirProfile) -> None:
    house, strangers = CertificateAuthority(tmp_path), CertificateAuthority(tmp_path, "strangers")
    ours, theirs = house.issue("client"), house.issue("server")
    with StrictFhirServer(tls=theirs.server_context()) as server:
        server.knows(profile.systems["hosp"], "123")

        def send(tls: TlsFiles) -> str:
            one = FhirServer(name="fhir", url=server.url, credentials=Fixed(), clock=Clock(), tls=tls)
            try:
                return one.send(compose(result, profile), control_id="E").code
            finally:
                one.close()

        assert send(ours) == "HTTP 200"
        foreign = strangers.issue("client")
        with pytest.raises(ConnectorError):  # a certificate that the server does not trust
            send(replace(foreign, trusted=ours.trusted))
        with pytest.raises(NotReached, match="not trusted"):  # a server that we do not trust
            send(replace(ours, trusted=foreign.trusted))
        assert len(server.accepted) == 1
        stays = FhirServer(
            name="fhir", url=server.url, credentials=Fixed(), clock=Clock(), tls=house.issue("renewed", days=-1)
        )
        with pytest.raises(ConnectorError):  # one that has ended
            stays.send(compose(result, profile), control_id="R")
        house.issue("renewed")  # in its place, while the service runs
        assert stays.send(compose(result, profile), control_id="R").code == "HTTP 200"
        stays.close()
