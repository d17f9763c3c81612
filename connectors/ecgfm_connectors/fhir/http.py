"""One HTTP request at a time: bounded in size and time, no redirect followed, failures told apart by what they mean.

Needs the package `httpx` (extra `fhir`).
"""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from ecgfm_connectors.errors import Misconfigured, NotReached, Unreachable
from ecgfm_connectors.http_answer import bounded
from ecgfm_connectors.http_client import direct_client
from ecgfm_connectors.tls import TlsFiles

logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes the whole URL of each request at INFO

_LONGEST_ANSWER = 16 * 2**20
_CONNECT_SECONDS = 10.0
_LONGEST_PATIENCE = timedelta(days=1)  # that a Retry-After is believed
_IDLE_SECONDS = 2.0  # shorter than a server keeps a silent connection, so that none closes just as a result leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    content: bytes = field(repr=False)
    retry_after: timedelta | None = None

    @property
    def json(self) -> object:
        """None where it is no JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


class Asker:
    """An HTTP client for one server and its authorization server. `where`: as the server is called in texts."""

    def __init__(self, *, where: str, tls: TlsFiles | None, timeout: float, clock: Callable[[], datetime]) -> None:
        """`timeout`: seconds from the first byte sent to the last received. Raises Misconfigured."""
        self._where = where
        self._timeout = timeout
        self._clock = clock
        self._tls = tls
        self._read = tls.state() if tls else ()
        self._client = self._new_client()

    def _new_client(self) -> httpx.Client:
        return direct_client(
            tls=self._tls,
            timeout=httpx.Timeout(self._timeout, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(keepalive_expiry=_IDLE_SECONDS),
        )

    def close(self) -> None:
        self._client.close()

    def _renew(self) -> None:
        """Show a certificate that was renewed meanwhile; files that cannot be used yet change nothing."""
        if self._tls is None or (now := self._tls.state()) == self._read:
            return
        with suppress(Misconfigured):
            before, self._client, self._read = self._client, self._new_client(), now
            before.close()

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Raises as `post`."""
        return self._ask(self._client.build_request("GET", url, headers=dict(headers)))

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises NotReached where nothing was taken, Unreachable where that is not known, Misconfigured."""
        return self._ask(self._client.build_request("POST", url, content=body, headers=dict(headers)))

    def form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """A token request: it carries no result, so whatever fails certainly reached nobody. Raises NotReached."""
        try:
            return self._ask(self._client.build_request("POST", url, data=dict(form), headers=dict(headers)))
        except NotReached:
            raise
        except Unreachable as error:
            raise NotReached(f"authorization server: {error}", retry_after=error.retry_after) from error

    def _ask(self, request: httpx.Request) -> Answer:
        self._renew()
        try:
            response = self._client.send(request, stream=True)
            try:
                content = bounded(
                    response.iter_bytes(), where=self._where, longest=_LONGEST_ANSWER, seconds=self._timeout
                )
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotReached(f"{self._where} cannot be reached: {_reason(error)}") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise Misconfigured(f"{self._where} is no address that can be asked; write https://HOST/PATH") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._where}: {_reason(error)}; the message will be sent again") from error
        if 300 <= response.status_code < 400:
            raise NotReached(
                f"{self._where} answers HTTP {response.status_code} and leads elsewhere, where no credentials are "
                "taken; write the address itself into the settings"
            )
        after = retry_after(response.headers.get("Retry-After", ""), now=self._clock())
        return Answer(status=response.status_code, content=content, retry_after=after)


def retry_after(told: str, *, now: datetime) -> timedelta | None:
    """Retry-After in seconds or as a date (RFC 9110 §10.2.3); None where it is neither."""
    told = told.strip()
    if told.isascii() and told.isdigit():
        return min(timedelta(seconds=int(told[:9])), _LONGEST_PATIENCE)
    try:
        moment = parsedate_to_datetime(told)
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta(0)), _LONGEST_PATIENCE)


def _reason(error: httpx.HTTPError) -> str:
    """The kind of failure; the text of a library may quote what was sent."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is not trusted; mend the TLS files"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return type(error).__name__
