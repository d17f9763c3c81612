"""Sends bundles to a FHIR R4 server (base.Destination), one at a time, and judges what it answers.

| answer | what follows |
|---|---|
| 200, 201 with every entry taken, and the report is there as it was sent, under its patient | taken |
| 200 with another id, another patient, none, other entries, an entry that failed | a person must look; in doubt |
| 401 | once more with a new token; then the destination waits, nothing was taken |
| 429 | the destination waits as long as it was asked to; nothing was taken |
| 400, 403, 404, 409, 410, 412, 413, 415, 422 and every other 4xx | a person must look |
| 404, 405 that is no FHIR | the destination waits: the address is wrong |
| 408, 5xx, no answer, an answer cut off, something that is no FHIR | the same bytes again; in doubt |
| 3xx | not followed; the destination waits |
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

from ecgfm_connectors.errors import Misconfigured, NotReached, Unreachable
from ecgfm_connectors.fhir import capability, outcomes
from ecgfm_connectors.fhir.credentials import Credentials
from ecgfm_connectors.fhir.elements import search
from ecgfm_connectors.fhir.http import Answer, Asker
from ecgfm_connectors.result import Ack
from ecgfm_connectors.tls import TlsFiles

_FHIR = "application/fhir+json"
_HEADERS = {"Accept": _FHIR, "Content-Type": f"{_FHIR}; charset=utf-8", "Prefer": "return=minimal"}


class FhirServer:
    """A server that takes results. Safe to share between threads."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        credentials: Credentials,
        clock: Callable[[], datetime],
        tls: TlsFiles | None = None,
        timeout: float = 60.0,
        read_back: bool = True,
    ) -> None:
        """`url`: the server's base. `read_back`: read each report and its patient after it was taken.

        Raises Misconfigured.
        """
        self._name = name
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._read_back = read_back  # of the report alone: what else there is of a result stands and falls with it
        self._one_in_flight = threading.Lock()
        self._ask = Asker(where=self._where, tls=tls, timeout=timeout, clock=clock)

    @property
    def name(self) -> str:
        return self._name

    def send(self, body: bytes, *, control_id: str) -> Ack:
        """Deliver one bundle. Raises NotReached (nothing was taken), Unreachable (fate unknown) and Misconfigured."""
        with self._one_in_flight:
            answer = self._with_token(lambda headers: self._ask.post(self._url, body, {**_HEADERS, **headers}))
            return self._judged(answer, outcomes.sent_in(body), control_id)

    def check(self) -> str:
        """Ask what the server can do. Raises NotReached, Unreachable, Misconfigured."""
        with self._one_in_flight:
            answer = self._with_token(
                lambda headers: self._ask.get(f"{self._url}/metadata", {"Accept": _FHIR, **headers})
            )
        self._refuse_unless_fhir(answer)
        if answer.status != 200:
            raise Misconfigured(f"{self._where} answers HTTP {answer.status} to a question for its capabilities")
        return f"{self._where}: {capability.judged(answer.json)}"

    def close(self) -> None:
        self._ask.close()

    @property
    def _where(self) -> str:
        """Without user, password and query of the URL."""
        parts = urlsplit(self._url)
        return f"{self._name} at {parts.netloc.rpartition('@')[2]}{parts.path}"

    def _with_token(self, request: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """A token that the server takes no longer is asked for anew, once."""
        answer = request(self._credentials.header(self._ask))
        if answer.status == 401 and self._credentials.forget():
            answer = request(self._credentials.header(self._ask))
        if answer.status == 401:
            raise NotReached(f"{self._where} refuses us (HTTP 401); check the credentials, nothing was taken")
        if answer.status == 429:
            text = f"{self._where} takes no more requests for now (HTTP 429)"
            raise NotReached(text, retry_after=answer.retry_after)
        if answer.status >= 500 or answer.status == 408:
            text = f"{self._where} cannot answer now (HTTP {answer.status}); the message will be sent again"
            raise Unreachable(text, retry_after=answer.retry_after)
        return answer

    def _judged(self, answer: Answer, sent: tuple[outcomes.Sent, ...], control_id: str) -> Ack:
        self._refuse_unless_fhir(answer)
        if answer.status not in (200, 201):
            return outcomes.refused(answer.json, control_id=control_id, status=answer.status)
        ack, answered = outcomes.accepted(answer.json, sent, control_id=control_id, status=answer.status)
        if ack.error_code or not self._read_back:
            return ack
        for mine, theirs in zip(sent, answered, strict=True):
            if mine.kind == "DiagnosticReport":
                return self._as_sent(ack, mine, theirs)
        return ack

    def _as_sent(self, ack: Ack, sent: outcomes.Sent, answered: outcomes.Answered) -> Ack:
        """The report as it stands at the address that the server named, and under whom: another one there, or
        somebody else, is no success.
        """
        report = self._read(answered.location) if answered.location else self._found(sent)
        if not outcomes.is_same(report, sent):
            where = f"at {answered.location}" if answered.location else "by its search for the report's number"
            said = f"what the server shows {where} is not the report that was sent"
            return replace(ack, error_code=outcomes.OTHER_RESOURCE, text=said, in_doubt=True)
        patient = outcomes.subject_of(report)
        if not patient:
            said = "the server keeps the report under no patient: it did not resolve the patient's number"
            return replace(ack, error_code=outcomes.NO_SUBJECT, text=said, in_doubt=True)
        if not outcomes.is_subject(self._read(patient), sent):
            said = f"the server filed the report under {patient}, who has not the number it was sent under"
            return replace(ack, error_code=outcomes.OTHER_PATIENT, text=said, in_doubt=True)
        return ack

    def _found(self, sent: outcomes.Sent) -> object:
        """The one report with its number, where the server named no address; None where it shows none or several."""
        system, _, value = sent.number.rpartition("|")
        return outcomes.only_entry(self._read(f"{sent.kind}?{search(system, value)}"))

    def _read(self, location: str) -> object:
        """A resource as the server shows it; None where it shows none. Raises Unreachable: a result was taken."""
        url = f"{self._url}/{location}"
        try:
            answer = self._with_token(lambda headers: self._ask.get(url, {"Accept": _FHIR, **headers}))
        except NotReached as error:  # the question was not taken; the result was
            raise Unreachable(str(error), retry_after=error.retry_after) from error
        if answer.status == 403:
            kind = location.partition("/")[0].partition("?")[0]
            raise Unreachable(f"{self._where} lets us read no {kind}; allow it, or set read_back = false")
        return answer.json if answer.status == 200 else None

    def _refuse_unless_fhir(self, answer: Answer) -> None:
        """An answer that is no JSON comes from something before the server, or the address is wrong."""
        if isinstance(answer.json, dict) and "resourceType" in answer.json:
            return
        text = f"{self._where} answers HTTP {answer.status} with something that is no FHIR; check the address"
        if answer.status in (404, 405):
            raise NotReached(text)
        if answer.status in (200, 201, 202, 204):
            raise Unreachable(text)  # it may have been taken all the same
        return
