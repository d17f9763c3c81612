"""One head on the cohort's test patients: candidate, live model and rivals side by side, then the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ecgfm.finetuning.candidate import Model, Place, probabilities, segment_logits
from ecgfm.heads import HeadSpec
from ecgfm.metrics import BOOTSTRAP_REPLICATES
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.cohort.members import Cohort, Member
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.judging.attributes import subgroups
from ecgfm_clinical.learning.judging.gate import refusals
from ecgfm_clinical.learning.judging.judgement import LabelJudgement
from ecgfm_clinical.learning.judging.label import TestSet, judge
from ecgfm_clinical.learning.judging.rivals import Contest, Rivals
from ecgfm_clinical.learning.training import Progress, quiet
from ecgfm_clinical.rules import GateRules

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How one head did, label by label, and what the gate says to it."""

    labels: Mapping[str, LabelJudgement] = field(repr=False)
    tests: Mapping[str, TestSet] = field(repr=False)  #: label -> what was judged
    refusals: tuple[str, ...]  #: empty where the candidate may be promoted, and where no gate was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What every judgement of one cohort shares."""

    cohort: Cohort
    source: EcgSource
    place: Place
    gate: GateRules | None = field(default_factory=GateRules)  #: None: none is asked
    rivals: Rivals | None = field(default_factory=Rivals)  #: None: the candidate is judged by itself
    progress: Progress = quiet
    replicates: int = BOOTSTRAP_REPLICATES
    seed: int = 0

    def compare(self, candidate: Model, champion: Model | None, head: str) -> Judgement:
        """On the cohort's labels, which are the head's, or some of them where there are no rivals.

        Raises LearningError where the test patients lack positives or negatives of one.
        """
        test = self.cohort.of("test")
        own = self.probabilities(candidate, head, test)
        spec = candidate.spec(head)
        live = None
        if champion is not None and any(one.name == head and one.labels == spec.labels for one in champion.specs):
            live = self.probabilities(champion, head, test)
        self._check(test)
        rivals = self._rivals(candidate, head)
        groups = subgroups(test, self.source)
        tests = {}
        for given, label in enumerate(self.cohort.labels):
            known = np.flatnonzero(np.isfinite([member.example.labels[given] for member in test]))
            at = partial(_column, column=spec.labels.index(label), rows=known)
            tests[label] = TestSet(
                labels=np.array([test[i].example.labels[given] for i in known]),
                probabilities=at(own),
                patients=[test[i].example.patient for i in known],
                keys=[test[i].example.key for i in known],
                threshold=spec.operating_points.get(label),
                thresholds=_at_their_sites(spec, label, [test[i] for i in known]),
                champion=None if live is None else at(live),
                baselines={name: at(scores) for name, scores in rivals.items()},
                subgroups={name: [values[i] for i in known] for name, values in groups.items()},
            )
        found = {label: judge(one, replicates=self.replicates, seed=self.seed) for label, one in tests.items()}
        gate = self.gate
        reasons = [why for label, own in found.items() for why in refusals(label, own, gate)] if gate else []
        return Judgement(labels=found, tests=tests, refusals=tuple(reasons))

    def _rivals(self, candidate: Model, head: str) -> Mapping[str, Floats]:
        """Name -> probabilities (test members, labels of the head)."""
        if self.rivals is None:
            return {}
        contest = Contest(
            rivals=self.rivals, cohort=self.cohort, source=self.source, place=self.place, progress=self.progress
        )
        return contest.scores(candidate, head)

    def _check(self, test: Sequence[Member]) -> None:
        """Both kinds of each label are there."""
        labels = np.array([member.example.labels for member in test]).reshape(len(test), len(self.cohort.labels))
        for label, own in zip(self.cohort.labels, labels.T, strict=True):
            known = own[np.isfinite(own)]
            if not 0 < known.sum() < len(known):
                raise LearningError(
                    f"{label}: {int(known.sum())} of {len(known)} test ECGs are positive, both kinds are needed to "
                    "judge it; collect more outcomes, or widen the window"
                )

    def probabilities(self, model: Model, head: str, members: Sequence[Member]) -> Floats:
        """(members, labels) of one model's head."""
        logits = segment_logits(
            model, head, [member.example for member in members], Signals(source=self.source), self.place
        )
        return probabilities(model.spec(head), logits)


def _at_their_sites(spec: HeadSpec, label: str, members: Sequence[Member]) -> Floats | None:
    """(n,) the threshold that each ECG meets at its site; None where no site has one of its own."""
    if not spec.site_operating_points or label not in spec.operating_points:
        return None
    return np.array([spec.operating_point(label, member.row.site) for member in members], dtype=np.float64)


def _column(values: Floats, *, column: int, rows: NDArray[np.intp]) -> Floats:
    return np.asarray(values[rows, column])
