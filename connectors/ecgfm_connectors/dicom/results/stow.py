"""A PACS that takes results by STOW-RS (PS3.18 §10.5), all objects of a message in one request.

Needs the package `httpx` (extra `dicomweb`). What the server says of single objects counts more than the HTTP status:
an object that no answer names is in doubt, and everything is sent again with the same UIDs.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpx

from ecgfm_connectors.dicom import multipart
from ecgfm_connectors.dicom.part10 import open_object
from ecgfm_connectors.dicom.results import statuses
from ecgfm_connectors.dicom.results.stored import unsure_notes
from ecgfm_connectors.dicom.web import without_secrets
from ecgfm_connectors.errors import Misconfigured, NotReached, ProtocolViolation, Unreachable
from ecgfm_connectors.http_answer import bounded
from ecgfm_connectors.http_client import direct_client
from ecgfm_connectors.result import Ack
from ecgfm_connectors.tls import TlsFiles

logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes the whole URL of each request at INFO

_STORED, _FAILED = "00081199", "00081198"  # Referenced SOP Sequence, Failed SOP Sequence
_SOP_INSTANCE, _WARNING, _FAILURE = "00081155", "00081196", "00081197"
_MAX_ANSWER = 2**20
_LONGEST_PATIENCE = timedelta(days=1)  #: that a Retry-After is believed: a mistyped one would silence us for months
_ANSWERS = 2  #: times the time for the beginning of an answer, until its end
_OF_THE_WIRE = {"content-encoding", "content-length", "transfer-encoding"}  #: headers that speak of bytes as sent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What an answer says of the objects, by SOP Instance UID."""

    stored: Mapping[str, int]  #: with its warning, or 0
    failed: Mapping[str, int]  #: with its reason


