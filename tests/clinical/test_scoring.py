"""Score jobs: every ECG gets an answer, reasons instead of numbers where there must be none, and poison fails alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pytest

from ecgfm.feeding import Prepared
from ecgfm.predictor import Prediction, Predictor
from ecgfm.records import Record
from ecgfm_clinical.demo import alterations
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.operate.story import story_of, story_text
from ecgfm_clinical.pipeline import preparing
from ecgfm_clinical.pipeline.preparing import Judged
from ecgfm_clinical.pipeline.scoring import Scorer
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.shipped import recordings
from ecgfm_clinical.staging.records import Draft, EcgState, Job, JobState, MessageState, StagedEcg
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Verdict
from ecgfm_connectors.ecg import Ecg, Order
from tests.helpers.fakes import Clock, make_ecg
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = pytest.mark.slow

Stage = Callable[[Ecg], Verdict]
T = TypeVar("T")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_bundle(folder)
    return Predictor.from_bundle(folder, device="cpu")


def scorer(
    store: Store,
    predictor: Predictor,
    clock: Clock,
    *,
    run_for: float = 0.0,
    rules: Mapping[str, HeadRules] | None = None,
) -> Scorer:
    return Scorer(
        store,
        predictor,
        rules=lambda head: (rules or {}).get(head, HeadRules()),
        worker="test-worker",
        clock=clock,
        batch_size=8,
        lease=timedelta(minutes=5),
        max_attempts=2,
        run_for=run_for,
    )


class Breaking(Predictor):
    """A predictor that one ECG breaks."""

    def __init__(self, inner: Predictor, poison: str) -> None:
        """`poison`: the digest of what it cannot take."""
        self.__dict__ = inner.__dict__
        self._poison = poison

    def predictions(self, prepared: Iterable[Prepared[T]]) -> Iterator[tuple[Prepared[T], Prediction | Exception]]:
        for one, found in super().predictions(prepared):
            yield one, RuntimeError("TESTFAMILY broke the network") if one.input_digest == self._poison else found


def test_an_ecg_is_scored_by_every_head_and_told_to_every_destination(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage
) -> None:
    (ecg_id,) = stage(make_ecg(1)).ecg_ids
    assert scorer(store, predictor, clock).run_batch() == 1
    story = store.ecgs.story(ecg_id)
    (scoring,) = story.scorings
    assert {score.head for score in scoring.scores} == set(predictor.labels)
    assert all(score.probability is not None for score in scoring.scores)
    assert scoring.model_id == predictor.model_id
    assert story.state is EcgState.SCORED
    assert story.job_state is JobState.DONE
    assert [(m.destination, m.state, m.body) for m in story.messages] == [
        ("ehr", MessageState.WAITING, b"MSH|CONTROL1"),
        ("archive", MessageState.WAITING, b"MSH|CONTROL2"),
    ]
    assert len({message.control_id for message in story.messages}) == 2


def test_the_stored_probability_is_what_the_predictor_says_of_this_ecg_alone(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage
) -> None:
    ids = [stage(make_ecg(number)).ecg_ids[0] for number in range(5)]
    assert scorer(store, predictor, clock).run_batch() == 5
    for number, ecg_id in enumerate(ids):
        ecg = make_ecg(number)
        (alone,) = predictor.predict([Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate)])
        stored = {(s.head, s.label): (s.probability, s.logit) for s in store.ecgs.story(ecg_id).scorings[0].scores}
        assert stored == {(h.head, h.label): (h.probability, h.logit) for h in alone.heads}
        assert store.ecgs.story(ecg_id).scorings[0].input_digest == alone.input_digest


@pytest.mark.parametrize(
    ("alteration", "code"),
    [
        (alterations.lead_off, "flat-lead"),
        (alterations.lead_missing, "missing-lead"),
        (alterations.noisy, "noise"),
        (alterations.too_short, "too-short"),
    ],
)
def test_a_damaged_ecg_is_answered_with_reasons_and_no_number(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage, alteration: alterations.Alteration, code: str
) -> None:
    signal = alteration(recordings.load(1), 500.0, np.random.default_rng(1))
    (ecg_id,) = stage(make_ecg(1, signal)).ecg_ids
    scorer(store, predictor, clock).run_batch()
    story = store.ecgs.story(ecg_id)
    assert story.state is EcgState.NOT_EVALUABLE
    assert all(s.probability is None and s.logit is None for s in story.scorings[0].scores)
    assert {c for s in story.scorings[0].scores for c, _ in s.reasons} == {code}
    assert len(story.messages) == 2  # an answer, never a missing one


@pytest.mark.parametrize(("samples", "segments"), [(5000, 2), (4970, 1)])
def test_a_scoring_says_on_how_many_segments_it_rests(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage, samples: int, segments: int
) -> None:
    """The bundle of the tests names the reference's preparation: 9.94 s are one segment, and the store says so."""
    (ecg_id,) = stage(make_ecg(1, recordings.load(1)[:, :samples].astype(np.float32))).ecg_ids
    scorer(store, predictor, clock).run_batch()
    story = store.ecgs.story(ecg_id)
    assert story.scorings[0].segments == segments
    told = story_text(story_of(story, phi=False))
    assert f"on {segments} segment{'s' if segments > 1 else ''} of 5 s" in told


