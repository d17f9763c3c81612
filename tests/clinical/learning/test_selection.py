"""How a method is chosen: inside the training patients, the cheapest that is as good as any, within the budget."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ecgfm.finetuning.candidate import Model
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.trained import Trained
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.models import read_bundle
from ecgfm_clinical.learning.provenance import head_records
from ecgfm_clinical.learning.report.card import card
from ecgfm_clinical.learning.selected import Tried, selection_of
from ecgfm_clinical.learning.selection import LIVE, Chooser, Way, chosen, ways
from ecgfm_clinical.learning.training import Training, head_spec
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_connectors.ecg import Ecg
from tests.helpers.fakes import Clock

pytestmark = [pytest.mark.slow(10), pytest.mark.usefixtures("quick_judging", "without_pictures")]


class Stopwatch:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Slow:
    """Stands for a fine-tuning: takes so many seconds an update, and ends as a linear probe does."""

    watch: Stopwatch
    seconds: float
    seen: list[Split]
    updates: int = 20
    method: str = "full"

    def train(self, network: Any, spec: Any, split: Split, read: Any, place: Any, **how: Any) -> Trained:
        self.seen.append(split)
        for done in range(1, self.updates + 1):
            self.watch.now += self.seconds
            how["progress"]("update", done, self.updates)
        return Training().train(network, spec, split, read, place, folder=Path())


def chooser(workshop: Workshop, watch: Stopwatch, folder: Path, budget: float) -> Chooser:
    experiment = workshop.experiment("reduced_lvef")
    cohort, source = experiment.cohort(workshop.clock())
    return Chooser(
        networks={LIVE: Model.of(read_bundle(workshop.settings.folder / "base")).network},
        spec=head_spec("reduced_lvef", cohort.labels, "x."),
        cohort=cohort,
        source=source,
        place=experiment.place,
        folder=folder,
        budget_seconds=budget,
        clock=watch,
        after=6,
    )


def test_ways_are_tried_inside_the_training_patients_and_what_takes_too_long_is_skipped_and_said(
    workshop: Workshop, tmp_path: Path
) -> None:
    watch, seen = Stopwatch(), []  # type: ignore[var-annotated]
    fits, too_long = Slow(watch, 0.5, seen), Slow(watch, 5.0, seen)
    offered = [
        Way(name="probe", training=Training()),
        Way(name="fits", training=fits),  # type: ignore[arg-type]
        Way(name="too long", training=too_long),  # type: ignore[arg-type]
        Way(name="fits too", training=fits),  # type: ignore[arg-type]
    ]
    own = chooser(workshop, watch, tmp_path, budget=200)
    way, found = own.choose(offered)
    assert way.name == "probe", "all that were tried are the same probe: the cheapest is taken"
    assert "within one standard error" in found.why or "highest" in found.why
    probe, first, long, last = found.tried
    assert probe.auroc == first.auroc == last.auroc
    assert long.auroc is None
    assert "it would take about" in long.skipped
    assert long.seconds < 60, "it is left as soon as that can be seen"
    train = {member.example.patient for member in own.cohort.of("train")}
    validation = {member.example.patient for member in own.cohort.of("validation")}
    for split in seen:
        assert {one.patient for one in split.train} < train
        assert {one.patient for one in split.validation} == validation
    before = len(seen)
    assert own.choose(offered) == (way, found), "a killed run does not choose again"
    assert len(seen) == before


def test_embeddings_that_are_computed_once_are_no_part_of_each_fold(workshop: Workshop, tmp_path: Path) -> None:
    watch = Stopwatch()
    own = chooser(workshop, watch, tmp_path, budget=400)
    original = own.source

    @dataclass(frozen=True)
    class SlowSource:
        """Takes a second for each ECG."""

        def ecg(self, key: str) -> Ecg:
            watch.now += 1.0
            return original.ecg(key)

    slow: Any = SlowSource()
    own = replace(own, source=slow, place=replace(own.place, cache=tmp_path / "embeddings"))
    _, found = own.choose([Way(name="probe", training=Training())])
    (probe,) = found.tried
    assert not probe.skipped
    learnt_from = len(own.cohort.of("train")) + len(own.cohort.of("validation"))
    assert probe.seconds == learnt_from, "each ECG was read once, test patients' not at all"


def test_a_spent_budget_tries_nothing_more_and_nothing_at_all_is_an_error(workshop: Workshop, tmp_path: Path) -> None:
    watch = Stopwatch()
    slow = Way(name="slow", training=Slow(watch, 100.0, []))  # type: ignore[arg-type]
    with pytest.raises(LearningError, match="raise --budget, or name a --method"):
        chooser(workshop, watch, tmp_path, budget=50).choose([slow, slow])


def test_a_way_ends_with_the_budget_although_few_updates_tell_how_long_it_takes(
    workshop: Workshop, tmp_path: Path
) -> None:
    watch = Stopwatch()
    slow = Way(name="slow", training=Slow(watch, 100.0, []))  # type: ignore[arg-type]
    _, found = chooser(workshop, watch, tmp_path, budget=150).choose([Way(name="probe", training=Training()), slow])
    assert found.tried[1].skipped == "the budget was spent while it was tried"
    assert found.tried[1].seconds == 200.0


def tried(name: str, *folds: float) -> Tried:
    auroc = sum(folds) / len(folds) if folds else None
    return Tried(name=name, encoder=LIVE, auroc=auroc, folds=folds, seconds=1.0, skipped="" if folds else "too long")


@pytest.mark.parametrize(
    ("found", "place", "words"),
    [
        ([tried("a", 0.80, 0.81, 0.79), tried("b", 0.82, 0.78, 0.83)], 0, "within one standard error"),
        ([tried("a", 0.80, 0.81, 0.79), tried("b", 0.90, 0.91, 0.90)], 1, "the highest of 2 tried"),
        ([tried("a"), tried("b", 0.70, 0.71, 0.72)], 1, "the highest of 1 tried"),
        ([tried("a", 0.90, 0.91, 0.90), tried("b", 0.80, 0.81, 0.79)], 0, "the highest of 2 tried"),
    ],
)
def test_a_costlier_way_must_be_worth_it(found: list[Tried], place: int, words: str) -> None:
    where, why = chosen(found)
    assert where == place
    assert words in why


def test_the_ways_go_from_cheap_to_costly_with_the_seed_that_was_asked_for() -> None:
    offered = ways(replace(Training().fine_tuning, seed=7, device="cpu"), ["adapted encoder", LIVE])
    assert [way.training.method for way in offered] == ["linear"] * 2 + ["lora"] * 4 + ["full"] * 4
    assert {way.training.fine_tuning.seed for way in offered[2:]} == {7}
    assert len({(way.name, way.encoder) for way in offered}) == len(offered)


def test_retrain_chooses_and_says_what_it_tried(workshop: Workshop) -> None:
    ticks = count()
    hurried: Callable[[], float] = lambda: 10.0 * next(ticks)  # every look at the clock takes ten seconds
    done = replace(workshop, seconds=hurried).retrain("reduced_lvef", method="auto", replicates=20, budget_seconds=400)
    assert done is not None
    record = head_records(done.bundle)["reduced_lvef"].trained
    assert record is not None
    selection = selection_of(record.training)
    assert selection is not None
    assert selection.chosen == "linear probe"
    assert record.training["method"] == "linear"
    assert [one.auroc is None for one in selection.tried] == [False, True, True, True, True]
    page = done.report.read_text(encoding="utf-8")
    assert "How the method was chosen" in page
    assert "Skipped, because" in page
    assert "Chosen among 5 ways" in card(done.bundle)
    assert isinstance(workshop.clock, Clock)
