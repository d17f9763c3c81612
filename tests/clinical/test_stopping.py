"""The signal that ends a process is obeyed, whichever thread the system gives it to."""

import signal
import threading
from collections.abc import Iterator
from threading import Event

import pytest

from ecgfm_clinical.stopping import wait_for


@pytest.fixture
def stop() -> Iterator[Event]:
    """Set by SIGTERM."""
    event = Event()
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    yield event
    signal.signal(signal.SIGTERM, before)


def test_a_signal_that_another_thread_gets_ends_the_wait(stop: Event) -> None:
    missed = Event()

    def give_up() -> None:
        missed.set()
        stop.set()

    late = threading.Timer(60, give_up)
    late.start()
    other = threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
    other.start()
    wait_for(stop)
    late.cancel()
    assert not missed.is_set(), "the handler never ran"