def test_heads_are_judged_one_by_one(store: Store, predictor: Predictor, clock: Clock, stage: Stage) -> None:
    (ecg_id,) = stage(make_ecg(1, statements=("Ventricular-paced rhythm",))).ecg_ids
    rules = {"interpretation": HeadRules(paced="score"), "troponin": HeadRules(enabled=False)}
    scorer(store, predictor, clock, rules=rules).run_batch()
    scores = store.ecgs.story(ecg_id).scorings[0].scores
    assert {s.head for s in scores if s.probability is not None} == {"interpretation"}
    assert {s.head for s in scores if s.reasons} == {"reduced_lvef"}


def test_a_poisoned_ecg_fails_alone_with_every_attempt_kept(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage
) -> None:
    signal = recordings.load(3).astype(np.float32)
    signal[0, 0] = np.float32(0.123456)
    good = [stage(make_ecg(number)).ecg_ids[0] for number in (1, 2)]
    (bad,) = stage(make_ecg(3, signal)).ecg_ids
    poison = Record(signal=signal, sampling_rate=500.0).digest
    one = scorer(store, Breaking(predictor, poison), clock)
    assert one.run_batch() == 3
    clock.advance(minutes=10)
    assert one.run_batch() == 1
    clock.advance(minutes=10)
    assert one.run_batch() == 0
    assert [store.ecgs.story(ecg_id).state for ecg_id in good] == [EcgState.SCORED] * 2
    story = store.ecgs.story(bad)
    assert (story.state, story.job_state) == (EcgState.FAILED, JobState.FAILED)
    assert [error.kind for error in story.job_errors] == ["RuntimeError"] * 2
    assert not any("TESTFAMILY" in error.text for error in story.job_errors)
    counts = store.questions.counts()
    assert counts.received == counts.scored + counts.not_evaluable + counts.failed + counts.waiting == 3


def test_an_ecg_whose_result_cannot_be_written_fails_alone(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage
) -> None:
    (bad,), (good,) = (stage(make_ecg(number)).ecg_ids for number in (1, 2))

    def write(draft: Draft) -> bytes:
        if draft.ecg_id == bad:
            raise RuntimeError("TESTFAMILY cannot be written")
        return draft.control_id.encode()

    telling = replace(store.database.telling, compose=write)
    one = scorer(Store(replace(store.database, telling=telling)), predictor, clock)
    for _ in range(2):
        one.run_batch()
        clock.advance(minutes=10)
    assert (store.ecgs.story(good).state, store.ecgs.story(bad).state) == (EcgState.SCORED, EcgState.FAILED)
    assert [error.kind for error in store.ecgs.story(bad).job_errors] == ["RuntimeError"] * 2
    assert (store.ecgs.story(bad).scorings, store.ecgs.story(bad).messages) == ((), ())
    assert len(store.ecgs.story(good).messages) == 2


def test_stat_goes_first(store: Store, predictor: Predictor, clock: Clock, stage: Stage) -> None:
    routine = [stage(make_ecg(number)).ecg_ids[0] for number in range(8)]
    ecg = make_ecg(9)
    (stat,) = stage(make_ecg(9, order=type(ecg.order)(stat=True))).ecg_ids
    scorer(store, predictor, clock).run_batch()
    assert store.ecgs.story(stat).state is EcgState.SCORED
    assert store.ecgs.story(routine[-1]).state is EcgState.WAITING


