"""Patient-level cross-validation on a research archive:
out-of-fold AUROC per label, beside age+sex and a random forest.

The training code is `retrain`'s own. The same archive gives the same folds (`learning.cohort.folds`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm import metrics
from ecgfm.finetuning.candidate import Model, Place, probabilities, segment_logits
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.trained import Trained
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.cohort.folds import dealt
from ecgfm_clinical.learning.cohort.members import Cohort, Flow, Member
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.documents import Measured
from ecgfm_clinical.learning.judging.comparators import AGE_SEX, FOREST, age_and_sex, forest, numbers
from ecgfm_clinical.learning.predictions import Predicted, write_predictions
from ecgfm_clinical.learning.training import Training, head_spec

Floats = NDArray[np.float64]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelAcrossFolds:
    """One label over all folds together."""

    positives: int
    auroc: Mapping[str, Measured]  #: of the model and of each baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidated:
    """What came out."""

    ecgs: int
    patients: int
    labels: Mapping[str, LabelAcrossFolds]
    macro_auroc: Mapping[str, float]  #: mean over the labels
    cohort: Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """What is validated, and how."""

    cohort: Cohort
    source: EcgSource = field(repr=False)
    model: Model = field(repr=False)
    place: Place
    training: Training = field(default_factory=Training)
    folds: int = 5
    runs: Path = field(default=Path("runs"))
    replicates: int = 1000

    def run(self, tell: Tell) -> CrossValidated:
        """Per label: AUROC with its interval, of the model and of the baselines;
        raises LearningError, TrainingError.
        """
        members = self.cohort.members
        if self.folds < 3:
            raise LearningError("cross-validation takes at least 3 folds: of each, one chooses and one judges")
        folds = self._dealt()
        own = np.full((len(members), len(self.cohort.labels)), np.nan)
        baselines = {AGE_SEX: own.copy(), FOREST: own.copy()}
        plain = numbers(members, self.source)
        for fold in range(self.folds):
            test = np.flatnonzero(folds == fold)
            rest = np.flatnonzero(folds != fold)
            own[test] = self._fold(fold, [members[i] for i in rest], [members[i] for i in test], folds[rest])
            self._baselines(baselines, members, plain, rest, test)
            tell(f"fold {fold + 1} of {self.folds} done")
        scores = {"model": own, **baselines}
        write_predictions(self.runs / "predictions.csv", self._predicted(members, scores))
        return self._table(members, scores)

    def _dealt(self) -> NDArray[np.int_]:
        """The fold of each member. Raises LearningError where one of them lacks a kind of a label."""
        members = [replace(member, split="train") for member in self.cohort.members]  # splits mean nothing here
        folds = dealt(members, self.folds)
        if len(set(folds)) < self.folds:
            raise LearningError(f"too few patients for {self.folds} folds; ask for fewer with --folds")
        labels = np.array([member.example.labels for member in members])
        for column, label in enumerate(self.cohort.labels):
            own = [labels[folds == fold, column] for fold in range(self.folds)]
            if not all((one == 1).any() and (one == 0).any() for one in own):
                yes, no = int((labels[:, column] == 1).sum()), int((labels[:, column] == 0).sum())
                raise LearningError(
                    f"{label}: {yes} ECGs are positive and {no} negative, too few for each of {self.folds} folds to "
                    f"have both; {'ask for fewer with --folds, or ' if self.folds > 3 else ''}leave this label out"
                )
        return folds

    def _predicted(self, members: Sequence[Member], scores: Mapping[str, Floats]) -> Iterator[Predicted]:
        """Each recording by the fold that did not train on it."""
        for column, label in enumerate(self.cohort.labels):
            truth = np.array([member.example.labels[column] for member in members])
            known = np.flatnonzero(np.isfinite(truth))
            yield Predicted(
                label=label,
                keys=[members[i].example.key for i in known.tolist()],
                patients=[members[i].example.patient for i in known.tolist()],
                truth=truth[known],
                scores={name: own[known, column] for name, own in scores.items()},
            )

    def _fold(self, fold: int, rest: Sequence[Member], test: Sequence[Member], folds: NDArray[np.int_]) -> Floats:
        """Train on the other folds, of which the next one chooses, and predict this one: (test, labels)."""
        chooses = (fold + 1) % self.folds
        split = Split(
            train=[member.example for member, own in zip(rest, folds, strict=True) if own != chooses],
            validation=[member.example for member, own in zip(rest, folds, strict=True) if own == chooses],
        )
        trained = self._train(fold, split)
        fitted = Model(network=trained.network, specs=trained.network.specs, origin="fold")
        examples = [member.example for member in test]
        read = Signals(source=self.source)
        logits = segment_logits(fitted, "validated", examples, read, self.place)
        return probabilities(replace(fitted.spec("validated"), calibration=None), logits)

    def _train(self, fold: int, split: Split) -> Trained:
        return self.training.train(
            self.model.network,
            head_spec("validated", self.cohort.labels, "As labelled in the archive."),
            split,
            Signals(source=self.source),
            self.place,
            folder=self.runs / f"fold-{fold + 1}",
        )

    def _baselines(
        self,
        found: Mapping[str, Floats],
        members: Sequence[Member],
        plain: Floats,
        rest: NDArray[np.intp],
        test: NDArray[np.intp],
    ) -> None:
        train, held = [members[i] for i in rest], [members[i] for i in test]
        for column in range(len(self.cohort.labels)):
            found[AGE_SEX][test, column] = age_and_sex(train, held, column)
            truth = np.array([member.example.labels[column] for member in train])
            found[FOREST][test, column] = forest(plain[rest], truth, plain[test])

    def _table(self, members: Sequence[Member], scores: Mapping[str, Floats]) -> CrossValidated:
        labels = np.array([member.example.labels for member in members])
        found = {}
        for column, label in enumerate(self.cohort.labels):
            known = np.isfinite(labels[:, column])
            truth = labels[known, column]
            patients = [member.example.patient for member, is_known in zip(members, known, strict=True) if is_known]
            statistics = {name: partial(_auroc, truth, own[known, column]) for name, own in scores.items()}
            found[label] = LabelAcrossFolds(
                positives=int(truth.sum()),
                auroc=metrics.bootstrap(statistics, patients, replicates=self.replicates),
            )
        return CrossValidated(
            ecgs=len(members),
            patients=len({m.example.patient for m in members}),
            labels=found,
            macro_auroc={name: float(np.mean([own.auroc[name].value for own in found.values()])) for name in scores},
            cohort=self.cohort.flow,
        )


def _auroc(truth: Floats, scores: Floats, weights: Floats) -> float:
    return metrics.auroc(truth, scores, weights)
