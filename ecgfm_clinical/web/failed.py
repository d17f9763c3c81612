"""ECGs whose scoring failed for good: a person says that they stay without an answer, after a preview."""

from starlette.responses import Response

from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.staging.failed_ecgs import Settled
from ecgfm_clinical.web import undoing
from ecgfm_clinical.web.overtaken import overtaken
from ecgfm_clinical.web.undoables import LeftUnanswered
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_

MOST_AT_ONCE = 1000


def preview(visit: Visit) -> Response:
    """Whom it would be done to: one ECG, or all that wait; nothing happens yet."""
    ecg_id = visit.asked.number("ecg")
    waiting = visit.store.failed_ecgs.waiting()
    found = waiting[:MOST_AT_ONCE] if ecg_id is None else [one for one in waiting if one.ecg_id == ecg_id]
    return visit.page("failed_preview.html", found=found)


def settle(visit: Visit) -> Response:
    """They stay as they are, and need nobody any more."""
    chosen, reason = visit.form.numbers("ecg"), visit.form.reason()
    if not chosen:
        raise InputError(N_("no ECG was chosen"))
    if len(chosen) > MOST_AT_ONCE:
        raise InputError(f"{MOST_AT_ONCE} ECGs at a time, at most")
    settled: list[Settled] = []
    for ecg_id in chosen:
        try:
            settled.append(visit.store.failed_ecgs.settle(ecg_id, reason=reason, now=visit.now, actor=visit.actor))
        except NotFound:  # somebody was first, or it was scored since
            continue
    missed = set(chosen) - {one.ecg_id for one in settled}
    lines = [
        visit.say_many("%(count)d ECG needs nobody now.", "%(count)d ECGs need nobody now.", len(settled)),
        *overtaken(visit, missed, of=len(chosen), what="ecg"),
    ]
    return undoing.done(visit, visit.say("Settled"), lines, LeftUnanswered(settled=tuple(settled)), back="/held")
