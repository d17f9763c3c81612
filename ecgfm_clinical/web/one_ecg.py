"""One ECG: what the heads answered, its whole story. Who it belongs to is shown once somebody opens it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from starlette.responses import Response

from ecgfm_clinical.ecg.remarks import band
from ecgfm_clinical.extras import have
from ecgfm_clinical.operate.story import story_of
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.staging.search import Wanted
from ecgfm_clinical.web import codes, segments
from ecgfm_clinical.web.asking import whole
from ecgfm_clinical.web.trends import trends
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import Say
from ecgfm_connectors.raw_header import lines

if TYPE_CHECKING:
    from ecgfm_clinical.staging.story_records import EcgStory, EcgSummary, MessageStory

MOST_OTHERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMessage:
    """The bytes of one message, for a person who has opened the record."""

    control_id: str
    destination: str
    lines: tuple[segments.Line, ...]


def number_of(visit: Visit) -> int:
    """The ECG that the path names. Raises InputError."""
    return whole(visit.places["ecg"], "ECG")


def show(visit: Visit) -> Response:
    """Everything that identifies nobody."""
    return _page(visit, visit.store.ecgs.story(number_of(visit)), is_open=False)


def opened(visit: Visit) -> Response:
    """The same with names, numbers and messages. That somebody looks is in the audit trail first."""
    story = visit.store.ecgs.story(number_of(visit))
    note_opened(visit, story.ecg.ecg_id)
    return _page(visit, story, is_open=True)


def set_aside(story: "EcgStory") -> list[int]:
    """The numbers of its messages that a person must look at."""
    return [one.message_id for one in story.messages if one.state is MessageState.DEAD]


def note_opened(visit: Visit, ecg_id: int) -> None:
    """Put into the audit trail that this person looks at this record; the drawing on the page is part of it."""
    visit.store.audit_spool.note("patient.opened", ecg_ids=[ecg_id], now=visit.now, actor=visit.actor)
    visit.console.openings.note((visit.actor, visit.token), ecg_id, now=visit.now)


def is_on_a_page(visit: Visit, ecg_id: int) -> bool:
    """Whether this person has just opened a page that holds the ECG's drawing, and the audit trail says so."""
    return visit.console.openings.is_noted((visit.actor, visit.token), ecg_id, now=visit.now)


def is_cardiologist(visit: Visit) -> bool:
    """Whether the settings name who is signed in: only these people judge answers."""
    web = visit.settings.web
    user = visit.user
    return user is not None and user.way != "token" and web is not None and user.name in web.cardiologists


def raw_header(visit: Visit) -> Response:
    """What the sender wrote, without the samples. That somebody looks is in the audit trail first."""
    ecg_id = number_of(visit)
    received = visit.store.ecgs.payload(ecg_id)
    note_opened(visit, ecg_id)
    return visit.page("raw_header.html", ecg_id=ecg_id, received=received, lines=lines(received.content))


def result_page(visit: Visit) -> Response:
    """The page of the newest result as a PDF. It names the patient: that somebody takes it is in the audit first."""
    from ecgfm_clinical.operate.page import page_of

    story = visit.store.ecgs.story(number_of(visit))
    note_opened(visit, story.ecg.ecg_id)
    name = f'attachment; filename="ecg-{story.ecg.ecg_id}-result.pdf"'
    pdf = page_of(visit.settings, visit.store, story)
    return Response(pdf, media_type="application/pdf", headers={"Content-Disposition": name})


def _page(visit: Visit, story: "EcgStory", *, is_open: bool) -> Response:
    person = of_person(visit, story) if is_open else []
    return visit.page(
        "one_ecg.html",
        found=story_of(story, phi=is_open),
        is_open=is_open,
        has_signal=bool(story.ecg.ecg.signal.size),
        has_page=bool(story.ecg.ecg.signal.size) and bool(story.scorings) and have("page"),
        newest=story.scorings[-1] if story.scorings else None,
        scoring_id=visit.store.ecgs.scoring_of(story.ecg.ecg_id),
        opinions=visit.store.opinions.of(story.ecg.ecg_id),
        may_judge=is_cardiologist(visit),
        dead=set_aside(story),
        open_messages=list(_open_messages(story.messages, visit.say)) if is_open else [],
        band=band(story.ecg.ecg.filters, visit.say),
        answered=partial(codes.answered, say=visit.say),
        others=[one for one in person if one.ecg_id != story.ecg.ecg_id],
        trends=trends(person),
        before=before(story, person),
    )


def _open_messages(messages: "tuple[MessageStory, ...]", say: Say) -> Iterator[OpenMessage]:
    for one in messages:
        if one.body is not None:
            yield OpenMessage(
                control_id=one.control_id,
                destination=one.destination,
                lines=tuple(segments.lines_of(one.body, say)),
            )


def others(visit: Visit, story: "EcgStory") -> "list[EcgSummary]":
    """Further ECGs of the same person, merges followed, newest first."""
    return [one for one in of_person(visit, story) if one.ecg_id != story.ecg.ecg_id]


def of_person(visit: Visit, story: "EcgStory") -> "list[EcgSummary]":
    """The newest ECGs of the same person, this one among them where it is one of those; merges followed."""
    numbers = story.recording.patient.identifiers
    if not numbers:
        return []
    wanted = Wanted(patient=numbers[0])
    return visit.store.search.ecgs(wanted, limit=MOST_OTHERS, now=visit.now, actor=visit.actor)


def before(story: "EcgStory", person: "list[EcgSummary]") -> int | None:
    """The ECG of the same person that was recorded last before this one, in its newest version."""
    mine = {one.ecg_id for one in story.recording.versions}
    here = next((one for one in person if one.ecg_id == story.ecg.ecg_id), None)
    if here is None:
        return None
    at = here.acquired_at or here.received_at
    earlier = [one for one in person if one.ecg_id not in mine and (one.acquired_at or one.received_at) <= at]
    newest = max(earlier, key=lambda one: (one.acquired_at or one.received_at, one.ecg_id), default=None)
    return None if newest is None else newest.ecg_id
