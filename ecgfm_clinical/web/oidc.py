"""Signing in by an OpenID Connect provider: the code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9207).

What a sign-in under way must remember lies in a cookie of the browser that began it, so that nobody can finish it in
another browser. Who somebody is, and in which groups, is taken from the ID token alone: signed by a key of the
provider's, for this client, for this very sign-in.
"""

import json
import secrets
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any  # Any: joserfc's keys and tokens
from urllib.parse import urlsplit

from ecgfm_clinical.errors import ClinicalError, SettingsError
from ecgfm_clinical.extras import need
from ecgfm_clinical.settings import read_secret
from ecgfm_clinical.settings.exposure import is_loopback
from ecgfm_clinical.web.outside import user_from
from ecgfm_clinical.web.users import User
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.http_answer import bounded
from ecgfm_connectors.tls import trusting

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings, Web

BACK = "/sign-in/oidc/back"  #: where the provider sends browsers to
PATIENCE = 10.0  #: seconds for an answer of the provider
LONGEST_ANSWER = 2**20  #: bytes
KEPT_FOR = timedelta(hours=1)  #: the provider's metadata and keys
ASKED_AGAIN = timedelta(minutes=1)  #: at the earliest, for a key that is not among them
LEEWAY = 60  #: seconds by which its clock may differ
#: Signatures by a private key alone: with a shared secret the client could be its own provider.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")


