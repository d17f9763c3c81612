"""`--method auto`: how a head is trained is chosen by cross-validation inside the training patients, within a budget.

Ways are tried from the cheapest on; what would not be done within the budget of time, with the trainings that follow
the choice, is skipped, and both is told. Of those tried the cheapest is taken whose AUROC is within one standard error
of the best one's (Breiman et al. 1984): a costlier way has to show that it is worth its cost.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm import metrics
from ecgfm.errors import TrainingError
from ecgfm.finetuning.candidate import Model, Place, probabilities, segment_logits
from ecgfm.finetuning.dataset import Example
from ecgfm.finetuning.embedding import embed
from ecgfm.finetuning.settings import LOW_RANK, FineTuning
from ecgfm.finetuning.split import Split
from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.cohort.folds import dealt
from ecgfm_clinical.learning.cohort.members import Cohort
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.documents import read_document, write_document
from ecgfm_clinical.learning.selected import Selection, Tried
from ecgfm_clinical.learning.training import Progress, Training, quiet

Seconds = Callable[[], float]  #: a clock that only goes forwards
FOLDS = 3
LIVE, ADAPTED = "live encoder", "adapted encoder"
#: An update is timed from this one on: the first ones warm up.
TIMED_FROM = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to train a head."""

    name: str  #: for people
    training: Training = field(repr=False)
    encoder: str = LIVE


def ways(tuning: FineTuning, encoders: Sequence[str]) -> tuple[Way, ...]:
    """From the cheapest on; `tuning` says seed, device and precision."""
    own = {"seed": tuning.seed, "device": tuning.device, "precision": tuning.precision}
    full = replace(FineTuning(batch_size=64, max_epochs=10, patience=3), **own)  # type: ignore[arg-type]  # mypy: by name
    lora = replace(LOW_RANK, max_epochs=10, patience=3, **own)  # type: ignore[arg-type]
    recipes = (
        ("linear probe", Training()),
        ("low-rank, learning rate 3e-4", Training(method="lora", fine_tuning=replace(lora, learning_rate=3e-4))),
        ("low-rank, learning rate 1e-3", Training(method="lora", fine_tuning=lora)),
        ("full, learning rate 1e-5", Training(method="full", fine_tuning=replace(full, learning_rate=1e-5))),
        ("full, learning rate 1e-4", Training(method="full", fine_tuning=replace(full, learning_rate=1e-4))),
    )
    return tuple(
        Way(name=name, training=training, encoder=encoder) for name, training in recipes for encoder in encoders
    )


