"""A worker that lives on after a batch broke off gives back what it held; its lease alone would never end."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging.holding import Holding
from ecgfm_clinical.staging.records import EcgState, Job
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Verdict
from ecgfm_connectors.ecg import Ecg
from tests.helpers.fakes import Clock, make_ecg

LEASE = timedelta(minutes=5)


def _broken(store: Store, clock: Clock, holding: Holding, error: type[Exception]) -> int:
    """One batch that claims what is due and breaks off; how many jobs it held."""
    held: list[Job] = []

    def batch() -> None:
        with holding.batch():
            held.extend(store.jobs.claim(worker="w", limit=8, now=clock(), lease=LEASE))
            raise error

    with pytest.raises(error):
        batch()
    store.leases.prolong("w", now=clock(), lease=LEASE)
    return len(held)


@pytest.fixture
def holding(store: Store, clock: Clock) -> Holding:
    return Holding(store, "w", clock=clock, max_attempts=2)


def test_a_store_that_was_away_costs_no_attempt(
    store: Store, clock: Clock, stage: Callable[[Ecg], Verdict], holding: Holding
) -> None:
    (ecg_id,) = stage(make_ecg(1)).ecg_ids
    for _ in range(5):
        assert _broken(store, clock, holding, StoreUnavailable) == 1
    with holding.batch():
        (job,) = store.jobs.claim(worker="w", limit=8, now=clock(), lease=LEASE)
    assert job.attempts == 1
    assert store.ecgs.story(ecg_id).job_errors == ()


def test_what_breaks_every_batch_runs_out_of_attempts(
    store: Store, clock: Clock, stage: Callable[[Ecg], Verdict], holding: Holding
) -> None:
    for number in range(3):
        stage(make_ecg(number))
    assert _broken(store, clock, holding, ZeroDivisionError) == 3
    assert _broken(store, clock, holding, ZeroDivisionError) == 1, "alone from now on"
    with holding.batch():
        pass
    assert [store.ecgs.story(ecg_id).state for ecg_id in (1, 2, 3)] == [
        EcgState.FAILED,
        EcgState.WAITING,
        EcgState.WAITING,
    ]