class StowDestination:
    """A Destination (base.py)."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        tls: TlsFiles | None = None,
        timeout: float = 30.0,
    ) -> None:
        """`url` is the service root (`https://pacs/dicom-web`); `headers` carry an Authorization where one is
        needed.
        """
        self._name = name
        self._asked = url.rstrip("/")
        self._url = without_secrets(self._asked)
        self._headers = dict(headers or {})
        self._tls = tls
        self._timeout = timeout

    @property
    def name(self) -> str:
        return self._name

    def send(self, body: bytes, *, control_id: str) -> Ack:
        """Raises NotReached, Unreachable, Misconfigured, ProtocolViolation."""
        if not multipart.is_objects(body):
            return statuses.no_objects(control_id)
        uids = [open_object(one).text("SOPInstanceUID") for one in multipart.split(body)]
        headers = {"Content-Type": multipart.content_type(body), "Accept": "application/dicom+json"}
        try:
            with self._client() as client:
                answer = self._answer(
                    client, client.build_request("POST", f"{self._asked}/studies", content=body, headers=headers)
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL) as error:
            raise self._not_reached(error) from error
        except httpx.TransportError as error:
            raise Unreachable(
                f"{self._url} gave no answer ({type(error).__name__}); everything is sent again"
            ) from error
        return self._judged(answer, uids, unsure_notes(body), control_id)

    def check(self) -> str:
        """A QIDO-RS query for one study. Raises NotReached, Unreachable, Misconfigured."""
        try:
            with self._client() as client:
                answer = self._answer(
                    client,
                    client.build_request(
                        "GET",
                        f"{self._asked}/studies",
                        params={"limit": "1"},
                        headers={"Accept": "application/dicom+json"},
                    ),
                )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._not_reached(error) from error
        self._refuse_fault_of_all(answer)
        if answer.status_code not in (200, 204):
            raise Misconfigured(f"{self._url} answers HTTP {answer.status_code} to a DICOMweb request; check the URL")
        return f"{self._url} answered a QIDO-RS query"

    def close(self) -> None:
        """Does nothing: no connection stays open between messages."""

    def _client(self) -> httpx.Client:
        return direct_client(headers=self._headers, tls=self._tls, timeout=self._timeout)

    def _answer(self, client: httpx.Client, request: httpx.Request) -> httpx.Response:
        """Its body read within bounds. Raises Unreachable, httpx.TransportError."""
        response = client.send(request, stream=True)
        try:
            content = bounded(
                response.iter_bytes(), where=self._url, longest=_MAX_ANSWER, seconds=_ANSWERS * self._timeout
            )
        finally:
            response.close()
        headers = {name: value for name, value in response.headers.items() if name not in _OF_THE_WIRE}
        return httpx.Response(response.status_code, headers=headers, content=content)

    def _not_reached(self, error: Exception) -> NotReached:
        return NotReached(f"{self._url} cannot be reached: {type(error).__name__}; check URL, network and TLS")

    def _refuse_fault_of_all(self, answer: httpx.Response) -> None:
        """Answers that speak of no message: what is wrong holds for all of them."""
        status = answer.status_code
        if status in (401, 403, 407):
            raise NotReached(f"{self._url} refuses us (HTTP {status}); check the credentials")
        if status in (404, 405) or 300 <= status < 400:
            raise NotReached(f"{self._url} answers HTTP {status} to a DICOMweb request; check the URL")
        if status in (429, 503, 507):
            raise NotReached(f"{self._url} cannot take anything now (HTTP {status})", retry_after=_patience(answer))
        if status in (408, 502, 504):
            raise Unreachable(f"{self._url} gave no answer of its own (HTTP {status}); everything is sent again")

    def _judged(self, answer: httpx.Response, uids: list[str], unsure: frozenset[str], control_id: str) -> Ack:
        status = answer.status_code
        self._refuse_fault_of_all(answer)
        said = _without_what_is_of_no_matter(_said(answer), unsure)
        if failed := {uid: reason for uid, reason in said.failed.items() if uid in uids or uid not in said.stored}:
            return _refused(status, failed, said, control_id)
        if 200 <= status < 300 or (status == 409 and unsure and said.stored.keys() == set(uids)):
            return self._taken(status, said, uids, control_id)
        if status >= 500:  # about this message or not: others go on, and this one is tried again
            code = statuses.written(0x0110)
            reason = f"the PACS answered HTTP {status} and said nothing of the objects"
            return Ack(code=f"HTTP {status}", control_id=control_id, error_code=code, reason=reason, in_doubt=True)
        reason = f"the PACS answered HTTP {status}: it does not take this message as it is"
        return Ack(code=f"HTTP {status}", control_id=control_id, error_code=f"HTTP {status}", reason=reason)

    def _taken(self, status: int, said: _Said, uids: list[str], control_id: str) -> Ack:
        missing = [uid for uid in uids if uid not in said.stored]
        others = [uid for uid in said.stored if uid not in uids]
        if len(missing) > len(others):
            raise ProtocolViolation(
                f"{self._url} answered HTTP {status} and does not name every object as stored; everything is sent again"
            )
        notes = [
            f"{uid}: {statuses.written(warning)}, {statuses.meaning(warning)}"
            for uid, warning in said.stored.items()
            if warning
        ]
        if missing:
            kept, ours = ", ".join(others), ", ".join(missing)
            notes.append(f"the PACS keeps {ours} under other UIDs, {kept}: recall them there by those")
        return Ack(code=f"HTTP {status}", control_id=control_id, text="; ".join(notes))


def _without_what_is_of_no_matter(said: _Said, unsure: frozenset[str]) -> _Said:
    """Notes that had nothing to reject count as stored, with that as their warning."""
    found = {uid: why for uid, why in said.failed.items() if statuses.is_of_no_matter(why, unsure=uid in unsure)}
    failed = {uid: why for uid, why in said.failed.items() if uid not in found}
    return _Said(stored={**said.stored, **found}, failed=failed)


def _refused(status: int, failed: Mapping[str, int], said: _Said, control_id: str) -> Ack:
    """Dead where one object will never be taken, else worth repeating."""
    reasons = sorted(failed.values(), key=lambda reason: (statuses.is_worth_repeating(reason), reason))
    code = statuses.written(reasons[0])
    return Ack(
        code=f"HTTP {status}",
        control_id=control_id,
        error_code=code,
        text="; ".join(f"{uid}: {statuses.written(reason)}" for uid, reason in failed.items()),
        reason=f"the PACS did not take {len(failed)} of the objects: {code}, {statuses.meaning(reasons[0])}",
        in_doubt=bool(said.stored),
    )


def _said(answer: httpx.Response) -> _Said:
    """The Store Instances Response Module (PS3.18 Table I.1-1); empty where the answer holds none."""
    try:
        told = json.loads(answer.content[:_MAX_ANSWER]) if answer.content else {}
    except ValueError:
        told = {}
    told = told[0] if isinstance(told, list) and told else told
    if not isinstance(told, dict):
        told = {}
    return _Said(
        stored=dict(_references(told, _STORED, _WARNING, statuses.SUCCESS)),
        failed=dict(_references(told, _FAILED, _FAILURE, 0x0110)),
    )


def _references(told: Mapping[str, object], sequence: str, reason: str, default: int) -> Iterator[tuple[str, int]]:
    for item in _values(told, sequence):
        if isinstance(item, dict):
            uid, code = next(_values(item, _SOP_INSTANCE), ""), next(_values(item, reason), default)
            yield str(uid), int(code) if isinstance(code, int | float) else default


def _values(item: Mapping[str, object], tag: str) -> Iterator[object]:
    """The values of a tag in the DICOM JSON model (PS3.18 F.2)."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    yield from values if isinstance(values, list) else ()


def _patience(answer: httpx.Response) -> timedelta | None:
    """Retry-After in seconds (RFC 9110 §10.2.3); None where it is absent or a date."""
    seconds = answer.headers.get("Retry-After", "")
    if not (seconds.isascii() and seconds.isdecimal()):
        return None
    return min(timedelta(seconds=int(seconds[:9])), _LONGEST_PATIENCE)