class SignInRefused(ClinicalError):
    """The provider's answer lets nobody in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A sign-in under way, as its browser keeps it."""

    state: str
    nonce: str
    verifier: str
    to: str  #: the page that somebody wanted

    @classmethod
    def anew(cls, to: str) -> "Begun":
        return cls(
            state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48), to=to
        )

    @classmethod
    def of(cls, text: str) -> "Begun | None":
        """None for what is none."""
        parts = text.split(".")
        if len(parts) != 4 or not all(parts[:3]):
            return None
        try:
            to = urlsafe_b64decode(parts[3].encode("ascii")).decode("utf-8")
        except (NotBase64, ValueError):
            return None
        return cls(state=parts[0], nonce=parts[1], verifier=parts[2], to=to)

    @property
    def text(self) -> str:
        return ".".join([self.state, self.nonce, self.verifier, urlsafe_b64encode(self.to.encode("utf-8")).decode()])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the provider says of itself (OpenID Connect Discovery 1.0), and its keys."""

    authorization: str
    token: str
    names_itself: bool  #: RFC 9207: every answer names the issuer
    keys: tuple[Mapping[str, object], ...]
    at: datetime


class Provider:
    """The one provider of the settings."""

    def __init__(self, settings: "Settings", web: "Web", *, clock: Callable[[], datetime]) -> None:
        """Raises SettingsError, MissingExtra."""
        need("oidc", "signing in by web.oidc")
        if web.oidc is None:
            raise SettingsError("the settings have no [web.oidc]")
        self._part = web.oidc
        self._roles = web.roles
        self._clock = clock
        self._secret = read_secret(settings.resolve(web.oidc.secret_file))
        self._tls = _tls(None if web.oidc.trusted is None else str(settings.resolve(web.oidc.trusted)))
        self._lock = Lock()
        self._known: _Known | None = None

    @property
    def name(self) -> str:
        """For people: the host."""
        return urlsplit(self._part.issuer).hostname or self._part.issuer

    def address(self, begun: Begun) -> str:
        """Where the browser asks the provider. Raises SignInRefused."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        return str(
            prepare_grant_uri(
                self._seen().authorization,
                client_id=self._part.client_id,
                response_type="code",
                redirect_uri=self._back,
                scope=" ".join(self._part.scopes),
                state=begun.state,
                nonce=begun.nonce,
                code_challenge=create_s256_code_challenge(begun.verifier),
                code_challenge_method="S256",
            )
        )

    def user(self, begun: Begun, *, code: str, issuer: str) -> User:
        """Who has signed in there. `issuer`: as the answer named it, if it did. Raises SignInRefused."""
        known = self._seen()
        if (issuer or known.names_itself) and issuer != self._part.issuer:
            raise SignInRefused("this answer comes from another provider than the one that was asked")
        answer = self._exchanged(known, code, begun.verifier)
        claims = self._claims(answer, begun.nonce)
        return user_from(
            claims.get(self._part.name_claim), _groups(claims, self._part.groups_claim), self._roles, way="oidc"
        )

    def check(self) -> str:
        """Ask the provider for its metadata. Raises SignInRefused."""
        self._known = None
        known = self._seen()
        return f"{self.name} answers, with {len(known.keys)} keys"

    @property
    def _back(self) -> str:
        return self._part.console.rstrip("/") + BACK

    def _claims(self, answer: Mapping[str, object], nonce: str) -> Mapping[str, object]:
        """Of an ID token that is signed by the provider, for us, now, for this sign-in (Core, 3.1.3.7)."""
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError

        told = answer.get("id_token")
        try:
            token = jwt.decode(told if isinstance(told, str) else "", self._keys_for, algorithms=list(ALGORITHMS))
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self._part.issuer},
                    "aud": {"essential": True, "value": self._part.client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                {"client_id": self._part.client_id, "nonce": nonce, "access_token": answer.get("access_token")},
            )
            claims.validate(now=int(self._clock().timestamp()), leeway=LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SignInRefused(f"the provider's ID token is not to be believed ({type(error).__name__})") from None
        return dict(claims)

    def _keys_for(self, token: Any) -> Any:
        """The provider's keys; asked for again where none of them has this token's number."""
        from joserfc.jwk import KeySet

        known, kid = self._seen(), token.headers().get("kid")
        numbers = {one.get("kid") for one in known.keys}
        if kid is not None and kid not in numbers and not timedelta(0) <= self._clock() - known.at < ASKED_AGAIN:
            self._known = None
            known = self._seen()
        told: Any = {"keys": [dict(one) for one in known.keys]}
        return KeySet.import_key_set(told)

    def _exchanged(self, known: _Known, code: str, verifier: str) -> Mapping[str, object]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "code_verifier": verifier,
        }
        return self._asked("POST", known.token, form=form)

    def _seen(self) -> _Known:
        with self._lock:
            now = self._clock()
            if self._known is None or not timedelta(0) <= now - self._known.at < KEPT_FOR:
                self._known = self._discovered(now)
            return self._known

    def _discovered(self, now: datetime) -> _Known:
        told = self._asked("GET", self._part.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if told.get("issuer") != self._part.issuer:
            raise SignInRefused("the provider names itself otherwise than web.oidc.issuer does")
        keys = self._asked("GET", _address(told, "jwks_uri")).get("keys")
        if not isinstance(keys, list) or not all(isinstance(one, dict) for one in keys):
            raise SignInRefused("the provider shows no keys")
        return _Known(
            authorization=_address(told, "authorization_endpoint"),
            token=_address(told, "token_endpoint"),
            names_itself=told.get("authorization_response_iss_parameter_supported") is True,
            keys=tuple(keys),
            at=now,
        )

    def _asked(self, method: str, address: str, form: Mapping[str, str] | None = None) -> Mapping[str, object]:
        """An answer of the provider's, which is JSON. Raises SignInRefused; no text of the answer is told."""
        import httpx

        who = httpx.BasicAuth(self._part.client_id, self._secret) if form is not None else None
        try:
            with (
                httpx.Client(verify=self._tls, timeout=PATIENCE, follow_redirects=False, trust_env=False) as client,
                client.stream(method, address, data=form, auth=who) as answer,
            ):
                chunks = answer.iter_bytes()
                content = bounded(chunks, where=self.name, longest=LONGEST_ANSWER, seconds=2 * PATIENCE)
            told = json.loads(content) if answer.status_code == 200 else None
        except (httpx.HTTPError, Unreachable, ValueError) as error:
            raise SignInRefused(f"the provider {self.name} does not answer ({type(error).__name__})") from None
        if not isinstance(told, dict):
            raise SignInRefused(f"the provider {self.name} refuses this (HTTP {answer.status_code})")
        return told


def _tls(authority: str | None) -> ssl.SSLContext:
    try:
        return trusting(authority)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"web.oidc.trusted: {authority} cannot be used: {error}; it must be PEM") from error


def _address(told: Mapping[str, object], name: str) -> str:
    """An address of the provider's, by https."""
    value = told.get(name)
    parts = urlsplit(value if isinstance(value, str) else "")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return str(value)
    raise SignInRefused(f"the provider's metadata have no {name} by https")


def _groups(claims: Mapping[str, object], path: str) -> Collection[str]:
    """The groups in a claim; dots lead inwards."""
    found: object = claims
    for name in [path] if path in claims else path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    listed = [found] if isinstance(found, str) else found
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
