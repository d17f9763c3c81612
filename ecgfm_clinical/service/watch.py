"""Who watches the tasks and ports of a service, and what watches the watch.

Every five seconds the watch looks at each task and each port. A thread that died is said and started again. A task
that makes no progress for `service.hang_seconds` (while a model answers, `scoring.hang_seconds`), a payload that its
handler has had for `service.hang_seconds`, and a port that takes no callers for a minute cannot be ended from outside:
it is said, what it holds is prolonged no longer, and the process is asked to end, so that systemd or Docker starts it
anew. The watch itself is watched by an alarm of the interpreter, which needs no thread of Python: where the watch has
not called it for five minutes, because its thread is gone or something holds the interpreter, the alarm writes where
each thread stands and ends the process.
"""

import faulthandler
import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread

from ecgfm_clinical import log
from ecgfm_clinical.errors import ClinicalError
from ecgfm_clinical.service.handling import Handling
from ecgfm_clinical.service.worker import Worker
from ecgfm_connectors.base import Listener
from ecgfm_connectors.errors import ConnectorError

LOOK_EVERY = 5.0  # seconds
#: Seconds without a round of the thread that accepts callers.
PORT_HANGS_AFTER = 60.0
ALARM_AFTER = 300.0  # seconds without a look of the watch


def alarm() -> None:
    """Put off the interpreter's alarm, which ends this process. It writes files and line numbers, never a value."""
    faulthandler.dump_traceback_later(ALARM_AFTER, exit=True)


class Watch:
    """Watches workers and listeners until stopped."""

    def __init__(
        self,
        workers: Sequence[Worker],
        listeners: Mapping[str, Listener],
        *,
        stop: Event,
        hang_after: float,
        on_hang: Callable[[str], None],
        handling: Mapping[str, Handling] | None = None,
        every: float = LOOK_EVERY,
        put_off_alarm: Callable[[], None] = lambda: None,
    ) -> None:
        """`hang_after`: seconds without progress of a step or a handler under way. `handling`: by listener."""
        self._handling = handling or {}
        self._workers = workers
        self._listeners = listeners
        self._stop = stop
        self._hang_after = hang_after
        self._on_hang = on_hang
        self._every = every
        self._put_off_alarm = put_off_alarm
        self._hanging: set[str] = set()
        self._thread = Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._put_off_alarm()
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def look(self) -> None:
        """One look at everything."""
        for worker in self._workers:
            self._look_at(worker)
        for name, listener in self._listeners.items():
            if not listener.alive and not self._stop.is_set():
                self._open_again(name, listener)
            elif listener.silence > PORT_HANGS_AFTER:
                self._hangs("listener.hangs", name, listener.silence)
        for name, handling in self._handling.items():
            if handling.silence > self._hang_after:
                self._hangs("handler.hangs", name, handling.silence)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.look()
            self._put_off_alarm()

    def _look_at(self, worker: Worker) -> None:
        health = worker.health
        if not health.alive and not self._stop.is_set():
            log.event("task.restarted", logging.ERROR, task=worker.name, error=health.error, deaths=health.deaths + 1)
            worker.start()
        elif health.silence > (self._hang_after if health.due is None else health.due):
            self._hangs("task.hangs", worker.name, health.silence)

    def _hangs(self, event: str, name: str, seconds: float) -> None:
        if name not in self._hanging:
            self._hanging.add(name)
            log.event(event, logging.ERROR, **{event.split(".")[0]: name}, seconds=round(seconds))
            self._on_hang(name)

    def _open_again(self, name: str, listener: Listener) -> None:
        log.event("listener.died", logging.ERROR, listener=name, port=listener.port)
        try:
            listener.stop()
            listener.start()
        except (ClinicalError, ConnectorError, OSError) as error:  # it is tried again at the next look
            log.event("listener.failed", logging.ERROR, listener=name, error=type(error).__name__)
        else:
            log.event("listener.started", listener=name, port=listener.port)
