"""The running service: the parts one role needs, started together and stopped cleanly."""

from contextlib import ExitStack, suppress
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Literal

from ecgfm_clinical import liveness, log, wiring
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.service import ports, schedule
from ecgfm_clinical.service.worker import Worker
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.leases import LONGEST_LEASE

if TYPE_CHECKING:
    from ecgfm_clinical.staging.store import Store

Role = Literal["connect", "score", "report", "all"]

#: How long a worker waits when it found no job or message.
IDLE = timedelta(seconds=1)
#: How often this process renews its leases, and takes back the jobs and messages that dead processes held.
PULSE_EVERY = timedelta(seconds=10)
RETENTION_EVERY = timedelta(hours=24)


class Service:
    """One process of one role. `start`, then `wait`; `stop` finishes the batch or message under way."""

    def __init__(self, settings: Settings, role: Role, store: "Store", *, clock: wiring.Clock = wiring.utc_now) -> None:
        self._settings = settings
        self._clock = clock
        self._store = store
        self._roles = {"connect", "score", "report"} if role == "all" else {role}
        self._stop = Event()
        self._closing = ExitStack()
        self._workers = [liveness.worker_name("score")] if "score" in self._roles else []
        if "report" in self._roles:
            self._workers += [liveness.worker_name(f"report-{name}") for name in settings.destination_names]
        self.ports: dict[str, int] = {}  #: listener name -> port, once started

    def start(self) -> None:
        """Bind every port and start every worker; where one part cannot start, none is left running."""
        with ExitStack() as undo:
            tasks = []
            if "score" in self._roles:
                tasks += self._scoring_tasks()
            if "connect" in self._roles:
                tasks += self._pull_tasks()
                self._start_listeners(undo)
            if "report" in self._roles:
                self._start_reporters(undo)
            if self._settings.retention.ages:
                tasks.append(schedule.Task(name="retention", every=RETENTION_EVERY, run=self._retain))
            if self.ports:
                tasks.append(schedule.Task(name="ports", every=PULSE_EVERY, run=self._announce_ports))
                undo.callback(self._forget_ports)
            tasks.append(schedule.Task(name="pulse", every=PULSE_EVERY, run=self._pulse))
            scheduler = schedule.build(tasks)
            scheduler.start()
            undo.callback(scheduler.shutdown, wait=True)
            self._closing = undo.pop_all()
        log.event("service.started", roles=",".join(sorted(self._roles)))

    def wait(self) -> None:
        """Block until someone calls `request_stop`."""
        self._stop.wait()

    def request_stop(self) -> None:
        """Ask for a clean stop; safe in a signal handler."""
        self._stop.set()

    def stop(self) -> None:
        """Finish the batch or message under way, close ports and connections."""
        self._stop.set()
        self._closing.close()
        with suppress(StoreUnavailable):  # then the leases end by themselves
            for worker in self._workers:
                self._store.leases.release(worker, now=self._clock())
        log.event("service.stopped")

    def _scoring_tasks(self) -> list[schedule.Task]:
        scorer = wiring.build_live_scorer(self._settings, self._store, clock=self._clock)
        shadow = wiring.build_shadow_scorer(self._settings, self._store, clock=self._clock)
        every = timedelta(seconds=self._settings.scoring.every_seconds)
        return [
            schedule.Task(name="score", every=every, run=schedule.drained(scorer.run_batch, self._stop)),
            schedule.Task(name="shadow", every=every, run=schedule.drained(shadow.run_batch, self._stop)),
        ]

    def _pull_tasks(self) -> list[schedule.Task]:
        tasks = []
        for source, every in wiring.build_sources(self._settings):
            run = schedule.pulled_by_leader(
                source,
                wiring.build_ingest(self._settings, self._store, source.name, clock=self._clock),
                self._store,
                clock=self._clock,
                holder=liveness.worker_name("connect"),
                term=max(3 * every, timedelta(minutes=1)),
            )
            tasks.append(schedule.Task(name=f"pull {source.name}", every=every, run=run))
        return tasks

    def _start_listeners(self, undo: ExitStack) -> None:
        for name, listener in zip(
            self._settings.listeners.names,
            wiring.build_listeners(self._settings, self._store, clock=self._clock),
            strict=True,
        ):
            listener.start()
            undo.callback(listener.stop)
            self.ports[name] = listener.port
            log.event("listener.started", listener=name, port=listener.port)

    def _announce_ports(self) -> None:
        now = self._clock()
        try:
            ports.sweep(self._store, now=now)
            ports.announce(self._store, self.ports.values(), liveness.worker_name("connect"), now=now)
        except StoreUnavailable:
            log.event("store.unavailable")

    def _forget_ports(self) -> None:
        with suppress(StoreUnavailable):  # then the leases end by themselves
            ports.forget(self._store, self.ports.values(), liveness.worker_name("connect"))

    def _start_reporters(self, undo: ExitStack) -> None:
        for name, reporter in zip(
            self._settings.destination_names,
            wiring.build_reporters(self._settings, self._store, clock=self._clock),
            strict=True,
        ):
            worker = Worker(f"report {name}", reporter.run_batch, stop=self._stop, idle=IDLE)
            worker.start()
            undo.callback(worker.join)
            undo.callback(self._stop.set)  # runs before the join: the worker stops after the step under way

    def _retain(self) -> None:
        """A single process of the installation removes old bytes; where the store is away, the next day is soon
        enough.
        """
        now, holder = self._clock(), liveness.worker_name("retention")
        try:
            if self._store.coordination.acquire("retention", holder, now=now, duration=RETENTION_EVERY / 2):
                gone = self._store.care.expire(now=now, actor=holder, **self._settings.retention.ages)
                log.event("retention.done", payloads=gone.payloads, signals=gone.signals, messages=gone.messages)
        except StoreUnavailable:
            log.event("store.unavailable")

    def _pulse(self) -> None:
        now, limit = self._clock(), self._settings.scoring.max_attempts
        longest = max(LONGEST_LEASE, 2 * self._settings.scoring.lease)
        try:
            for worker in self._workers:
                self._store.leases.prolong(worker, now=now, lease=self._settings.scoring.lease)
            taken_back = self._store.leases.reap(now=now, max_attempts=limit, longest_lease=longest)
            for worker in filter(liveness.is_gone, self._store.leases.holders()):
                taken_back += self._store.leases.reap(now=now, max_attempts=limit, worker=worker)
        except StoreUnavailable:
            log.event("store.unavailable")
            return
        if taken_back:
            log.event("leases.taken-back", count=taken_back)
