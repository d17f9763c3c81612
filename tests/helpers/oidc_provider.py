"""A small and strict OpenID Connect provider on loopback (OpenID Connect Core 1.0, RFC 6749, RFC 7636, RFC 9207).

It holds its client to the letter: the exact redirect URI, the client's secret by HTTP Basic, PKCE by S256, each code
once. What it then says in the ID token a test may spoil.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ecgfm_clinical.web.server import WebPort

jwk = pytest.importorskip("joserfc.jwk", reason="the package joserfc is not installed")
jwt = pytest.importorskip("joserfc.jwt", reason="the package joserfc is not installed")

CLIENT = "ecgfm"
SECRET = "the client's secret"

_PAGE = """<!DOCTYPE html><html lang="en"><title>Provider</title><link rel="icon" href="data:,">
<form method="post" action="/go?code={code}"><button>I am {name}</button></form></html>"""

Spoil = Callable[[dict[str, Any], dict[str, Any]], str | None]


@cache
def rsa_key(kid: str, number: int = 1) -> Any:
    """A private key under this number of the provider's; `number` tells several apart."""
    return jwk.RSAKey.generate_key(2048, {"kid": kid})


@dataclass(slots=True)
class OidcProvider:
    """One provider and the person who sits before it."""

    console: str = ""  #: the only place that it sends browsers back to
    name: str = "ada"
    groups: tuple[str, ...] = ()
    host: str = "localhost"  #: another site than 127.0.0.1, as browsers see it
    spoil: Spoil | None = None  #: gets header and claims; may change both, or give a whole token
    says_who: bool = True  #: RFC 9207
    key: Any = field(default_factory=lambda: rsa_key("one"))
    refused: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _port: WebPort | None = None

    def start(self) -> None:
        routes = [
            Route("/.well-known/openid-configuration", self._metadata),
            Route("/keys", self._keys),
            Route("/authorize", self._authorize),
            Route("/go", self._go, methods=["POST"]),
            Route("/token", self._token, methods=["POST"]),
        ]
        self._port = WebPort(Starlette(routes=routes), host="127.0.0.1", port=0, tls=None)
        self._port.start()

    def stop(self) -> None:
        if self._port is not None:
            self._port.stop(grace=1)

    @property
    def issuer(self) -> str:
        assert self._port is not None
        return f"http://{self.host}:{self._port.port}"

    async def _metadata(self, request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": self.issuer + "/authorize",
                "token_endpoint": self.issuer + "/token",
                "jwks_uri": self.issuer + "/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "authorization_response_iss_parameter_supported": self.says_who,
            }
        )

    async def _keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _authorize(self, request: Request) -> Response:
        """A page with a button, as a person meets it."""
        asked = dict(request.query_params)
        wrong = [
            name
            for name, wanted in {
                "client_id": CLIENT,
                "response_type": "code",
                "redirect_uri": f"{self.console}/sign-in/oidc/back",
                "code_challenge_method": "S256",
            }.items()
            if asked.get(name) != wanted
        ]
        wrong += [name for name in ("state", "nonce", "code_challenge") if len(asked.get(name, "")) < 32]
        if wrong or "openid" not in asked.get("scope", "").split():
            return self._refuse(f"authorize: {wrong}")
        code = secrets.token_urlsafe(24)
        self._codes[code] = asked
        return HTMLResponse(_PAGE.format(code=code, name=self.name))

    async def _go(self, request: Request) -> Response:
        code = request.query_params["code"]
        return RedirectResponse(self.back(code), 303)

    def back(self, code: str) -> str:
        """The address that a browser is sent to with this code."""
        asked = self._codes[code]
        told = {"code": code, "state": asked["state"]} | ({"iss": self.issuer} if self.says_who else {})
        return f"{asked['redirect_uri']}?{urlencode(told)}"

    async def _token(self, request: Request) -> Response:
        form = {name: one[0] for name, one in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self._codes.pop(form.get("code", ""), None)
        if request.headers.get("authorization") != f"Basic {basic}":
            return self._refuse("token: client")
        if asked is None or form.get("grant_type") != "authorization_code":
            return self._refuse("token: code")
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return self._refuse("token: redirect_uri")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return self._refuse("token: verifier")
        return JSONResponse(
            {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": self._id_token(asked)}
        )

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": "subject-1",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "preferred_username": self.name,
            "groups": list(self.groups),
        }
        whole = self.spoil(header, claims) if self.spoil is not None else None
        return whole if whole is not None else str(jwt.encode(header, claims, self.key))

    def _refuse(self, why: str) -> Response:
        self.refused.append(why)
        return JSONResponse({"error": "invalid_request"}, 400)
