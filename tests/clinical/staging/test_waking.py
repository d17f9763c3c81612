"""Who waits for work is woken by the commit that leaves it, in this process and in others."""

from collections.abc import Iterator
from threading import Event, Thread

import pytest

from ecgfm_clinical.staging import hearing
from ecgfm_clinical.staging.bell import Work
from ecgfm_clinical.staging.store import Store
from tests.clinical.staging.conftest import NOW, Ward

PATIENCE = 120.0  # s


class Sleeper:
    """Counts the times it was woken for each kind of work."""

    def __init__(self, store: Store) -> None:
        self.woken: dict[Work, Event] = {"score": Event(), "report": Event()}
        for work, event in self.woken.items():
            store.database.bell.wakes(work, event.set)

    def was_woken(self, work: Work) -> bool:
        """Since it was asked last."""
        was = self.woken[work].is_set()
        self.woken[work].clear()
        return was


@pytest.fixture
def sleeper(ward: Ward) -> Sleeper:
    return Sleeper(ward.store)


@pytest.fixture
def elsewhere(ward: Ward, store_url: str) -> Iterator[Sleeper]:
    """Waits in another process, as far as the database can tell: with a store and an ear of its own."""
    other = Store.open(store_url)
    stop = Event()
    found = Sleeper(other)
    ear = hearing.ear_for(other.database.reader, other.database.bell, clock=lambda: ward.later(minutes=1), stop=stop)
    assert ear.listen() == 1  # it hears from here on
    for work in found.woken:
        found.was_woken(work)

    def listen() -> None:
        while not stop.is_set():
            ear.listen()

    thread = Thread(target=listen)
    thread.start()
    yield found
    stop.set()
    thread.join(PATIENCE)
    ear.close()
    other.close()
    assert not thread.is_alive()


def test_an_ecg_wakes_the_scorer_and_its_score_the_sender(ward: Ward, sleeper: Sleeper) -> None:
    ward.take()
    assert sleeper.was_woken("score")
    assert not sleeper.was_woken("report")
    (job,) = ward.claim()
    assert not sleeper.was_woken("score")
    ward.finish(job)
    assert sleeper.was_woken("report")
    assert not sleeper.was_woken("score")


def test_the_same_ecg_again_wakes_nobody(ward: Ward, sleeper: Sleeper) -> None:
    received = ward.received()
    ward.take(ward.ecg("1.2.3"), received)
    sleeper.was_woken("score")
    ward.take(ward.ecg("1.2.3"), received)
    assert not sleeper.was_woken("score")


def test_what_a_worker_gives_back_wakes_another(ward: Ward, sleeper: Sleeper) -> None:
    ward.take()
    ward.claim(worker="leaves")
    sleeper.was_woken("score")
    assert ward.store.leases.release("leaves", now=NOW) == 1
    assert sleeper.was_woken("score")
    ward.claim(worker="dies")
    assert ward.store.leases.reap(worker="dies", now=NOW, max_attempts=3) == 1
    assert sleeper.was_woken("score")


def test_a_rescore_wakes_the_scorer(ward: Ward, sleeper: Sleeper) -> None:
    (ecg_id,) = ward.take().ecg_ids
    ward.score_all()
    sleeper.was_woken("score")
    ward.store.jobs.rescore([ecg_id], now=NOW, actor="operator")
    assert sleeper.was_woken("score")


def test_nobody_is_woken_for_what_was_not_committed(ward: Ward, sleeper: Sleeper) -> None:
    def fails() -> None:
        with ward.store.database.writing(NOW, "test") as tx:
            tx.left_to_do.add("score")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert not sleeper.was_woken("score")


def test_another_process_is_woken_for_each_kind_of_work(ward: Ward, elsewhere: Sleeper) -> None:
    ward.take()
    assert elsewhere.woken["score"].wait(PATIENCE)
    (job,) = ward.claim()
    elsewhere.was_woken("report")
    ward.finish(job)
    assert elsewhere.woken["report"].wait(PATIENCE)


def test_who_is_told_no_more_is_not_woken(ward: Ward) -> None:
    woken = Event()
    end = ward.store.database.bell.wakes("score", woken.set)
    end()
    ward.take()
    assert not woken.is_set()
