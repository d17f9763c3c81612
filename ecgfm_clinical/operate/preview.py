"""The message that a destination gets of one ECG, field by field, without sending or writing anything."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.staging.records import TAKES_BACK, MessageState
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.message_text import text_of
from ecgfm_connectors.patient import Identifier, Patient

if TYPE_CHECKING:
    from datetime import datetime

    from ecgfm_clinical.pipeline.reporting import DrawPage
    from ecgfm_clinical.staging.records import Draft
    from ecgfm_clinical.staging.store import Store

HIDDEN = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What would be sent."""

    standing: str  #: how the message that it shows stands
    body: bytes

    @property
    def is_hl7(self) -> bool:
        return self.body.startswith(b"MSH")


def preview(
    store: "Store", ecg_id: int, destination: str, *, now: "datetime", phi: bool, draw: "DrawPage | None" = None
) -> Preview:
    """`phi`: with whom it is about; else names and numbers are `***`. `draw`: where the destination wants pages.

    Raises NotFound, and InputError where the destination does not exist or no message can be made.
    """
    telling = store.database.telling
    if destination not in telling.destinations:
        there = ", ".join(telling.destinations) or "none"
        raise InputError(f"the settings name no destination {destination!r}; there are: {there}")
    draft, state = store.outbox.newest_draft(ecg_id, destination, now=now)
    if not phi:
        draft = replace(draft, ecg=replace(draft.ecg, patient=_hidden(draft.ecg.patient)))
    draft = _with_page(draft, draw)
    try:
        body = telling.compose(replace(draft, control_id=draft.control_id or "PREVIEW"))
    except PayloadError as error:
        raise InputError(f"this message could not be written ({error.code}): {error}") from error
    return Preview(standing=_standing(draft, state), body=body)


def _hidden(patient: Patient) -> Patient:
    numbers = tuple(Identifier(authority=one.authority, type=one.type, value=HIDDEN) for one in patient.identifiers)
    return Patient(identifiers=numbers, family_name=HIDDEN, given_name=HIDDEN)


def _with_page(draft: "Draft", draw: "DrawPage | None") -> "Draft":
    if draw is None or draft.kind in TAKES_BACK:
        return draft
    if not draft.ecg.signal.size:
        return replace(draft, page_refused="the signal was removed by retention")
    try:
        return replace(draft, page=draw(draft))
    except Exception as error:  # noqa: BLE001  as a sender: whatever a drawing library raises, the numbers go
        return replace(draft, page_refused=f"drawing it failed ({type(error).__name__})")


def _standing(draft: "Draft", state: MessageState | None) -> str:
    what = {"F": "first result", "C": "correction", "W": "withdrawal", "D": "deletion"}[draft.kind]
    if state is None:
        return f"{what}; no message about this ECG was made for {draft.destination} yet, and none is made now"
    if state in (MessageState.WAITING, MessageState.RUNNING):
        return f"{what}, {draft.control_id}: {state.word}; this is what it says if it is composed now"
    return f"{what}, {draft.control_id}: {state.word} already; this is what it would say if it were composed now"


def lines_of(found: Preview) -> Iterator[str]:
    """For people: each field with its name where it is HL7 v2, else the text of the message."""
    if not found.is_hl7:
        yield from filter(None, text_of(found.body).replace("\n", "\r").split("\r"))
        return
    from ecgfm_connectors.hl7.named_fields import named_fields

    for one in named_fields(found.body):
        yield f"{one.place:8} {one.name:45} {one.value}"
