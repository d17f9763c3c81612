"""What is held for a person, and what each answer would do: for `held`, by the table of questions in `LIFECYCLE.md`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ecgfm_clinical.ecg.inspection import MASK
from ecgfm_clinical.operate.people import named
from ecgfm_clinical.wording import N_, Say, in_english

if TYPE_CHECKING:
    from ecgfm_clinical.staging.holds import Hold
    from ecgfm_clinical.staging.records import Told
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.patient import Patient

#: What is asked, and what each answer does; by question.
QUESTIONS = {
    "two-people": (
        N_("the message names one person and the ECG inside it another: whose is it?"),
        N_("it belongs to the patient of the message (the first below), and its result is sent there"),
        N_("nothing of it is sent; what was sent is withdrawn"),
    ),
    "corrected-patient": (
        N_("the recording came again under another patient: whose is it?"),
        N_("it belongs to the patient who was named last: withdrawn (W) from the first, sent (F) to the last"),
        N_("it stays with the patient to whom it belongs now; what the last copy says of the recording itself counts"),
    ),
    "same-signal": (
        N_("another object holds the same samples of the same device and time, under another patient: whose are they?"),
        N_("they belong to the patient who was named last: withdrawn (W) from the first, sent (F) to the last"),
        N_("they stay with the patient to whom they belong now"),
    ),
    "sender-withdrawal": (
        N_(
            "its sender took the recording back, perhaps before it came or to send it anew: shall nothing of it be "
            "told?"
        ),
        N_("the withdrawal is not followed, or no longer: the result stands, or is sent"),
        N_("the result is withdrawn (W), and nothing more is sent of the recording"),
    ),
    "order": (
        N_("which order its result answers cannot be said for certain, or none is known: shall it go without one?"),
        N_("the result is sent without order fields, or for its order, where that has come meanwhile"),
        N_("nothing of the recording is sent; what was sent is withdrawn"),
    ),
    "unmerged": (
        N_("its result was sent under a number that its own is not merged into any more: shall it move?"),
        N_("withdrawn (W) there, sent (F) under the number that it was recorded under"),
        N_("the result stays where it was sent, and the recording with it"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTold:
    """The standing result of the ECG at one destination."""

    destination: str
    message_id: int
    kind: str
    state: str
    may_have_left: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownQuestion:
    """One question; people are named, or `***`. The names of the fields are the keys of `held show --json`."""

    number: int
    question: str
    asked: str
    ecg_id: int
    opened_at: str  #: ISO 8601
    patients: list[str] = field(repr=False)
    belongs_to: str = field(repr=False)
    release: str  #: what this answer does
    reject: str
    results: tuple[ShownTold, ...]
    decision: str | None
    decided_by: str | None
    reason: str | None

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def document_of(held: "Hold", store: "Store", *, phi: bool) -> ShownQuestion:
    """One question, masked unless `phi`."""
    asked, release, reject = QUESTIONS[held.question.value]
    return ShownQuestion(
        number=held.hold_id,
        question=held.question.value,
        asked=asked,
        ecg_id=held.ecg_id,
        opened_at=held.opened_at.isoformat(),
        patients=[named(one) if phi else MASK for one in held.patients],
        belongs_to=named(store.ecgs.story(held.ecg_id).recording.patient) if phi else MASK,
        release=release,
        reject=reject,
        results=tuple(_result(one) for one in store.results.told(ecg_id=held.ecg_id)),
        decision=held.decision,
        decided_by=held.decided_by,
        reason=held.reason,
    )


def _result(one: "Told") -> ShownTold:
    return ShownTold(
        destination=one.destination,
        message_id=one.message_id,
        kind=one.kind,
        state=one.state.word,
        may_have_left=one.may_have_left,
    )


def line_of(found: ShownQuestion) -> str:
    """One question in one line."""
    decided = f", {found.decision} by {found.decided_by}" if found.decision else ""
    if found.decision == "moot":
        decided = f", moot: {found.reason}"
    return f"{found.number}: {found.question}, ECG {found.ecg_id}, since {found.opened_at[:19]}{decided}"


def lines_of(found: ShownQuestion) -> Iterator[str]:
    """One question with all that belongs to it."""
    yield line_of(found)
    yield f"  asked      {found.asked}"
    yield from (f"  between    {who}" for who in found.patients)
    if found.belongs_to != MASK:
        yield f"  now of     {found.belongs_to}"
    for one in found.results:
        left = "at the receiver, or perhaps" if one.may_have_left else "not sent yet"
        yield f"  result     {one.kind} to {one.destination}, {one.state}, {left} (message {one.message_id})"
    if not found.results:
        yield "  result     none was made"
    yield f"  release    {found.release}"
    yield f"  reject     {found.reject}"


def what_follows(found: ShownQuestion, *, release: bool, patient: "Patient | None", say: Say = in_english) -> str:
    """What the answer would send and take back, in the language of `say`."""
    withdrawn = sum(one.may_have_left for one in found.results)
    if patient is not None:
        return say(
            "results that may stand at receivers: %(count)d; withdrawn (W) where they are, and sent (F) to the "
            "patient you named, once judged again",
            count=withdrawn,
        )
    answer = say(found.release if release else found.reject)
    return say("results that may stand at receivers: %(count)d; %(answer)s", count=withdrawn, answer=answer)
