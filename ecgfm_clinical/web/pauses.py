"""What is paused, what can be, and the acts: a source, a destination, the scoring of a head, or everything."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.operate import pausing
from ecgfm_clinical.web.lines import PartLine
from ecgfm_clinical.web.visit import Visit

if TYPE_CHECKING:
    from ecgfm_clinical.staging.pauses import Part

SHOWN = 30  #: pauses that are over


def show(visit: Visit) -> Response:
    """Every part with its state, and the pauses that are over."""
    past = [one for one in visit.store.pauses.newest(limit=SHOWN) if one.resumed_at is not None]
    return visit.page("pauses.html", found=list(_lines(visit)), past=past)


def pause(visit: Visit) -> Response:
    """Pause the part; who comes second is told what the first did."""
    visit.store.pauses.pause(_part(visit), reason=visit.form.reason(), now=visit.now, actor=visit.actor)
    return RedirectResponse("/pauses", 303)


def resume(visit: Visit) -> Response:
    """Let the part go on; a pause that began after the page was made is left in force."""
    visit.store.pauses.resume(
        _part(visit), reason=visit.form.reason(), pause_id=visit.form.number("pause"), now=visit.now, actor=visit.actor
    )
    return RedirectResponse("/pauses", 303)


def _part(visit: Visit) -> "Part":
    return pausing.part_of(visit.settings, visit.store, visit.form.text("kind"), visit.form.text("name"))


def _lines(visit: Visit) -> "Iterator[PartLine]":
    store = visit.store
    in_force = {one.part: one for one in store.pauses.current()}
    backlog, owed = store.questions.backlog(), store.pauses.owed()
    known = pausing.parts(visit.settings, store)
    for part in (*known, *(one for one in in_force if one not in known)):
        waits = ""
        if part.kind == "everything":
            waits = visit.say_many(
                "%(count)d ECG for its score", "%(count)d ECGs for their score", backlog.jobs_waiting
            )
        elif part.kind == "destination" and part.name in backlog.destinations:
            waits = visit.say_many("%(count)d message", "%(count)d messages", backlog.destinations[part.name].waiting)
        elif part.kind == "head" and part.name in owed:
            waits = visit.say_many("%(count)d ECG for this answer", "%(count)d ECGs for this answer", owed[part.name])
        yield PartLine(part=part, pause=in_force.get(part), follows=pausing.follows(part, visit.say), waits=waits)
