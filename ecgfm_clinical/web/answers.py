"""The answers of the newest scoring, how far each is from the other one, and where the model looked.

Where it looked is computed by the score role for whoever asks; until then the page says how far it is.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.operate.distances import distance
from ecgfm_clinical.staging.records import JobState
from ecgfm_clinical.web.asking import Asked
from ecgfm_clinical.web.drawings import Wish
from ecgfm_clinical.web.one_ecg import number_of

if TYPE_CHECKING:
    from ecgfm_clinical.staging.records import Score
    from ecgfm_clinical.staging.saliencies import KeptSaliency
    from ecgfm_clinical.staging.story_records import EcgStory
    from ecgfm_clinical.web.visit import Visit

#: What the shading does not show.
WARNING = (
    "Yellow shows where this number depends on the signal (gradient × input, each 40 ms of each lead, scaled to the "
    "largest in this recording). It does not show why the number is high or low, it finds nothing, and what is not "
    "yellow is not thereby normal; noise can be yellow. Judge the ECG, not the shading."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One label of one head."""

    score: "Score"
    distance: str  #: how far it is from the other answer, in words
    looked: "KeptSaliency | None"  #: the question where the model looked, if somebody asked

    @property
    def waits(self) -> bool:
        return self.looked is not None and self.looked.state in (JobState.WAITING, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """Labels of one head that are not evaluable, all for the same reasons."""

    head: str
    labels: tuple[str, ...]
    reasons: tuple[tuple[str, str], ...]  #: code and sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Those that count now."""

    scoring_id: int | None  #: None where there is none yet
    answers: tuple[Answer, ...]  #: with a probability
    silent: tuple[Silent, ...]
    warning: str = WARNING

    @property
    def waits(self) -> bool:
        """Whether something that was asked is under way."""
        return any(one.waits for one in self.answers)


def answers_of(visit: "Visit", story: "EcgStory") -> Answers:
    asked = {(one.head, one.label): one for one in visit.store.saliencies.of(story.ecg.ecg_id)}
    scores = story.scorings[-1].scores if story.scorings else ()
    return Answers(
        scoring_id=visit.store.ecgs.scoring_of(story.ecg.ecg_id),
        answers=tuple(
            Answer(score=one, distance=distance(one), looked=asked.get((one.head, one.label)))
            for one in scores
            if one.probability is not None
        ),
        silent=tuple(
            Silent(head=head, labels=tuple(one.label for one in alike), reasons=reasons)
            for (head, reasons), alike in groupby(
                (one for one in scores if one.probability is None), key=lambda one: (one.head, one.reasons)
            )
        ),
    )


def show(visit: "Visit") -> Response:
    """The answers alone, as the page asks for them again while something is under way. They identify nobody."""
    story = visit.store.ecgs.story(number_of(visit))
    return visit.page(
        "answers.html",
        story=story,
        wish=Wish.of(visit.asked),
        newest=story.scorings[-1] if story.scorings else None,
        answers=answers_of(visit, story),
    )


def ask(visit: "Visit") -> Response:
    """Ask where the model looked for one label; the viewer then says how far that is."""
    ecg_id, form = number_of(visit), visit.form
    visit.store.saliencies.ask(
        ecg_id,
        head=form.text("head"),
        label=form.text("label"),
        scoring_id=form.number("scoring"),
        now=visit.now,
        actor=visit.actor,
    )
    view = Wish.of(Asked.of(form.text("view"))).query()
    return RedirectResponse(f"/ecgs/{ecg_id}/viewer?{view}#answers", 303)
