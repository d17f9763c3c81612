"""Recordings that are held for a person, and the answer; beside them the ECGs whose scoring failed for good."""

from starlette.responses import Response

from ecgfm_clinical.errors import StoreError
from ecgfm_clinical.operate import decisions
from ecgfm_clinical.staging.holds import Hold
from ecgfm_clinical.web.asking import whole
from ecgfm_clinical.web.dead import told
from ecgfm_clinical.web.one_ecg import note_opened
from ecgfm_clinical.web.visit import Visit

PER_PAGE = 100


def show(visit: Visit) -> Response:
    """What waits, oldest first, page by page."""
    decided = visit.asked.text("decided") == "yes"
    after = visit.asked.number("after") or 0
    failed = visit.store.failed_ecgs.waiting()
    rest = [one for one in visit.store.results.holds(decided=decided) if one.hold_id > after]
    return visit.page(
        "held.html",
        found=[decisions.document_of(one, visit.store, phi=False) for one in rest[:PER_PAGE]],
        further=visit.asked.query(after=str(rest[PER_PAGE - 1].hold_id)) if len(rest) > PER_PAGE else "",
        decided=decided,
        failed=failed[:PER_PAGE],
        failed_in_all=len(failed),
    )


def one(visit: Visit) -> Response:
    """One question: what stands where, and what each answer would do."""
    return _question(visit, _asked(visit), is_open=False)


def opened(visit: Visit) -> Response:
    """The same with the names between which is to be decided; that somebody looks is noted first."""
    held = _asked(visit)
    note_opened(visit, held.ecg_id)
    return _question(visit, held, is_open=True)


def release(visit: Visit) -> Response:
    """Answer yes."""
    held, reason = _undecided(visit), visit.form.reason()
    done = visit.store.results.release(held.hold_id, patient=None, reason=reason, now=visit.now, actor=visit.actor)
    lines = [*told(visit, done), visit.say("The ECG is judged again where its answer is not plain yet.")]
    return visit.done(visit.say("Released"), lines, back="/held")


def reject(visit: Visit) -> Response:
    """Answer no."""
    held, reason = _undecided(visit), visit.form.reason()
    done = visit.store.results.reject(held.hold_id, reason=reason, now=visit.now, actor=visit.actor)
    return visit.done(visit.say("Rejected"), told(visit, done), back="/held")


def _question(visit: Visit, held: Hold, *, is_open: bool) -> Response:
    found = decisions.document_of(held, visit.store, phi=is_open)
    return visit.page(
        "held_one.html",
        found=found,
        is_open=is_open,
        released=decisions.what_follows(found, release=True, patient=None, say=visit.say),
        rejected=decisions.what_follows(found, release=False, patient=None, say=visit.say),
    )


def _asked(visit: Visit) -> Hold:
    return visit.store.results.hold(whole(visit.places["hold"], "question"))


def _undecided(visit: Visit) -> Hold:
    held = _asked(visit)
    if held.decision is not None:
        raise StoreError(f"question {held.hold_id} was decided already: {held.decision} by {held.decided_by}")
    return held
