"""A GPU that fails costs no ECG an attempt: its batch waits again, and a worker without a device takes no more work."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from ecgfm.errors import DeviceLost, DeviceMemory
from ecgfm.feeding import Prepared
from ecgfm.predictor import Prediction, Predictor
from ecgfm_clinical.errors import DeviceFailed, ModelError
from ecgfm_clinical.pipeline.live import DEVICE_ATTEMPTS, LiveScorer
from ecgfm_clinical.pipeline.scoring import Scorer
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging.model_records import ModelRow
from ecgfm_clinical.staging.records import EcgState, JobState
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Verdict
from ecgfm_connectors.ecg import Ecg
from tests.helpers.fakes import Clock, make_ecg
from tests.helpers.tiny_models import write_tiny_bundle

pytestmark = pytest.mark.slow(2)

Stage = Callable[[Ecg], Verdict]
T = TypeVar("T")


class OnGpu(Predictor):
    """A predictor whose device fails in the calls named, counted from 1 over all openings."""

    def __init__(self, inner: Predictor, calls: list[int], failing: Callable[[int], Exception | None]) -> None:
        self.__dict__ = dict(inner.__dict__)
        self._calls, self._failing = calls, failing

    def predictions(self, prepared: Iterable[Prepared[T]]) -> Iterator[tuple[Prepared[T], Prediction | Exception]]:
        records = list(prepared)
        self._calls.append(len(records))
        error = self._failing(len(self._calls))
        if error is not None:
            raise error
        return super().predictions(records)


@pytest.fixture(scope="module")
def inner(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_bundle(folder)
    return Predictor.from_bundle(folder, device="cpu")


class Service:
    """A live scorer on a store of its own, and what its device was asked."""

    def __init__(
        self, store: Store, inner: Predictor, clock: Clock, failing: Callable[[int], Exception | None]
    ) -> None:
        self.calls: list[int] = []
        self.openings = 0
        self.opens = True
        self._store, self._inner, self._clock, self._failing = store, inner, clock, failing
        row = ModelRow(
            model_id=inner.model_id,
            name=inner.model_name,
            version=inner.model_version,
            path="tiny",
            demo=True,
            heads=dict.fromkeys(inner.labels, "f"),
            parent_id=None,
            registered_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        store.models.install(row, now=clock(), actor="test")
        self.live = LiveScorer(store.models, self._open)

    def _open(self, _: ModelRow) -> Scorer:
        self.openings += 1
        if not self.opens:
            raise ModelError("the GPU does not answer")
        return Scorer(
            self._store,
            OnGpu(self._inner, self.calls, self._failing),
            rules=lambda _: HeadRules(),
            worker="test-worker",
            clock=self._clock,
            batch_size=8,
            lease=timedelta(minutes=5),
            max_attempts=2,
        )


LOST = DeviceLost("the GPU (X) failed (unspecified launch failure)")


@pytest.mark.parametrize("error", [LOST, DeviceMemory("too little free memory")])
def test_the_batch_goes_back_untouched_and_is_scored_when_the_device_is_back(
    store: Store, inner: Predictor, clock: Clock, stage: Stage, error: Exception
) -> None:
    ids = [stage(make_ecg(number)).ecg_ids[0] for number in range(3)]
    service = Service(store, inner, clock, lambda call: error if call == 1 else None)
    with pytest.raises(DeviceFailed, match=r"GPU|memory"):
        service.live.run_batch()
    assert service.calls == [3], "the ECGs were not tried one by one on a device that failed"
    for ecg_id in ids:
        story = store.ecgs.story(ecg_id)
        assert (story.state, story.job_state) == (EcgState.WAITING, JobState.WAITING)
    assert service.live.run_batch() == 3
    assert service.openings == 2, "the model was opened anew before anything was claimed"
    for ecg_id in ids:
        story = store.ecgs.story(ecg_id)
        assert story.state is EcgState.SCORED
        assert story.job_errors == (), "a failure of the device is no attempt of an ECG"


def test_a_device_that_fails_again_and_again_gets_no_more_work(
    store: Store, inner: Predictor, clock: Clock, stage: Stage
) -> None:
    (ecg_id,) = stage(make_ecg(1)).ecg_ids
    service = Service(store, inner, clock, lambda _: LOST)
    for _ in range(DEVICE_ATTEMPTS + 3):
        with pytest.raises(DeviceFailed):
            service.live.run_batch()
    assert len(service.calls) == service.openings == DEVICE_ATTEMPTS
    assert store.ecgs.story(ecg_id).state is EcgState.WAITING, "and nothing was given up"


def test_a_batch_that_ends_well_ends_the_count(store: Store, inner: Predictor, clock: Clock, stage: Stage) -> None:
    service = Service(store, inner, clock, lambda call: LOST if call % 2 else None)
    for number in range(DEVICE_ATTEMPTS + 1):
        stage(make_ecg(number))
        with pytest.raises(DeviceFailed):
            service.live.run_batch()
        assert service.live.run_batch() == 1


def test_nothing_is_claimed_while_the_model_does_not_open(
    store: Store, inner: Predictor, clock: Clock, stage: Stage
) -> None:
    (ecg_id,) = stage(make_ecg(1)).ecg_ids
    service = Service(store, inner, clock, lambda call: LOST if call == 1 else None)
    with pytest.raises(DeviceFailed):
        service.live.run_batch()
    service.opens = False
    assert [service.live.run_batch() for _ in range(5)] == [0] * 5
    assert store.ecgs.story(ecg_id).job_state is JobState.WAITING
    service.opens = True
    assert service.live.run_batch() == 1
