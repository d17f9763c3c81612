"""The answers of the newest scoring, how far each is from the other one, and how far the questions are where the model
looked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from ecgfm_clinical.operate.distances import distance
from ecgfm_clinical.staging.records import JobState, Score
from ecgfm_clinical.staging.saliencies import KeptSaliency
from ecgfm_clinical.wording import N_, Say, in_english

#: What the shading does not show.
WARNING = N_(
    "Yellow shows where this number depends on the signal (gradient × input, each 40 ms of each lead, scaled to the "
    "largest in this recording). It does not show why the number is high or low, it finds nothing, and what is not "
    "yellow is not thereby normal; noise can be yellow. The figure above a beat is its percent of the yellow, "
    "all leads together; large waves have more. Judge the ECG, not the shading."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One label of one head."""

    score: Score
    distance: str  #: how far it is from the other answer, in words
    looked: KeptSaliency | None  #: the question where the model looked, if somebody asked

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


def answers_of(
    scores: Iterable[Score], asked: Iterable[KeptSaliency], *, scoring_id: int | None, say: Say = in_english
) -> Answers:
    """Of the scores that count now, and what was asked about them, in the language of `say`."""
    questions = {(one.head, one.label): one for one in asked}
    scores = tuple(scores)
    return Answers(
        scoring_id=scoring_id,
        answers=tuple(
            Answer(score=one, distance=distance(one, say), looked=questions.get((one.head, one.label)))
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
