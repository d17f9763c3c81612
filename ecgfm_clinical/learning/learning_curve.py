"""How good a head would be with fewer ECGs, beside its cheap rivals, and how many more it needs: `learning-curve`.

Test patients are left alone. In each repeat a fifth of all other patients is held out; ten sizes are drawn from the
rest, each within the next, so that the curve of one repeat is one hospital filling up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgfm import metrics
from ecgfm.finetuning.candidate import Model, Place, random_model
from ecgfm.finetuning.embedding import Embedding, embed
from ecgfm.finetuning.linear import fit_probe
from ecgfm.finetuning.split import Split
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.cohort.folds import dealt
from ecgfm_clinical.learning.cohort.members import Cohort, Member
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.documents import Measured
from ecgfm_clinical.learning.judging.comparators import (
    AGE_SEX,
    FOREST,
    RANDOM_ENCODER,
    age_and_sex,
    forest,
    numbers,
)
from ecgfm_clinical.learning.judging.gate import demanded
from ecgfm_clinical.learning.power_law import Needed, needed
from ecgfm_clinical.learning.training import Progress, quiet
from ecgfm_clinical.rules import BEST, GateRules

Floats = NDArray[np.float64]
ECG_FM = "ECG-FM"
HELD_OUT, CHOOSES = 5, 5  #: one part in so many judges, and of the rest one in so many chooses the penalty
LEAST_POSITIVES = 10  #: of either kind in the smallest size


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One size."""

    ecgs: int  #: training ECGs, those that choose the penalty included
    auroc: Mapping[str, Measured]  #: of ECG-FM and each rival: mean over the repeats with the spread of 95 % of them


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """One label of one head."""

    head: str
    label: str
    repeats: int
    points: tuple[Point, ...]
    needed: Needed  #: ECGs with an outcome, all splits together, until the gate's rules on number and AUROC are met


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveMaker:
    """What every curve of one cohort shares."""

    head: str
    cohort: Cohort = field(repr=False)
    source: EcgSource = field(repr=False)
    model: Model
    place: Place
    gate: GateRules
    sizes: int = 10
    repeats: int = 5
    seed: int = 0
    progress: Progress = quiet

    def curves(self) -> tuple[LearningCurve, ...]:
        """One for each label. Raises LearningError where there are too few ECGs, TrainingError."""
        members = [*self.cohort.of("train"), *self.cohort.of("validation")]
        held = _Material.of(members, self.source, self.model, self.place)
        return tuple(self._curve(held, column) for column in range(len(self.cohort.labels)))

    def _curve(self, held: "_Material", column: int) -> LearningCurve:
        label = self.cohort.labels[column]
        known = [i for i, member in enumerate(held.members) if np.isfinite(member.example.labels[column])]
        truth = np.array([held.members[i].example.labels[column] for i in known])
        sizes = self._sizes(label, truth)
        found: dict[str, list[list[float]]] = {name: [] for name in (ECG_FM, AGE_SEX, RANDOM_ENCODER, FOREST)}
        for repeat in range(self.repeats):
            order, judged = self._drawn(held, known, column, repeat)
            rows = [held.scores(order[:size], judged, column) for size in sizes]
            for name, own in found.items():
                own.append([row[name] for row in rows])
            self.progress(f"learning curve of {label}", repeat + 1, self.repeats)
        aurocs = {name: np.array(own) for name, own in found.items()}
        return LearningCurve(
            head=self.head,
            label=label,
            repeats=self.repeats,
            points=tuple(
                Point(ecgs=size, auroc={name: _spread(own[:, place]) for name, own in aurocs.items()})
                for place, size in enumerate(sizes)
            ),
            needed=self._needed(label, truth, sizes, aurocs),
        )

    def _sizes(self, label: str, truth: Floats) -> list[int]:
        """From the fewest that hold enough of either kind to all that are not held out, evenly on a logarithm."""
        most = int(len(truth) * (1 - 1 / HELD_OUT))
        rarer = min(truth.mean(), 1 - truth.mean())
        fewest = int(np.ceil(LEAST_POSITIVES / rarer)) if rarer else most
        sizes = sorted({int(size) for size in np.geomspace(min(fewest, most), most, self.sizes)})
        if fewest >= most or len(sizes) < min(4, self.sizes):
            raise LearningError(
                f"{label}: {int(truth.sum())} positive of {len(truth)} ECGs that may be learnt from are too few for a "
                "learning curve; collect more outcomes, or widen the window"
            )
        return sizes

    def _drawn(self, held: "_Material", known: Sequence[int], column: int, repeat: int) -> tuple[list[int], list[int]]:
        """(ECGs to learn from in the order in which they are taken, ECGs to judge by) of one repeat; a patient's ECGs
        are on one side. Both kinds come evenly, so that every beginning of the order has its share.
        """
        stream = np.random.default_rng([self.seed, repeat])
        patients = sorted({held.members[i].example.patient for i in known})
        rank = dict(zip(patients, stream.permutation(len(patients)).tolist(), strict=True))
        one_label = [held.narrowed(i, column) for i in known]
        renamed = [
            replace(one, example=replace(one.example, patient=f"{rank[one.example.patient]:09d}")) for one in one_label
        ]  # dealt out in another order in each repeat
        part = dealt(renamed, HELD_OUT)
        judged = [i for i, own in zip(known, part, strict=True) if own == 0]
        pool = [i for i, own in zip(known, part, strict=True) if own != 0]
        pool.sort(key=lambda i: rank[held.members[i].example.patient])
        positive = [i for i in pool if held.members[i].example.labels[column] == 1]
        negative = [i for i in pool if held.members[i].example.labels[column] != 1]
        places = [((k + 0.5) / len(kind), i) for kind in (positive, negative) for k, i in enumerate(kind)]
        return [i for _, i in sorted(places)], judged

    def _needed(self, label: str, truth: Floats, sizes: Sequence[int], aurocs: Mapping[str, Floats]) -> Needed:
        test = self.cohort.of("test")
        column = self.cohort.labels.index(label)
        own = np.array([member.example.labels[column] for member in test])
        positives, negatives = int((own == 1).sum()), int((own == 0).sum())
        lack = max(self.gate.min_positives / max(positives, 0.5), self.gate.min_negatives / max(negatives, 0.5), 1.0)
        asked = demanded(self.gate)
        rivals = [name for name in aurocs if name != ECG_FM and (name in asked or BEST in asked)]
        now = sizes[-1]
        found = needed(
            sizes, aurocs[ECG_FM], [aurocs[name] for name in rivals], now=now, at_least=now * lack, seed=self.seed
        )
        share = (len(truth) + int(np.isfinite(own).sum())) / now  # of training ECGs there is one part, of all ECGs more
        if found.more is None or found.low is None or found.high is None:
            return found
        more, low, high = (int(np.ceil(value * share)) for value in (found.more, found.low, found.high))
        return Needed.of(more, low, high)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Material:
    """What is computed once of all ECGs that may be learnt from."""

    members: Sequence[Member]
    plain: Floats  #: (members, features) of the forest
    embeddings: Mapping[str, Sequence[Embedding]]  #: of ECG-FM and of an encoder with random weights

    @classmethod
    def of(cls, members: Sequence[Member], source: EcgSource, model: Model, place: Place) -> "_Material":
        examples, read = [member.example for member in members], Signals(source=source)
        networks = {ECG_FM: model.network, RANDOM_ENCODER: random_model(model).network}
        return cls(
            members=members,
            plain=numbers(members, source),
            embeddings={
                name: embed(network, examples, read, cache=place.cache, device=place.device, progress=place.progress)
                for name, network in networks.items()
            },
        )

    def scores(self, learnt: Sequence[int], judged: Sequence[int], column: int) -> dict[str, float]:
        """Name -> AUROC on the judged ECGs of what learnt from the others."""
        truth = np.array([self.members[i].example.labels[column] for i in judged])
        train, test = [self.members[i] for i in learnt], [self.members[i] for i in judged]
        known = np.array([self.members[i].example.labels[column] for i in learnt])
        found = {
            AGE_SEX: age_and_sex(train, test, column),
            FOREST: forest(self.plain[list(learnt)], known, self.plain[list(judged)]),
            **{name: self._probe(name, learnt, judged, column) for name in (ECG_FM, RANDOM_ENCODER)},
        }
        return {name: metrics.auroc(truth, own) for name, own in found.items()}

    def _probe(self, name: str, learnt: Sequence[int], judged: Sequence[int], column: int) -> Floats:
        part = dealt([self.narrowed(i, column) for i in learnt], CHOOSES)
        train = [i for i, own in zip(learnt, part, strict=True) if own]
        chooses = [i for i, own in zip(learnt, part, strict=True) if not own]
        rows = self.embeddings[name]
        split = Split(
            train=[self.narrowed(i, column).example for i in train],
            validation=[self.narrowed(i, column).example for i in chooses],
        )
        fitted = fit_probe(["label"], split, ([rows[i] for i in train], [rows[i] for i in chooses]))
        return fitted.probabilities([rows[i] for i in judged])[:, 0]

    def narrowed(self, index: int, column: int) -> Member:
        """The member with this label alone."""
        one = self.members[index]
        return replace(one, split="train", example=replace(one.example, labels=(one.example.labels[column],)))


def _spread(values: Floats) -> metrics.Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return metrics.Interval(value=float(values.mean()), low=float(low), high=float(high))
