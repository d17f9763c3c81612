"""One head on the cohort's test patients: candidate, live model and both baselines side by side, then the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ecgfm.finetuning.candidate import Model, Place, probabilities, random_model, segment_logits
from ecgfm.finetuning.split import Split
from ecgfm.heads import HeadSpec
from ecgfm.metrics import BOOTSTRAP_REPLICATES
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.cohort.members import Cohort, Member
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.judging.attributes import subgroups
from ecgfm_clinical.learning.judging.comparators import AGE_SEX, RANDOM_ENCODER, age_and_sex
from ecgfm_clinical.learning.judging.gate import refusals
from ecgfm_clinical.learning.judging.judgement import LabelJudgement
from ecgfm_clinical.learning.judging.label import TestSet, judge
from ecgfm_clinical.learning.training import probe
from ecgfm_clinical.rules import GateRules

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How one head did, label by label, and what the gate says to it."""

    labels: Mapping[str, LabelJudgement] = field(repr=False)
    tests: Mapping[str, TestSet] = field(repr=False)  #: label -> what was judged
    refusals: tuple[str, ...]  #: empty where the candidate may be promoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What every judgement of one cohort shares."""

    cohort: Cohort
    source: EcgSource
    place: Place
    gate: GateRules = field(default_factory=GateRules)
    replicates: int = BOOTSTRAP_REPLICATES
    seed: int = 0

    def compare(self, candidate: Model, champion: Model | None, head: str) -> Judgement:
        """Raises LearningError where the test patients lack positives or negatives of every label."""
        test = self.cohort.of("test")
        own = self.probabilities(candidate, head, test)
        spec = candidate.spec(head)
        live = None
        if champion is not None and any(one.name == head and one.labels == spec.labels for one in champion.specs):
            live = self.probabilities(champion, head, test)
        floor = self.random_encoder(candidate, head)
        groups = subgroups(test, self.source)
        tests = {}
        for column, label in enumerate(spec.labels):
            known = np.flatnonzero(np.isfinite([member.example.labels[column] for member in test]))
            at = partial(_column, column=column, rows=known)
            tests[label] = self._with_age_and_sex(
                [test[i] for i in known],
                column,
                TestSet(
                    labels=np.array([test[i].example.labels[column] for i in known]),
                    probabilities=at(own),
                    patients=[test[i].example.patient for i in known],
                    keys=[test[i].example.key for i in known],
                    threshold=spec.operating_points.get(label),
                    thresholds=_at_their_sites(spec, label, [test[i] for i in known]),
                    champion=None if live is None else at(live),
                    baselines={RANDOM_ENCODER: at(floor)},
                    subgroups={name: [values[i] for i in known] for name, values in groups.items()},
                ),
            )
        found = {label: judge(one, replicates=self.replicates, seed=self.seed) for label, one in tests.items()}
        reasons = [reason for label, judged in found.items() for reason in refusals(label, judged, self.gate)]
        return Judgement(labels=found, tests=tests, refusals=tuple(reasons))

    def _with_age_and_sex(self, members: Sequence[Member], column: int, test: TestSet) -> TestSet:
        if not 0 < test.labels.sum() < len(test.labels):
            raise LearningError(
                f"{self.cohort.labels[column]}: {int(test.labels.sum())} of {len(test.labels)} test ECGs are positive, "
                "both kinds are needed to judge it; collect more outcomes, or widen the window"
            )
        baselines = {AGE_SEX: age_and_sex(self.cohort.of("train"), members, column), **test.baselines}
        return replace(test, baselines=baselines)

    def probabilities(self, model: Model, head: str, members: Sequence[Member]) -> Floats:
        """(members, labels) of one model's head."""
        logits = segment_logits(
            model, head, [member.example for member in members], Signals(source=self.source), self.place
        )
        return probabilities(model.spec(head), logits)

    def random_encoder(self, like: Model, head: str) -> Floats:
        """(test members, labels) by a linear probe on an encoder of the same sizes that has learnt nothing."""
        untrained = random_model(like)
        split = Split(train=self.cohort.examples("train"), validation=self.cohort.examples("validation"))
        read = Signals(source=self.source)
        trained = probe(untrained.network, like.spec(head), split, read, self.place)
        fitted = Model(network=trained.network, specs=trained.network.specs, origin=RANDOM_ENCODER)
        logits = segment_logits(fitted, head, self.cohort.examples("test"), read, self.place)
        return probabilities(replace(fitted.spec(head), calibration=None), logits)


def _at_their_sites(spec: HeadSpec, label: str, members: Sequence[Member]) -> Floats | None:
    """(n,) the threshold that each ECG meets at its site; None where no site has one of its own."""
    if not spec.site_operating_points or label not in spec.operating_points:
        return None
    return np.array([spec.threshold(label, member.row.site) for member in members], dtype=np.float64)


def _column(values: Floats, *, column: int, rows: NDArray[np.intp]) -> Floats:
    return np.asarray(values[rows, column])
