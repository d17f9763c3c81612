"""The output of `show`: everything the store knows of one ECG, as a document for programs and as text for people."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ecgfm_clinical.ecg.inspection import MASK, Inspection, describe
from ecgfm_clinical.operate import people
from ecgfm_clinical.operate.order_story import ShownOrders, order_lines, shown_orders
from ecgfm_connectors.message_text import text_of

if TYPE_CHECKING:
    from ecgfm_clinical.staging.documents import KeptDocument
    from ecgfm_clinical.staging.records import AttemptError, AuditEvent, EcgState, Score, Scoring
    from ecgfm_clinical.staging.story_records import EcgStory, MessageStory, RecordingStory
    from ecgfm_connectors.patient import Patient
    from ecgfm_connectors.result import Ack


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownJob:
    """The score job of the ECG."""

    state: str  #: `held` where it was never queued
    errors: "tuple[AttemptError, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownVersion:
    """One arrival of the recording that said something new."""

    ecg_id: int
    version: int
    source: str
    transport: str
    received_at: datetime
    state: "EcgState"
    patient: str = field(repr=False)  #: whom its own payload names
    same_person: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownHold:
    """One question about the recording, open or decided."""

    hold_id: int
    question: str
    opened_at: datetime
    patients: list[str] = field(repr=False)
    decision: str | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownResult:
    """Where the result of the recording stands at one receiver."""

    destination: str
    filler: str  #: OBR-3
    state: str
    patient: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRecording:
    """The recording of which the ECG is a version; people are named, or `***`."""

    recording_id: int
    patient: str = field(repr=False)
    versions: tuple[ShownVersion, ...]
    patient_named: bool
    moved: int
    withdrawn: str | None
    holds: tuple[ShownHold, ...]
    results: tuple[ShownResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAck:
    """What the receiver answered."""

    code: str  #: MSA-1
    error_code: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMessage:
    """One message, its attempts and its answer."""

    message_id: int
    destination: str
    control_id: str
    kind: str
    state: str
    in_doubt: bool
    attempts: int
    errors: "tuple[AttemptError, ...]"
    sent_at: datetime | None
    acknowledged_at: datetime | None
    acknowledgement: ShownAck | None
    body: str | None = field(repr=False)
    page: str | None = None  #: `due`, `drawn`, or `without`; None where no page goes with it

    def to_json(self) -> dict[str, object]:
        """For programs; `page` only where one goes with it, so that all others read as they ever did."""
        told = {
            **asdict(self),
            "errors": [_error(error) for error in self.errors],
            "sent_at": self.sent_at.isoformat() if self.sent_at else None,
            "acknowledged_at": self.acknowledged_at.isoformat() if self.acknowledged_at else None,
        }
        return {name: value for name, value in told.items() if (name, value) != ("page", None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDocument:
    """What another system says of the recording; nothing here was computed by this program."""

    document_id: int
    kind: str
    title: str
    maker: str
    status: str  #: as its sender calls it
    made_at: datetime | None
    received_at: datetime
    source: str
    text: str = field(repr=False)

    def to_json(self) -> dict[str, object]:
        """For programs."""
        made_at = self.made_at.isoformat() if self.made_at else None
        return {**asdict(self), "made_at": made_at, "received_at": self.received_at.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEcg:
    """Everything the store knows of one ECG; the names of the fields are the keys of `show --json`."""

    ecg_id: int
    state: str
    version: int
    source: str
    received_at: datetime
    payload_sha256: str
    ecg: Inspection
    score_job: ShownJob
    recording: ShownRecording
    scorings: "tuple[Scoring, ...]"
    messages: tuple[ShownMessage, ...]
    events: "tuple[AuditEvent, ...]"
    documents: tuple[ShownDocument, ...] = ()
    orders: ShownOrders | None = None

    def to_json(self) -> dict[str, object]:
        """For programs; `documents` and `orders` only where there are any, so that all others read as they ever did."""
        others: dict[str, object] = {}
        if self.documents:
            others["documents"] = [one.to_json() for one in self.documents]
        if self.orders:
            others["orders"] = self.orders.to_json()
        return {
            "ecg_id": self.ecg_id,
            "state": self.state,
            "version": self.version,
            "source": self.source,
            "received_at": self.received_at.isoformat(),
            "payload_sha256": self.payload_sha256,
            "ecg": self.ecg.to_json(),
            "score_job": {"state": self.score_job.state, "errors": [_error(one) for one in self.score_job.errors]},
            "recording": asdict(self.recording),
            "scorings": [_scoring(one) for one in self.scorings],
            "messages": [one.to_json() for one in self.messages],
            "events": [
                {"at": one.at.isoformat(), "actor": one.actor, "action": one.action, **one.detail}
                for one in self.events
            ],
            **others,
        }


def _scoring(one: "Scoring") -> dict[str, object]:
    """`unshifted` only where there is a prior shift, so that all others read as they ever did."""
    told = asdict(one)
    for score in told["scores"]:
        if score["unshifted"] is None:
            del score["unshifted"]
    return {**told, "scored_at": one.scored_at.isoformat()}


def _error(error: "AttemptError") -> dict[str, object]:
    return {**asdict(error), "at": error.at.isoformat()}


def story_of(story: "EcgStory", *, phi: bool) -> ShownEcg:
    """Everything the store knows of one ECG. Identifying values and message bodies are masked unless `phi`."""
    staged = story.ecg
    return ShownEcg(
        ecg_id=staged.ecg_id,
        state=story.state.value,
        version=staged.version,
        source=staged.source,
        received_at=staged.received_at,
        payload_sha256=staged.payload_sha256,
        ecg=describe(staged.ecg, phi=phi),
        score_job=ShownJob(state=story.job_state.value if story.job_state else "held", errors=story.job_errors),
        recording=_recording(story.recording, phi=phi),
        scorings=story.scorings,
        messages=tuple(_message(one, phi=phi) for one in story.messages),
        events=story.events,
        documents=tuple(shown_document(one, phi=phi) for one in story.documents),
        orders=shown_orders(story.orders, phi=phi) if story.orders else None,
    )


def shown_document(one: "KeptDocument", *, phi: bool) -> ShownDocument:
    """A document of another system; whatever its sender wrote is masked unless `phi`."""
    told = one.document
    return ShownDocument(
        document_id=one.document_id,
        kind=told.kind,
        title=told.title if phi else MASK,
        maker=told.maker,
        status=told.status,
        made_at=told.made_at,
        received_at=one.received_at,
        source=one.source,
        text=told.text if phi else MASK,
    )


def _recording(one: "RecordingStory", *, phi: bool) -> ShownRecording:
    def who(patient: "Patient") -> str:
        return people.named(patient) if phi else MASK

    return ShownRecording(
        recording_id=one.recording_id,
        patient=who(one.patient),
        versions=tuple(
            ShownVersion(
                ecg_id=version.ecg_id,
                version=version.version,
                source=version.source,
                transport=version.transport,
                received_at=version.received_at,
                state=version.state,
                patient=who(version.patient),
                same_person=version.same_person,
            )
            for version in one.versions
        ),
        patient_named=one.patient_named,
        moved=one.moved,
        withdrawn=one.withdrawn,
        holds=tuple(
            ShownHold(
                hold_id=held.hold_id,
                question=held.question,
                opened_at=held.opened_at,
                patients=[who(patient) for patient in held.patients],
                decision=held.decision,
                decided_by=held.decided_by,
                reason=held.reason,
            )
            for held in one.holds
        ),
        results=tuple(
            ShownResult(
                destination=result.destination, filler=result.filler, state=result.state, patient=who(result.patient)
            )
            for result in one.results
        ),
    )


def _message(one: "MessageStory", *, phi: bool) -> ShownMessage:
    ack = one.acknowledgement
    return ShownMessage(
        message_id=one.message_id,
        destination=one.destination,
        control_id=one.control_id,
        kind=one.kind,
        state=one.state.word,
        in_doubt=one.in_doubt,
        attempts=one.attempts,
        errors=one.errors,
        sent_at=one.sent_at,
        acknowledged_at=one.acknowledged_at,
        acknowledgement=None if ack is None else _answer(ack, phi=phi),
        body=(text_of(one.body) if phi else MASK) if one.body else None,
        page=one.page,
    )


def _answer(ack: "Ack", *, phi: bool) -> ShownAck:
    placed = f"placed as {ack.placer}" if ack.placer else ""
    return ShownAck(
        code=ack.code, error_code=ack.error_code, text="; ".join(filter(None, (ack.text, placed))) if phi else MASK
    )


def story_text(found: ShownEcg) -> str:
    """`story_of` for people."""
    return "\n".join(_story_lines(found))


def _story_lines(found: ShownEcg) -> Iterator[str]:
    ecg = found.ecg
    yield f"ECG {found.ecg_id} (version {found.version}), {found.state}"
    yield f"  received   {found.received_at.isoformat()} from {found.source}, {ecg.format}"
    yield f"  recorded   {ecg.acquired_at or 'unknown'}, {ecg.duration_seconds} s at {ecg.sampling_rate:g} Hz"
    yield f"  device     {' '.join(filter(None, ecg.device.values())) or 'unknown'}"
    for finding in (*ecg.findings, *(ecg.quality or ())):
        yield f"  finding    {finding.code}: {finding.text}"
    yield from (f"  age        in doubt: {doubt}" for doubt in ecg.age.doubts)
    for told in ecg.understood:
        doubt = "" if told.certainty == "stated" else f", {told.certainty}"
        where = " ".join(filter(None, (told.source, told.code)))
        yield f"  says       {told.category}: {told.concept}{doubt} ({where})"
    for error in found.score_job.errors:
        yield f"  attempt {error.attempt}  {error.at.isoformat()} {error.kind}: {error.text}"
    for scoring in found.scorings:
        demo = ", NOT FOR CLINICAL USE" if scoring.demo else ""
        yield (
            f"  scored     {scoring.scored_at.isoformat()} by {scoring.model_name} "
            f"{scoring.model_id[:12]}{demo}{_rests_on(scoring)}"
        )
        yield from (f"    {_score_line(score)}" for score in scoring.scores)
    for message in found.messages:
        yield from _message_lines(message)
    yield from _recording_lines(found.recording, found.ecg_id)
    if found.orders:
        yield from order_lines(found.orders)
    for document in found.documents:
        yield from _document_lines(document)
    for event in found.events:
        yield f"  {event.at.isoformat()} {event.action} ({event.actor})"


def _message_lines(message: ShownMessage) -> Iterator[str]:
    ack = message.acknowledgement
    acknowledged = message.acknowledged_at.isoformat() if message.acknowledged_at else ""
    answer = f", answered {ack.code} {acknowledged}" if ack else ""
    yield (f"  message    {message.control_id} ({message.kind}) to {message.destination}: {message.state}{answer}")
    if message.page:
        yield f"    page: {message.page}"
    yield from (f"    attempt {e.attempt} {e.at.isoformat()} {e.kind}: {e.text}" for e in message.errors)
    if ack and ack.text not in ("", MASK):
        yield f"    answer {ack.code} {ack.error_code}: {ack.text}"
    if message.body and message.body != MASK:
        yield from (f"    {segment}" for segment in message.body.split("\r") if segment)


def _document_lines(document: ShownDocument) -> Iterator[str]:
    about = " ".join(filter(None, (document.kind, "by", document.maker or "an unnamed maker", document.status)))
    yield f"  others say {about}, received {document.received_at.isoformat()} from {document.source}"
    if document.text != MASK:
        yield f"    {document.title}"
        yield from (f"    {line}" for line in document.text.splitlines())


def _recording_lines(recording: ShownRecording, ecg_id: int) -> Iterator[str]:
    """The other versions of the recording, whose it is, what stands where, and what was asked about it."""
    for one in recording.versions:
        if one.ecg_id != ecg_id:
            yield (
                f"  version {one.version}  ECG {one.ecg_id}, {one.received_at.isoformat()} "
                f"from {one.source} by {one.transport}, {one.state}"
                + ("" if one.same_person else f", names another patient {_shown(one.patient)}".rstrip())
            )
    own = next(one for one in recording.versions if one.ecg_id == ecg_id)
    if not own.same_person:
        yield f"  patient    belongs to another patient than the payload names {_shown(recording.patient)}".rstrip()
    if recording.patient_named:
        yield f"  patient    named for the recording, not taken from the payload; moved {recording.moved} times"
    if recording.withdrawn:
        yield f"  withdrawn  {recording.withdrawn}"
    for result in recording.results:
        yield f"  result     {result.filler} at {result.destination}: {result.state} {_shown(result.patient)}".rstrip()
    for held in recording.holds:
        decided = f"{held.decision} by {held.decided_by}: {held.reason}" if held.decision else "waits for a person"
        yield f"  held       {held.hold_id} {held.question}, {decided}"
        yield from (f"    between    {who}" for who in held.patients if who != MASK)


def _shown(who: str) -> str:
    return "" if who == MASK else f"({who})"


def _rests_on(scoring: "Scoring") -> str:
    count = scoring.segments
    return f", on {count} segment{'' if count == 1 else 's'} of 5 s" if count else ""


def _score_line(score: "Score") -> str:
    if score.probability is None:
        return f"{score.head} {score.label}: not evaluable: " + "; ".join(text for _, text in score.reasons)
    flag = {True: ", positive", False: ", negative", None: ""}[score.positive]
    before = "" if score.unshifted is None else f" ({score.unshifted:.4f} before the prior shift)"
    return f"{score.head} {score.label}: {score.probability:.4f}{before}{flag}"
