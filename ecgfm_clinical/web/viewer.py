"""The ECG viewer: one recording on millimetre paper as a person asks for it, alone or beside an earlier one.

With it stands what is known of the recording. That somebody looks is in the audit trail before anything is shown.
"""

from typing import TYPE_CHECKING

from starlette.responses import Response

from ecgfm_clinical.ecg.layouts import GAINS, LAYOUTS, SPEEDS, LayoutName
from ecgfm_clinical.ecg.remarks import remarks
from ecgfm_clinical.ecg.sheet import seconds_on
from ecgfm_clinical.extras import have
from ecgfm_clinical.operate.changes import changes
from ecgfm_clinical.operate.differences import differences
from ecgfm_clinical.operate.story import shown_document
from ecgfm_clinical.web.answers import answers_now
from ecgfm_clinical.web.drawings import looked_at, same_person, story_of
from ecgfm_clinical.web.one_ecg import before, note_opened, of_person
from ecgfm_clinical.web.wishes import Wish
from ecgfm_clinical.wording import N_
from ecgfm_connectors.ecg import LEADS

if TYPE_CHECKING:
    from ecgfm_clinical.ecg.evaluability import Reason
    from ecgfm_clinical.ecg.reckoning import Reckoned
    from ecgfm_clinical.operate.changes import Change
    from ecgfm_clinical.staging.story_records import EcgStory
    from ecgfm_clinical.web.visit import Visit
    from ecgfm_connectors.ecg import Ecg

#: Names of layouts for people.
WORDS: dict[LayoutName, str] = {
    "3x4": N_("3 × 4 and rhythm"),
    "6x2": "6 × 2",
    "12x1": "12 × 1",
    "cabrera": N_("4 × 3, Cabrera"),
}


def show(visit: "Visit") -> Response:
    """The page around the drawing."""
    story, wish = story_of(visit), Wish.of(visit.asked)
    note_opened(visit, story.ecg.ecg_id)
    one = story.ecg.ecg
    person = of_person(visit, story)
    others = [each for each in person if each.ecg_id != story.ecg.ecg_id]
    compared = same_person(wish, others)
    seconds = seconds_on(wish.view)
    figures = _reckoned(one)
    return visit.page(
        "viewer.html",
        story=story,
        ecg=one,
        wish=wish,
        words=WORDS,
        layouts=LAYOUTS,
        speeds=SPEEDS,
        gains=GAINS,
        leads=LEADS,
        remarks=remarks(one, visit.say),
        reckoned=figures,
        quality=_quality(one),
        differences=differences(one, story.scorings[-1].scores) if story.scorings else (),
        newest=story.scorings[-1] if story.scorings else None,
        answers=answers_now(visit, story),
        looked=looked_at(visit, story.ecg, wish),
        others=others,
        compared=compared,
        previous=before(story, person),
        since=None if compared is None else _since(visit, compared, story, figures),
        earlier=f"{max(0.0, wish.view.start - seconds):g}" if wish.view.start else None,
        later=f"{wish.view.start + seconds:g}" if one.duration > wish.view.start + seconds + 0.05 else None,
        can_draw_files=have("score"),
        documents=[shown_document(each, phi=True) for each in story.documents],
        is_open=True,
    )


def _since(visit: "Visit", number: int, story: "EcgStory", figures: "Reckoned | None") -> "tuple[Change, ...]":
    """What is different from another ECG of this person. That it is looked at is in the audit trail first."""
    note_opened(visit, number)
    other = visit.store.ecgs.story(number)
    return changes(other, story, reckoned_before=_reckoned(other.ecg.ecg), reckoned_here=figures, say=visit.say)


def _reckoned(one: "Ecg") -> "Reckoned | None":
    """None where the signal is gone, or the extra `score` is not installed."""
    if not have("score") or not one.signal.size:
        return None
    from ecgfm_clinical.ecg.reckoning import reckoned

    return reckoned(one)


def _quality(one: "Ecg") -> "tuple[Reason, ...] | None":
    """What is wrong with the signal; None where the extra `score` is not installed."""
    if not have("score"):
        return None
    from ecgfm_clinical.ecg.evaluability import signal_reasons

    return signal_reasons(one)