def test_a_worker_that_lost_its_lease_leaves_the_other_ones_result(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage
) -> None:
    (ecg_id,) = stage(make_ecg(1)).ecg_ids
    one = scorer(store, predictor, clock)

    class Slow(Breaking):
        def predictions(self, prepared: Iterable[Prepared[T]]) -> Iterator[tuple[Prepared[T], Prediction | Exception]]:
            found = list(super().predictions(prepared))
            clock.advance(minutes=6)  # past the lease: the job is taken back, and done by another worker
            store.leases.reap(now=clock())
            assert one.run_batch() == 1
            yield from found

    scorer(store, Slow(predictor, ""), clock).run_batch()
    assert len(store.ecgs.story(ecg_id).scorings) == 1


def test_one_run_makes_claim_after_claim_until_nothing_is_due(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage
) -> None:
    ids = [stage(make_ecg(number)).ecg_ids[0] for number in range(20)]
    assert scorer(store, predictor, clock, run_for=1000.0).run_batch() == 20
    assert {store.ecgs.story(ecg_id).state for ecg_id in ids} == {EcgState.SCORED}


def test_a_suspect_is_in_no_run_with_others(store: Store, predictor: Predictor, clock: Clock, stage: Stage) -> None:
    """A job that was in the hands of a worker that died may have killed it: whatever is beside it would die with it."""
    suspects = [stage(make_ecg(number, order=Order(stat=True))).ecg_ids[0] for number in range(2)]
    store.jobs.claim(worker="dies", limit=2, now=clock(), lease=timedelta(minutes=5))
    store.leases.reap(worker="dies", now=clock(), max_attempts=4)
    for number in range(2, 5):
        stage(make_ecg(number))
    one = scorer(store, predictor, clock, run_for=1000.0)
    assert [one.run_batch() for _ in range(4)] == [1, 1, 3, 0]
    assert {store.ecgs.story(ecg_id).state for ecg_id in suspects} == {EcgState.SCORED}


def test_an_ecg_that_cannot_be_prepared_fails_alone(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (good,), (bad,) = (stage(make_ecg(number)).ecg_ids for number in (1, 2))
    judged = preparing.judged_by

    def breaks(one: StagedEcg, rules: Mapping[str, HeadRules]) -> Judged:
        if one.ecg_id == bad:
            raise ZeroDivisionError
        return judged(one, rules)

    monkeypatch.setattr(preparing, "judged_by", breaks)
    assert scorer(store, predictor, clock).run_batch() == 2
    assert store.ecgs.story(good).state is EcgState.SCORED
    assert [error.kind for error in store.ecgs.story(bad).job_errors] == ["ZeroDivisionError"]


def test_each_wait_ends_with_the_claim_of_its_own_ecg(
    store: Store, predictor: Predictor, clock: Clock, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims run ahead of the network: the time of the newest one stood in for that of each."""
    for number in range(6):
        stage(make_ecg(number))
    claim, waited = store.jobs.claim, list[float]()

    def one_later(**named: Any) -> list[Job]:
        clock.advance(seconds=10)
        return claim(**{**named, "limit": 1})

    monkeypatch.setattr(store.jobs, "claim", one_later)
    monkeypatch.setattr(Meters, "begun", lambda _, wait: waited.append(wait.total_seconds()))
    assert scorer(store, predictor, clock, run_for=1000.0).run_batch() == 6
    assert waited == [10.0, 10.0, 20.0, 30.0, 40.0, 50.0]


def test_processes_give_the_same_bits(
    store: Store, store_url: str, predictor: Predictor, clock: Clock, stage: Stage
) -> None:
    ids = [stage(make_ecg(number)).ecg_ids[0] for number in range(12)]
    many = Scorer(
        store,
        predictor,
        rules=lambda head: HeadRules(),
        worker="test-worker",
        clock=clock,
        batch_size=5,
        lease=timedelta(minutes=5),
        max_attempts=2,
        run_for=1000.0,
        processes=2,
        open_store=partial(Store.open, store_url),
    )
    with closing(many):
        assert many.run_batch() == 12
    for number, ecg_id in enumerate(ids):
        ecg = make_ecg(number)
        (alone,) = predictor.predict([Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate)])
        stored = {(s.head, s.label): (s.probability, s.logit) for s in store.ecgs.story(ecg_id).scorings[0].scores}
        assert stored == {(h.head, h.label): (h.probability, h.logit) for h in alone.heads}
