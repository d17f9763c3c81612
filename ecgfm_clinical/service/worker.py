"""A loop in a thread: do a step, wait a moment after a step without work, end when the stop event is set."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread

from ecgfm_clinical import log
from ecgfm_clinical.errors import StoreUnavailable


class Worker:
    """Runs `step` until stopped. `step` returns how much it did; after 0 the loop waits `idle`."""

    def __init__(self, name: str, step: Callable[[], int], *, stop: Event, idle: timedelta) -> None:
        self.name = name
        self._step = step
        self._stop = stop
        self._idle = idle.total_seconds()
        self._thread = Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """Wait for the step under way to finish; call after the stop event is set."""
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._once():
                self._stop.wait(self._idle)

    def _once(self) -> int:
        try:
            return self._step()
        except StoreUnavailable:
            log.event("store.unavailable", worker=self.name)
        except Exception as error:  # noqa: BLE001  a worker survives any failure of a step; the jobs it held return when its lease ends
            log.event("worker.failed", worker=self.name, error=type(error).__name__)
        return 0
