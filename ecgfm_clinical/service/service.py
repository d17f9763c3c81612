"""The running service: the parts one role needs, started together, watched, and stopped cleanly."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Literal

from ecgfm_clinical import liveness, log, wiring
from ecgfm_clinical.errors import StoreNotReady, StoreTooNew, StoreUnavailable
from ecgfm_clinical.monitoring import learners
from ecgfm_clinical.monitoring.endpoint import Condition, Endpoint
from ecgfm_clinical.monitoring.rejected_callers import RejectedCallers, peer_of
from ecgfm_clinical.service import agreement, monitors, ports, schedule
from ecgfm_clinical.service.handling import CONSOLE, ConsolePort, Handling
from ecgfm_clinical.service.notifying import Notifier
from ecgfm_clinical.service.presence import Presence
from ecgfm_clinical.service.schedule import Task
from ecgfm_clinical.service.tasks import IDLE, Tasks
from ecgfm_clinical.service.watch import Watch
from ecgfm_clinical.service.worker import Worker
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging import hearing
from ecgfm_clinical.stopping import wait_for
from ecgfm_connectors.errors import ConnectorError

if TYPE_CHECKING:
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.base import Handler, Listener

Role = Literal["connect", "score", "report", "web", "all"]

#: How often this process renews its leases, and takes back the jobs and messages that dead processes held.
PULSE_EVERY = timedelta(seconds=10)
#: How often what the audit repository has to hear is looked for.
AUDIT_EVERY = timedelta(seconds=5)
#: How long `stop` waits for a step under way once a task hangs, in s.
GRACE = 30.0
#: How long a listener lets its callers finish at most, in s.
LISTENER_GRACE = 10.0


class Service:
    """One process of one role. `start`, then `wait`; `stop` finishes the batch or message under way."""

    def __init__(
        self,
        settings: Settings,
        role: Role,
        store: "Store",
        *,
        clock: wiring.Clock = wiring.utc_now,
        put_off_alarm: Callable[[], None] = lambda: None,
        notifier: Notifier | None = None,
        console: ConsolePort | None = None,
        chores: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        """`put_off_alarm`: called by the watch at each look; where the calls cease, somebody ends the process.
        `notifier` tells systemd. `console`: the port of the operators' console, not yet bound, where this process has
        it. `chores`: what it has to do now and then, by name.
        """
        self._console = console
        self._chores = dict(chores or {})
        self._notifier = notifier or Notifier({})
        self._settings = settings
        self._clock = clock
        self._store = store
        self._put_off_alarm = put_off_alarm
        self._roles = {"connect", "score", "report"} if role == "all" else {role}
        if console is not None:
            self._roles.add("web")
        self._stop = Event()
        self._ear = hearing.ear_for(store.database.reader, store.database.bell, clock=clock, stop=self._stop)
        self._closing = ExitStack()
        self._holder = liveness.worker_name("service")
        self._workers: list[Worker] = []
        self._listeners: dict[str, Listener] = {}
        self._meters = wiring.build_meters(settings)
        self._registry = monitors.registry_of(
            settings,
            store,
            self._meters,
            roles=self._roles,
            workers=self._workers,
            clock=clock,
            leads=lambda: self._tells_of_store,
        )
        self._work = Tasks(settings, store, clock=clock, meters=self._meters, stopping=self._stop.is_set)
        self._rejected = RejectedCallers(self._meters)
        self._audit_messages = wiring.build_audit_messages(settings, store, clock=clock)
        self._endpoint: Endpoint | None = None
        self._watch: Watch | None = None
        self._tells_of_store = False  #: holds the lease to tell monitors the store's figures
        #: by listener
        self._handling: dict[str, Handling] = {} if console is None else {CONSOLE: console.handling}
        self._hanging: set[str] = set()
        self._stop_by: float | None = None  #: of the monotonic clock
        served = agreement.served(settings, frozenset(self._roles))
        self._agreement = agreement.Agreement(store, served, holder=self._holder, clock=clock)
        self._presence = Presence(
            store.processes,
            holder=self._holder,
            roles=frozenset(self._roles),
            certificates=settings.certificates(),
            hanging=self._hanging,
            clock=clock,
            differing=self._agreement.look,
        )

    @property
    def ports(self) -> dict[str, int]:
        """Listener name -> port, once started."""
        return {name: listener.port for name, listener in self._listeners.items()}

    @property
    def monitoring_port(self) -> int | None:
        """Where `/metrics`, `/healthz` and `/readyz` are answered, if anywhere."""
        return self._endpoint.port if self._endpoint is not None else None

    @property
    def hangs(self) -> bool:
        """Whether a task hangs: its thread cannot be ended, only the process can."""
        return bool(self._hanging)

    def start(self) -> None:
        """Bind every port and start every worker; where one part cannot start, none is left running."""
        with ExitStack() as undo:
            self._store.elapsed.look(self._clock())  # before anything is written by this clock
            wiring.look_where_it_lies(self._settings, self._store, now=self._clock(), actor=self._holder)
            undo.callback(self._ear.close)
            tasks = list(self._tasks())
            if "connect" in self._roles:
                self._start_listeners(undo)
            if self._console is not None:
                self._start(CONSOLE, self._console, undo)
            if self._listeners:
                tasks.append(Task(name="ports", every=PULSE_EVERY, run=self._announce_ports))
                undo.callback(self._forget_ports)
            self._presence.replace()
            for task in tasks:
                self._start_task(task, undo)
            scheduler = schedule.build(zip(tasks, self._workers, strict=True))
            scheduler.start()
            undo.callback(scheduler.shutdown, wait=False)
            self._start_endpoint(undo)
            self._watch = watch = Watch(
                self._workers,
                self._listeners if self._endpoint is None else {**self._listeners, "monitoring": self._endpoint},
                stop=self._stop,
                hang_after=self._settings.service.hang_seconds,
                on_hang=self._on_hang,
                handling=self._handling,
                put_off_alarm=self._looked,
            )
            watch.start()
            undo.callback(watch.join)
            undo.callback(self._stop.set)  # runs before all joins: each worker stops after the step under way
            self._closing = undo.pop_all()
        for open_part in self._settings.exposed():
            if not open_part.accepted:
                log.event("part.open", logging.WARNING, part=open_part.part)
        if self._audit_messages is not None:
            self._audit("service.started", roles=",".join(sorted(self._roles)))
        self._notifier.ready()
        log.event("service.started", roles=",".join(sorted(self._roles)))

    def wait(self) -> None:
        """Block until someone calls `request_stop`, or a task hangs."""
        wait_for(self._stop)

    def request_stop(self) -> None:
        """Ask for a clean stop; safe in a signal handler."""
        self._stop.set()

    def stop(self) -> None:
        """Finish the batch or message under way, close ports and connections; in `service.stop_seconds` in all."""
        self._stop.set()
        self._time_left()
        self._notifier.stopping()
        self._closing.close()
        if self._work.live is not None and not self._hanging:
            self._work.live.close()
        if self._audit_messages is not None:
            self._audit_stop()
        with suppress(StoreUnavailable):  # then the leases end by themselves
            for task, holder in self._work.holders.items():
                if task not in self._hanging:  # what hangs costs its work an attempt: it may hang again on the same ECG
                    self._store.leases.release(holder, now=self._clock())
            if not self.hangs:
                self._store.coordination.release("metrics", self._holder)
                self._store.processes.ended(self._holder)
                self._agreement.end()
        log.event("service.stopped")

    def _looked(self) -> None:
        """The watch has looked at everything."""
        self._put_off_alarm()
        self._notifier.alive()

    def _start_endpoint(self, undo: ExitStack) -> None:
        endpoint = monitors.endpoint_of(self._settings, self._registry, alive=self.alive, ready=self.ready)
        if endpoint is not None:
            endpoint.start()
            undo.callback(endpoint.stop)
            self._endpoint = endpoint

    def alive(self) -> Condition:
        """Whether this process works; where it does not, only a new process helps."""
        reasons = [f"task {name} hangs" for name in sorted(self._hanging)]
        if self._watch is not None and not self._watch.alive and not self._stop.is_set():
            reasons.append("the watch does not run")
        return Condition(reasons=tuple(reasons))

    def ready(self) -> Condition:
        """Whether this process can do its work: ports bound, store current, model open."""
        reasons = [*self.alive().reasons]
        if self._stop.is_set():
            reasons.append("the service is stopping")
        reasons += [f"listener {name} is closed" for name, one in self._listeners.items() if not one.alive]
        try:
            self._store.check_schema()
        except StoreUnavailable:
            reasons.append("the staging store does not answer")
        except (StoreTooNew, StoreNotReady) as error:
            reasons.append(str(error))
        if self._work.live is not None and not self._work.live.opened:
            reasons.append("the live model is not open")
        return Condition(reasons=tuple(reasons))

    def _tasks(self) -> Iterator[Task]:
        yield Task(name="pulse", every=PULSE_EVERY, run=self._pulse)
        if self._roles & {"score", "report"}:
            yield Task(name="listen", every=IDLE, run=self._ear.listen)
        if "score" in self._roles:
            yield from self._work.scoring()
        if "connect" in self._roles:
            yield from self._work.pulling()
        if "report" in self._roles:
            yield from self._work.reporting()
        if self._audit_messages is not None:
            yield Task(name="audit messages", every=AUDIT_EVERY, run=self._audit_messages.run)
            yield Task(name="callers", every=AUDIT_EVERY, run=self._audit_callers)
        yield from self._work.keeping()
        yield from monitors.pushing(self._settings, self._registry, instance=self._holder, clock=self._clock)
        for name, chore in self._chores.items():
            yield Task(name=name, every=PULSE_EVERY, run=chore)

    def _audit_callers(self) -> None:
        for one in self._rejected.drain():
            self._audit("caller.rejected", listener=one.listener, reason=one.reason, peer=peer_of(one))

    def _audit(self, action: str, **detail: str) -> None:
        """Put an act of this process into the audit trail."""
        self._store.audit_spool.note(action, now=self._clock(), actor=self._holder, detail=detail)

    def _audit_stop(self) -> None:
        """The repository hears of the stop at once where it answers and there is time, else from the next process."""
        with suppress(StoreUnavailable, ConnectorError):
            self._audit("service.stopped")
            if self._audit_messages is not None and not self.hangs and self._time_left() > GRACE:
                self._audit_messages.run()

    def _start_task(self, task: Task, undo: ExitStack) -> None:
        worker = Worker(task.name, task.run, stop=self._stop, every=task.every, beat=task.beat)
        self._workers.append(worker)
        if task.work is not None:
            undo.callback(self._store.database.bell.wakes(task.work, worker.wake))
        worker.start()
        undo.callback(self._join, worker)

    def _join(self, worker: Worker) -> None:
        """Wait for the step under way. One that does not end in time is left behind: it ends with the process."""
        if not worker.join(min(GRACE, self._time_left()) if self.hangs else self._time_left()):
            self._hanging.add(worker.name)
            log.event("task.left-behind", logging.ERROR, task=worker.name)

    def _time_left(self) -> float:
        """Seconds of the time that a stop may take; it begins with the first call."""
        now = time.monotonic()
        if self._stop_by is None:
            self._stop_by = now + self._settings.service.stop_seconds
        return max(0.0, self._stop_by - now)

    def _on_hang(self, name: str) -> None:
        self._hanging.add(name)
        self._stop.set()

    def _start_listeners(self, undo: ExitStack) -> None:
        for name, listener in zip(
            self._settings.listeners.names,
            wiring.build_listeners(
                self._settings,
                self._store,
                clock=self._clock,
                meters=self._meters,
                attend=self._attend,
                turned_away=self._rejected,
            ),
            strict=True,
        ):
            self._start(name, listener, undo)

    def _start(self, name: str, listener: "Listener", undo: ExitStack) -> None:
        listener.start()
        undo.callback(self._close, listener)
        self._listeners[name] = listener
        log.event("listener.started", listener=name, port=listener.port)

    def _attend(self, name: str, handler: "Handler") -> "Handler":
        return self._handling.setdefault(name, Handling(name)).of(handler)

    def _close(self, listener: "Listener") -> None:
        """Let what is being received finish, for a part of the time that is left: other listeners come after it."""
        listener.stop(grace=min(LISTENER_GRACE, self._time_left() / 2))

    def _announce_ports(self) -> None:
        now = self._clock()
        ports.sweep(self._store, now=now)
        learners.sweep(self._store, now=now)
        ports.announce(self._store, self.ports.values(), liveness.worker_name("connect"), now=now)

    def _forget_ports(self) -> None:
        with suppress(StoreUnavailable):  # then the leases end by themselves
            ports.forget(self._store, self.ports.values(), liveness.worker_name("connect"))

    def _pulse(self) -> None:
        """Say that this process lives, prolong what its living tasks hold, take back what the dead held."""
        now, scoring = self._clock(), self._settings.scoring
        for task, holder in self._work.holders.items():
            if task not in self._hanging:
                self._store.leases.prolong(holder, now=now, lease=scoring.lease)
        taken_back = self._store.leases.reap_all(now=now, max_attempts=scoring.max_attempts, lease=scoring.lease)
        if taken_back:
            log.warning("leases.taken-back", count=taken_back)
        if (gap := self._store.elapsed.look(now)) is not None:
            log.event("clock.gap", logging.WARNING, since=gap.since.isoformat(), until=gap.until.isoformat())
        if self._settings.monitoring.is_watched:
            self._tells_of_store = self._store.coordination.acquire(
                "metrics", self._holder, now=now, duration=6 * PULSE_EVERY
            )
        if self._store.sizes.is_due(now):
            self._store.sizes.note(self._store.room().size, now=now)
        self._presence.tell(worker.health for worker in self._workers)
