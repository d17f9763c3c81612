"""What a FHIR server answers to a transaction: a Bundle, read entry by entry, or an OperationOutcome (R4 §2.28).

The answer's text may quote our bundle, so it is stored with the message and never logged.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ecgfm_connectors.result import Ack

_LONGEST_TEXT = 4000
#: R4 value set issue-type. Codes are logged, so that none is taken that a server made up: it might be a name.
_ISSUE_CODES = frozenset(
    [
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
    ]
)
_LOCATION = re.compile(r"(?:.*/)?([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?/?")

#: Codes of ours for answers that claim success and cannot be believed.
NOT_A_TRANSACTION = "not-a-transaction-response"
OTHER_ENTRIES = "other-entries"
OTHER_RESOURCE = "other-resource"
NO_SUBJECT = "subject-unresolved"
OTHER_PATIENT = "other-patient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One entry as it was sent."""

    kind: str  #: resource type
    number: str  #: `SYSTEM|VALUE` of its first identifier; empty for a resource that has none
    status: str
    subject: str = field(default="", repr=False)  #: `SYSTEM|VALUE` of the patient


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One entry as it was answered."""

    status: int
    location: str  #: `TYPE/ID`; empty where none was given


def sent_in(body: bytes) -> tuple[Sent, ...]:
    """The entries of a bundle of ours."""
    return tuple(_sent(entry["resource"]) for entry in json.loads(body)["entry"])


def _sent(resource: Mapping[str, object]) -> Sent:
    subject = resource.get("subject")
    named = subject.get("identifier") if isinstance(subject, dict) else None
    return Sent(
        kind=str(resource["resourceType"]),
        number=next(_numbers(resource), ""),
        status=str(resource.get("status", "")),
        subject=f"{named.get('system')}|{named.get('value')}" if isinstance(named, dict) else "",
    )


def accepted(told: object, sent: Sequence[Sent], *, control_id: str, status: int) -> tuple[Ack, tuple[Answered, ...]]:
    """What a 200 comes to. It is success only where every entry says so, of the kind that was sent in its place."""

    def wrong(code: str, text: str, answered: int = status) -> tuple[Ack, tuple[Answered, ...]]:
        # A transaction is all or nothing, but a server that answers like this may have kept a part.
        said = Ack(
            code=f"HTTP {answered}", control_id=control_id, error_code=code, text=text[:_LONGEST_TEXT], in_doubt=True
        )
        return said, ()

    if not isinstance(told, dict) or told.get("resourceType") != "Bundle" or told.get("type") != "transaction-response":
        return wrong(NOT_A_TRANSACTION, "the answer is no Bundle of type transaction-response")
    entries = _list(told.get("entry"))
    if len(entries) != len(sent):
        return wrong(OTHER_ENTRIES, f"{len(sent)} entries were sent and {len(entries)} answered")
    found: list[Answered] = []
    for place, (entry, mine) in enumerate(zip(entries, sent, strict=True), start=1):
        response = entry.get("response")
        response = response if isinstance(response, dict) else {}
        code = _status(response.get("status"))
        if code not in (200, 201, 204):
            said = outcome(response.get("outcome") or entry.get("resource"))
            return wrong(said.code or "entry-refused", f"entry {place}, {mine.kind}: {said.text}", code)
        kind, location = _place(response.get("location"))
        if kind and kind != mine.kind:
            return wrong(OTHER_ENTRIES, f"entry {place}: a {mine.kind} was sent and a {kind} answered")
        found.append(Answered(status=code, location=location))
    return Ack(code=f"HTTP {status}", control_id=control_id), tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An OperationOutcome."""

    code: str  #: of the first issue that is no mere information; empty where the answer is no OperationOutcome
    text: str


def outcome(told: object) -> Outcome:
    """Its first code and everything that it says; a text of ours where it is none."""
    if not isinstance(told, dict) or told.get("resourceType") != "OperationOutcome":
        return Outcome(code="", text="no OperationOutcome")
    issues = _list(told.get("issue"))
    grave = [one for one in issues if one.get("severity") in ("fatal", "error")] or issues
    code = str(grave[0].get("code", "")) if grave else ""
    text = "; ".join(part for issue in grave for part in _words(issue))
    return Outcome(code=code if code in _ISSUE_CODES else "unknown", text=text[:_LONGEST_TEXT])


def refused(told: object, *, control_id: str, status: int) -> Ack:
    """A 4xx, in the words of its OperationOutcome."""
    said = outcome(told)
    return Ack(code=f"HTTP {status}", control_id=control_id, error_code=said.code, text=said.text)


def is_same(told: object, sent: Sent) -> bool:
    """Whether what the server shows under the address it named is what was sent, as it was sent."""
    if not isinstance(told, dict) or told.get("resourceType") != sent.kind or told.get("status") != sent.status:
        return False
    return sent.number in _numbers(told)


def only_entry(told: object) -> object:
    """The resource in an answer to a search that found one; None where it found none or several."""
    found = _list(told.get("entry")) if isinstance(told, dict) else []
    return found[0].get("resource") if len(found) == 1 else None


def subject_of(report: object) -> str:
    """`Patient/ID`, or a whole URL, under which the server filed a report; empty where it resolved nothing, as some
    servers leave a conditional reference as it came: the report then stands under nobody.
    """
    subject = report.get("subject") if isinstance(report, dict) else None
    reference = subject.get("reference") if isinstance(subject, dict) else None
    kind, location = _place(reference)
    return location if kind == "Patient" else ""


def is_subject(told: object, sent: Sent) -> bool:
    """Whether a patient as the server shows them has the number under which the report was sent."""
    return isinstance(told, dict) and told.get("resourceType") == "Patient" and sent.subject in _numbers(told)


def reaction(acknowledgement: Ack) -> Literal["done", "retry", "dead"]:
    """What follows from an answer: taken, or a person must look. What is worth a repeat never becomes an answer: it
    leaves the sender as Unreachable.
    """
    done = acknowledgement.code in ("HTTP 200", "HTTP 201") and not acknowledgement.error_code
    return "done" if done else "dead"


def _numbers(resource: Mapping[str, object]) -> Iterator[str]:
    """Its identifiers as `SYSTEM|VALUE`."""
    return (f"{one.get('system')}|{one.get('value')}" for one in _list(resource.get("identifier")))


def _list(told: object) -> list[dict[str, object]]:
    """The objects of a JSON array."""
    return [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []


def _status(told: object) -> int:
    """`201 Created` -> 201; 0 where there is no status."""
    first = str(told or "").strip()[:3]
    return int(first) if first.isdigit() else 0


def _place(told: object) -> tuple[str, str]:
    """Resource type and `TYPE/ID` of a location, absolute or not; both empty where it is none."""
    match = _LOCATION.fullmatch(told) if isinstance(told, str) else None
    return (match[1], f"{match[1]}/{match[2]}") if match else ("", "")


def _words(issue: Mapping[str, object]) -> Iterator[str]:
    details = issue.get("details")
    told = [details.get("text") if isinstance(details, dict) else None, issue.get("diagnostics")]
    yield from (str(one) for one in told if one)
