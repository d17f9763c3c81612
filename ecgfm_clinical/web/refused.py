"""Payloads that were kept and not taken: refused and unreadable ones, with the acts on all that a filter names."""

from typing import TYPE_CHECKING

from starlette.responses import Response

from ecgfm_clinical import wiring
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.operate.again import read_again
from ecgfm_clinical.web import undoing
from ecgfm_clinical.web.overtaken import overtaken
from ecgfm_clinical.web.undoables import LookedAt, ReadAgain
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_

if TYPE_CHECKING:
    from ecgfm_clinical.staging.kept import KeptPayload

PER_PAGE = 100
MOST_AT_ONCE = 1000


def show(visit: Visit) -> Response:
    """Newest first, page by page."""
    found = _matching(visit, PER_PAGE + 1, before=visit.asked.number("before"))
    further = visit.asked.query(before=str(found[PER_PAGE - 1].payload_id)) if len(found) > PER_PAGE else ""
    return visit.page(
        "refused.html",
        found=found[:PER_PAGE],
        further=further,
        codes=sorted(visit.store.questions.refusals()),
        sources=wiring.source_names(visit.settings),
    )


def preview(visit: Visit) -> Response:
    """What an act would be done to; nothing happens yet."""
    act = visit.asked.text("act")
    if act not in ("read-again", "seen"):
        raise InputError("there are the acts read-again and seen")
    found = _matching(visit, MOST_AT_ONCE, before=None)
    if act == "seen":
        found = [one for one in found if one.needs_a_person]
    return visit.page("refused_preview.html", act=act, found=found)


def again(visit: Visit) -> Response:
    """Read the previewed payloads again: what today's readers can read is staged, and scored after a while in which it
    can be undone.
    """
    chosen = frozenset(_chosen(visit))
    before = [one for one in (visit.store.payloads.one(payload_id) for payload_id in chosen) if one.is_set_aside]
    due_at = visit.now + visit.console.undoables.wait
    found = read_again(visit.settings, visit.store, payload_ids=chosen, not_before=due_at, actor=visit.actor)
    missed = chosen - {one.payload_id for one in before}
    lines = [f"{number} × {visit.say(disposition)}" for disposition, number in found.counts.items()]
    lines += overtaken(visit, missed, of=len(chosen), what="payload")
    undoable = ReadAgain(payloads=tuple(one for one in before if one.payload_id in found.new_ecgs), due_at=due_at)
    return undoing.done(visit, visit.say("Read again"), lines, undoable, back="/refused")


def seen(visit: Visit) -> Response:
    """A person has looked at them: they stay as they are, and need nobody any more."""
    chosen, reason = _chosen(visit), visit.form.reason()
    asked = [payload_id for payload_id in chosen if visit.store.payloads.one(payload_id).needs_a_person]
    for payload_id in asked:
        visit.store.questions.payload_seen(payload_id, reason=reason, now=visit.now, actor=visit.actor)
    lines = [
        visit.say_many("%(count)d payload needs nobody now.", "%(count)d payloads need nobody now.", len(asked)),
        *overtaken(visit, set(chosen) - set(asked), of=len(chosen), what="payload"),
    ]
    return undoing.done(visit, visit.say("Seen"), lines, LookedAt(payload_ids=tuple(asked)), back="/refused")


def _chosen(visit: Visit) -> tuple[int, ...]:
    chosen = visit.form.numbers("payload")
    if not chosen:
        raise InputError(N_("no payload was chosen"))
    if len(chosen) > MOST_AT_ONCE:
        raise InputError(f"{MOST_AT_ONCE} payloads at a time, at most")
    return chosen


def _matching(visit: Visit, limit: int, *, before: int | None) -> "list[KeptPayload]":
    asked = visit.asked
    return visit.store.payloads.set_aside(
        code=asked.text("code"),
        source=asked.text("source"),
        since=asked.time("since", visit.console.zone),
        before=before,
        limit=limit,
    )
