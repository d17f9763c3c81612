"""Acts on one ECG, by the functions of the commands `replay`, `correct`, `withdraw` and `replay --dead`."""

from starlette.responses import Response

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.operate import correction
from ecgfm_clinical.operate.again import replay_ecg
from ecgfm_clinical.web import undoing
from ecgfm_clinical.web.dead import resent, told
from ecgfm_clinical.web.one_ecg import number_of, set_aside
from ecgfm_clinical.web.previews import refuse_if_overtaken
from ecgfm_clinical.web.undoables import Withdrawn
from ecgfm_clinical.web.visit import Visit


def replay(visit: Visit) -> Response:
    """Score the stored bytes again and compare; nothing in the store changes and nothing is sent."""
    ecg_id = number_of(visit)
    found = replay_ecg(visit.settings, visit.store, ecg_id)
    title = visit.say("Exactly the same again") if found.exact else visit.say("Not the same")
    compared = visit.say_many(
        "%(count)d score of model %(model)s compared.",
        "%(count)d scores of model %(model)s compared.",
        found.compared,
        model=found.model_id[:12],
    )
    lines = [compared, *found.differences, *found.remarks]
    return visit.done(title, lines, back=f"/ecgs/{ecg_id}")


def correct(visit: Visit) -> Response:
    """Judge it again and send its result as a correction (OBX-11 C)."""
    ecg_id = number_of(visit)
    reason = visit.form.reason()
    refuse_if_overtaken(visit, visit.store.ecgs.story(ecg_id))
    done = correction.correct(visit.store, ecg_id, patient=None, reason=reason, actor=visit.actor)
    lines = [*told(visit, done), visit.say("The ECG is judged again; its result then follows.")]
    return visit.done(visit.say("ECG %(number)d is corrected", number=ecg_id), lines, back=f"/ecgs/{ecg_id}")


def withdraw(visit: Visit) -> Response:
    """Take back its results at every destination (OBX-11 W)."""
    ecg_id = number_of(visit)
    reason = visit.form.reason()
    refuse_if_overtaken(visit, visit.store.ecgs.story(ecg_id))
    standing = visit.store.results.told(ecg_id=ecg_id)
    if not standing:
        raise NotFound(f"no result of ECG {ecg_id} stands")
    due_at = visit.now + visit.console.undoables.wait
    done = correction.withdraw(visit.store, standing, not_before=due_at, reason=reason, actor=visit.actor)
    one = Withdrawn(done=done, due_at=due_at, ecg_ids=(ecg_id,))
    title = visit.say("The results of ECG %(number)d are withdrawn", number=ecg_id)
    return undoing.done(visit, title, told(visit, done), one, back=f"/ecgs/{ecg_id}")


def send_again(visit: Visit) -> Response:
    """Its messages that are set aside go again."""
    ecg_id = number_of(visit)
    story = visit.store.ecgs.story(ecg_id)
    refuse_if_overtaken(visit, story)
    dead = set_aside(story)
    if not dead:
        raise NotFound(f"no message of ECG {ecg_id} is set aside")
    return resent(visit, dead, back=f"/ecgs/{ecg_id}")
