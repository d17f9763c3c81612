"""What stands around every page: who may connect, where a request comes from, how long it may be, what a browser may
do with the answer.

A request that changes something is taken from our own pages only: Sec-Fetch-Site and Origin say where it comes from
(both are sent by every browser since 2023, and no page can forge them). That needs no token in each form.
"""

import logging
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ecgfm_clinical import log
from ecgfm_clinical.settings.exposure import is_loopback
from ecgfm_clinical.web.document import PREFIX

LONGEST_BODY = 256 * 1024  #: bytes of one form
CHANGES_NOTHING = frozenset({"GET", "HEAD"})

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "same-origin",  # with no-referrer browsers would send `Origin: null` with our own forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: Scripts and styles are files of ours; scripts also need the answer's own nonce. Nothing inline, nothing evaluated.
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def policy(nonce: str) -> str:
    """The Content-Security-Policy of one answer."""
    return _POLICY.format(nonce=nonce)


def comes_from_us(headers: Headers, scheme: str) -> bool:
    """Whether a browser says that a request was made by a page of ours. One that says nothing is not believed."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    if origin is not None:
        said = urlsplit(origin)
        return (said.scheme, said.netloc) == (scheme, headers.get("host", ""))
    return site is not None


def _names_this_machine(host: str) -> bool:
    """Whether a browser on this machine asked for it by its own name: else a name of somebody else's leads here, whose
    pages would be of one origin with ours (DNS rebinding).
    """
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


class Guard:
    """An ASGI layer around the whole console."""

    def __init__(self, app: ASGIApp, *, proxies: Collection[str], encrypted: bool) -> None:
        """`proxies`: the only addresses that may connect, where any are named."""
        self._app = app
        self._proxies = frozenset(proxies)
        self._scheme = "https" if encrypted else "http"
        self._encrypted = encrypted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, self._with_headers(send))
            return
        try:
            body = await _whole_body(receive)
        except _HungUp:
            return
        if body is None:
            await PlainTextResponse("the form is too long\n", 413)(scope, receive, self._with_headers(send))
            return
        await self._answer(scope, _once(body, receive), send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever goes wrong inside is an event by its class alone: its text may quote a message."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        guarded = self._with_headers(watched)
        try:
            await self._app(scope, receive, guarded)
        except Exception as error:  # the last stop of a request
            log.event("web.failed", logging.ERROR, error=type(error).__name__)
            if begun:
                raise
            text = "something went wrong here; the log of the console names what (web.failed)\n"
            await PlainTextResponse(text, 500)(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        client = scope.get("client")
        if self._proxies and (client is None or client[0] not in self._proxies):
            return PlainTextResponse("connect by way of the reverse proxy\n", 403)
        if not self._encrypted and not _names_this_machine(headers.get("host", "")):
            return PlainTextResponse("without TLS the console is localhost, for this machine alone\n", 421)
        if scope["method"] not in CHANGES_NOTHING | {"POST"}:
            return PlainTextResponse("there are GET and POST\n", 405)
        is_program = scope["path"].startswith(f"{PREFIX}/")  # which shows a token, and no cookie
        if scope["method"] == "POST" and not is_program and not comes_from_us(headers, self._scheme):
            return PlainTextResponse("this request does not come from a page of the console\n", 403)
        return None

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
                if self._encrypted:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        return sending


class _HungUp(Exception):
    """The browser is gone before it had sent the whole form."""


async def _whole_body(receive: Receive) -> bytes | None:
    """None where it is longer than a form of ours can be. Raises _HungUp: a part of a form names other things."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _HungUp
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LONGEST_BODY:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _once(body: bytes, receive: Receive) -> Receive:
    """The body that was read already, then whatever else there is to hear."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
