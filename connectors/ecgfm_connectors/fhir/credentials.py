"""How this program shows a FHIR server who it is: a fixed header, or OAuth 2 client credentials (RFC 6749 §4.4).

With a private key the token is asked for by a signed assertion (RFC 7523), as SMART Backend Services has it: RS384 or
ES384, a lifetime of at most five minutes, each assertion once. Nothing of a secret is ever part of a text.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import httpx

from ecgfm_connectors.errors import Misconfigured, NotReached
from ecgfm_connectors.fhir.http import Answer, Asker

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIVES = timedelta(minutes=4)
#: A token is not used in its last seconds: it must still be good where it arrives.
_MARGIN = timedelta(seconds=30)
#: RFC 6749 §5.2; no other word of the server's is repeated.
_TOKEN_ERRORS = frozenset(
    [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ]
)
_UNSAID_LIFE = timedelta(minutes=5)  # of a token whose server does not say how long it lives


class Credentials(Protocol):
    """What goes into the Authorization header."""

    def header(self, ask: Asker) -> Mapping[str, str]:
        """Raises NotReached, Misconfigured."""

    def forget(self) -> bool:
        """The server refused what was shown last; whether another can be had."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A header that does not change: Basic, Bearer, or none (mutual TLS)."""

    authorization: str = field(default="", repr=False)

    def header(self, ask: Asker) -> Mapping[str, str]:
        return {"Authorization": self.authorization} if self.authorization else {}

    def forget(self) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """This program as a client of the authorization server."""

    token_url: str
    client_id: str
    scope: str = ""
    secret: str = field(default="", repr=False)
    private_key: bytes = field(default=b"", repr=False)  #: PEM, RSA or EC P-384
    key_id: str = ""  #: JWS `kid`


class ClientCredentials:
    """OAuth 2 client credentials. A token is kept until it ends; safe to share between threads."""

    def __init__(self, client: Client, *, clock: Callable[[], datetime], unique: Callable[[], str]) -> None:
        """`unique` gives the number (`jti`) of each assertion. Raises Misconfigured where the key cannot be used."""
        self._client = client
        self._clock = clock
        self._unique = unique
        self._lock = threading.Lock()
        self._token = ""
        self._ends: datetime | None = None
        self._assertion_of = _signer(client) if client.private_key else None

    def header(self, ask: Asker) -> Mapping[str, str]:
        with self._lock:
            if not self._token or self._ends is None or self._clock() >= self._ends:
                self._renew(ask)
            return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> bool:
        with self._lock:
            self._token = ""
        return True

    def _renew(self, ask: Asker) -> None:
        form = {"grant_type": "client_credentials"}
        if self._client.scope:
            form["scope"] = self._client.scope
        headers: dict[str, str] = {"Accept": "application/json"}
        if self._assertion_of is not None:
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": self._assertion_of(self._claims())}
        else:
            basic = httpx.BasicAuth(self._client.client_id, self._client.secret)
            request = next(basic.auth_flow(httpx.Request("POST", self._client.token_url)))
            headers["Authorization"] = request.headers["Authorization"]
        token, life = _token_of(ask.form(self._client.token_url, form, headers))
        self._token = token
        self._ends = self._clock() + max(life - _MARGIN, life / 2)

    def _claims(self) -> dict[str, str | int]:
        now = self._clock()
        return {
            "iss": self._client.client_id,
            "sub": self._client.client_id,
            "aud": self._client.token_url,
            "jti": self._unique(),
            "iat": int(now.timestamp()),
            "exp": int((now + _ASSERTION_LIVES).timestamp()),
        }


def _token_of(answer: Answer) -> tuple[str, timedelta]:
    """Nothing of a result was sent yet, so whatever fails here certainly reached nobody."""
    told = answer.json
    told = told if isinstance(told, dict) else {}
    token, kind = told.get("access_token"), str(told.get("token_type", "Bearer"))
    if answer.status != 200 or not isinstance(token, str) or not token or kind.lower() != "bearer":
        code = str(told.get("error", ""))
        known = code if code in _TOKEN_ERRORS else "no token"
        raise NotReached(
            f"the authorization server answers HTTP {answer.status} ({known}); check client, key and scope",
            retry_after=answer.retry_after,
        )
    lives = told.get("expires_in")
    seconds = float(lives) if isinstance(lives, int | float) and lives > 0 else _UNSAID_LIFE.total_seconds()
    return token, timedelta(seconds=min(seconds, 86_400))


def _signer(client: Client) -> Callable[[Mapping[str, str | int]], str]:
    """Signs claims by the private key. Needs joserfc."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, RSAKey

    for algorithm, kind in (("RS384", RSAKey), ("ES384", ECKey)):
        try:
            key = kind.import_key(client.private_key)
            header = {"alg": algorithm, "typ": "JWT"} | ({"kid": client.key_id} if client.key_id else {})
            jwt.encode(header, {"iss": client.client_id}, key, algorithms=[algorithm])
        except (JoseError, ValueError, TypeError):
            continue
        return lambda claims: str(jwt.encode(header, dict(claims), key, algorithms=[algorithm]))
    raise Misconfigured("the private key of the OAuth client cannot be used; it must be PEM, RSA or EC on curve P-384")


def basic(user: str, password: str) -> Fixed:
    """RFC 7617."""
    request = next(httpx.BasicAuth(user, password).auth_flow(httpx.Request("GET", "http://localhost/")))
    return Fixed(str(request.headers["Authorization"]))
