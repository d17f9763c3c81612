"""A loop in a thread: do a step, do the next at once while there is work, else wait; end when the stop event is set.

Each task of the service has a thread of its own, so that none waits for another. The schedule wakes it when it is due;
it wakes by the monotonic clock as well, so that a wall clock that is set forth or back, or a schedule that died,
neither skips a run nor puts it off for years.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Thread

from ecgfm_clinical import log
from ecgfm_clinical.errors import StoreUnavailable

#: A step that failed again and again is tried at least this often.
LONGEST_WAIT = 60.0


class Beat:
    """Signs of progress of one worker; a long step calls it after each part of its work."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: float | None = None
        #: s in which the next sign is due, where the work under way says so
        self.due: float | None = None

    def __call__(self, *, within: float | None = None) -> None:
        """A sign of progress; the next one is due within so many seconds, where the work knows."""
        self.due, self._last = within, self._monotonic()

    def rest(self) -> None:
        """The step has ended: waiting for the next one is no hanging."""
        self._last = None

    @property
    def silence(self) -> float:
        """Seconds since the last sign of the step under way; 0 where none is under way."""
        last = self._last
        return 0.0 if last is None else self._monotonic() - last


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How one worker fares."""

    name: str
    alive: bool
    silence: float  #: seconds since the last progress of the step under way
    due: float | None = None  #: seconds in which the next is due, where the step said so
    failures: int  #: in a row; 0 after a step that ended well
    error: str  #: the class of the last failure
    deaths: int  #: how often its thread was found dead and started again
    is_unproven: bool  #: its thread died, and no step has ended well since


class Worker:
    """Runs `step` until stopped. `step` returns how much it did; after 0 or None the loop waits until it is woken, or
    `every` has passed.
    """

    def __init__(
        self, name: str, step: Callable[[], int | None], *, stop: Event, every: timedelta, beat: Beat | None = None
    ) -> None:
        self.name = name
        self._step = step
        self._stop = stop
        self._every = every.total_seconds()
        self._beat = beat or Beat()
        self._thread: Thread | None = None
        self._due = Event()
        self._failures = 0
        self._deaths = 0
        self._is_unproven = False
        self._error = ""

    def start(self) -> None:
        """Start the loop, or start it again after its thread died."""
        if self._thread is not None:
            self._deaths, self._is_unproven = self._deaths + 1, True
        self._beat.rest()
        # A thread that hangs must not keep the process from ending.
        self._thread = Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """The next step is due now; one that is under way ends first, and however often it was due meanwhile,
        it runs once.
        """
        self._due.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the step under way, after the stop event is set; False where it did not end in `timeout` seconds."""
        if self._thread is None:
            return True
        self._due.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def health(self) -> Health:
        alive = self._thread is not None and self._thread.is_alive()
        return Health(
            name=self.name,
            alive=alive,
            silence=self._beat.silence if alive else 0.0,
            due=self._beat.due,
            failures=self._failures,
            error=self._error,
            deaths=self._deaths,
            is_unproven=self._is_unproven,
        )

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._due.clear()
                if not self._once():
                    # After failures it waits its time out, whatever the schedule says.
                    (self._stop if self._failures > 1 else self._due).wait(self._wait())
        except BaseException as error:  # noqa: BLE001  not even SystemExit of a library may end a task in silence; the watch starts it again
            self._error = type(error).__name__
            log.event("task.died", logging.ERROR, task=self.name, error=self._error)

    def _once(self) -> int:
        self._beat()
        try:
            done = self._step() or 0
        except StoreUnavailable:
            log.warning("store.unavailable", task=self.name)
            self._failed("StoreUnavailable")
        except Exception as error:  # noqa: BLE001  a task survives any failure of a step; the jobs it held return when its lease ends
            log.event("task.failed", logging.ERROR, task=self.name, error=type(error).__name__)
            self._failed(type(error).__name__)
        else:
            self._failures, self._error, self._is_unproven = 0, "", False
            return done
        finally:
            self._beat.rest()
        return 0

    def _failed(self, error: str) -> None:
        self._failures, self._error = self._failures + 1, error

    def _wait(self) -> float:
        """By the monotonic clock; longer after each failure in a row, so that a step that always fails fills no log."""
        if self._failures < 2:
            return self._every
        return max(self._every, min(LONGEST_WAIT, 2.0 ** min(self._failures, 10)))