class _OverBudget(Exception):
    """The rest of this way would take longer than there is time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """What every way is tried on."""

    networks: dict[str, EcgFm] = field(repr=False)  #: by encoder
    spec: HeadSpec
    cohort: Cohort = field(repr=False)
    source: EcgSource = field(repr=False)
    place: Place
    folder: Path  #: of the run; the selection is kept here
    budget_seconds: float
    clock: Seconds
    after: int  #: trainings that follow the choice: the head's own and those that it is calibrated by
    progress: Progress = quiet

    def choose(self, offered: Sequence[Way]) -> tuple[Way, Selection]:
        """The way to go; read again where this run has chosen before it was killed.

        Raises LearningError where nothing could be tried within the budget, TrainingError.
        """
        kept = self.folder / "selection.json"
        if kept.exists():
            before = read_document(Selection, kept)
            return next(w for w in offered if (w.name, w.encoder) == (before.chosen, before.encoder)), before
        began = self.clock()
        tried: list[Tried] = []
        for way in offered:
            self.progress(f"choosing the method: {way.name}, {way.encoder}", len(tried), len(offered))
            tried.append(self._try(way, began))
        place, why = chosen(tried)
        way = offered[place]
        found = Selection(
            chosen=way.name, encoder=way.encoder, why=why, budget_seconds=self.budget_seconds, tried=tuple(tried)
        )
        write_document(kept, found)
        return way, found

    def _try(self, way: Way, began: float) -> Tried:
        started = self.clock()
        aurocs: list[float] = []
        try:
            if way.training.method == "linear":
                self._embed(way, began)
            trying = self.clock()
            for fold in range(FOLDS):
                self._affordable(began, trying, fold)
                aurocs.append(self._fold(way, fold, began))
        except _OverBudget as reason:
            spent = self.clock() - started
            return Tried(name=way.name, encoder=way.encoder, auroc=None, seconds=spent, skipped=str(reason))
        except TrainingError as error:
            spent = self.clock() - started
            return Tried(name=way.name, encoder=way.encoder, auroc=None, seconds=spent, skipped=str(error))
        return Tried(
            name=way.name,
            encoder=way.encoder,
            auroc=float(np.mean(aurocs)),
            folds=tuple(aurocs),
            seconds=self.clock() - started,
        )

    def _embed(self, way: Way, began: float) -> None:
        """Embed once what every fold, and the training that follows, looks at: it is no part of a fold's time."""
        started = self.clock()

        def watch(done: int, total: int) -> None:
            self.progress(f"choosing the method: {way.name}, embedding by the {way.encoder}", done, total)
            each = (self.clock() - started) / done
            self._refuse(each * (total - done), self.budget_seconds - (self.clock() - began))

        examples = [*self.cohort.examples("train"), *self.cohort.examples("validation")]
        read, place = Signals(source=self.source), self.place
        embed(self.networks[way.encoder], examples, read, cache=place.cache, device=place.device, progress=watch)

    def _affordable(self, began: float, trying: float, done: int) -> None:
        """Raises _OverBudget where the budget is spent, or too little of it is left for the rest of this way."""
        now = self.clock()
        left = self.budget_seconds - (now - began)
        each = (now - trying) / done if done else 0.0
        self._refuse(each * (FOLDS - done + self.after), left)

    def _refuse(self, needed: float, left: float) -> None:
        if left <= 0:
            raise _OverBudget("the budget was spent before it")
        if needed > left:
            raise _OverBudget(
                f"it would take about {needed / 60:.1f} minutes more, with the trainings that follow the choice; "
                f"{left / 60:.1f} minutes of the budget were left"
            )

    def _fold(self, way: Way, fold: int, began: float) -> float:
        """AUROC, mean over the labels, on the training patients of this fold; the others train, and validation patients
        choose penalty or epoch, as in the head's own training.
        """
        members = self.cohort.of("train")
        placed = dealt(members, FOLDS)
        split = Split(
            train=[member.example for member, own in zip(members, placed, strict=True) if own != fold],
            validation=self.cohort.examples("validation"),
        )
        held = [member.example for member, own in zip(members, placed, strict=True) if own == fold]
        folder, read = self.folder / "choosing", Signals(source=self.source)
        shutil.rmtree(folder, ignore_errors=True)  # of a way before, or of this one before a kill
        watch = self._watch(way, FOLDS - fold + self.after, began)
        try:
            trained = way.training.train(
                self.networks[way.encoder], self.spec, split, read, self.place, folder=folder, progress=watch
            )
            fitted = Model(network=trained.network, specs=trained.network.specs, origin=way.name)
            logits = segment_logits(fitted, self.spec.name, held, read, self.place)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return _macro_auroc(held, probabilities(fitted.spec(self.spec.name), logits))

    def _watch(self, way: Way, trainings: int, began: float) -> Progress:
        """Progress that ends a fine-tuning as soon as it can be seen that it will take too long."""
        times: dict[int, float] = {}

        def watch(what: str, done: int, total: int) -> None:
            self.progress(f"choosing the method: {way.name}, {what}", done, total)
            if way.training.method == "linear":
                return
            if self.clock() - began >= self.budget_seconds:
                raise _OverBudget("the budget was spent while it was tried")
            times.setdefault(done, self.clock())
            if done >= 2 * TIMED_FROM and TIMED_FROM in times:
                each = (self.clock() - times[TIMED_FROM]) / (done - TIMED_FROM)
                left = self.budget_seconds - (self.clock() - began)
                self._refuse(each * (total * trainings - done), left)

        return watch


def chosen(tried: Sequence[Tried]) -> tuple[int, str]:
    """Place of the way to go, and why. Raises LearningError where none was tried to its end."""
    whole = [(one, one.auroc) for one in tried if one.auroc is not None]
    if not whole:
        reasons = "; ".join(f"{one.name}: {one.skipped}" for one in tried)
        raise LearningError(f"no way to train was tried to its end ({reasons}); raise --budget, or name a --method")
    best, highest = max(whole, key=lambda one: one[1])
    one, auroc = next((one, own) for one, own in whole if highest - own <= _error(best, one))
    if one is best:
        return tried.index(one), (
            f"its mean AUROC of {highest:.3f} is the highest of {len(whole)} tried, and no cheaper way is within one "
            "standard error of it"
        )
    return tried.index(one), (
        f"its mean AUROC of {auroc:.3f} is within one standard error ({_error(best, one):.3f}) of the best, "
        f"{best.name} on the {best.encoder} with {highest:.3f}, and it is the cheapest of those"
    )


def _error(best: Tried, other: Tried) -> float:
    """Standard error of their mean difference over the folds."""
    differences = np.array(best.folds) - np.array(other.folds)
    return float(differences.std(ddof=1) / np.sqrt(len(differences)))


def _macro_auroc(examples: Sequence[Example], found: NDArray[np.float64]) -> float:
    truth = np.array([one.labels for one in examples])
    known = np.isfinite(truth)
    columns = [metrics.auroc(truth[own, c], found[own, c]) for c, own in enumerate(known.T)]
    return float(np.nanmean(columns))
