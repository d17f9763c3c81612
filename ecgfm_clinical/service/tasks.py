"""What a process of each role does again and again: to score, to pull, to report, and to keep house."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from ecgfm_clinical import connections, liveness, scorers, wiring
from ecgfm_clinical.service import retention, schedule
from ecgfm_clinical.service.schedule import Task
from ecgfm_clinical.service.worker import Beat
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.pauses import EVERYTHING

if TYPE_CHECKING:
    from ecgfm_clinical.monitoring.meters import Meters
    from ecgfm_clinical.pipeline.live import LiveScorer
    from ecgfm_clinical.staging.store import Store

#: How long a worker waits when it found no job or message.
IDLE = timedelta(seconds=1)


class Tasks:
    """The tasks of one process, by role."""

    def __init__(
        self,
        settings: Settings,
        store: "Store",
        *,
        clock: wiring.Clock,
        meters: "Meters",
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._meters = meters
        self._stopping = stopping
        #: task -> the name under which it holds jobs or messages
        self.holders: dict[str, str] = {}
        self.live: LiveScorer | None = None  #: the first, once `scoring` was asked

    def scoring(self) -> Iterator[Task]:
        """A live scorer for each device, the shadow scorer, and the pictures of where a model looked."""
        every = timedelta(seconds=self._settings.scoring.every_seconds)
        for role, device in scorers.scoring_devices(self._settings):
            beat = Beat()
            scorer = scorers.build_live_scorer(
                self._settings, self._store, clock=self._clock, meters=self._meters, role=role, device=device, sign=beat
            )
            self.live = self.live or scorer
            self.holders[role] = liveness.worker_name(role)
            yield Task(name=role, every=every, run=scorer.run_batch, beat=beat, work="score")
        beat = Beat()
        shadow = scorers.build_shadow_scorer(self._settings, self._store, clock=self._clock, sign=beat)
        yield Task(name="shadow", every=every, run=lambda: 0 if self._is_paused() else shadow.run_batch(), beat=beat)
        explaining = scorers.build_explaining(self._settings, self._store, clock=self._clock)
        self.holders["saliency"] = liveness.worker_name("saliency")
        yield Task(name="saliency", every=every, run=explaining.run_one, work="saliency")

    def _is_paused(self) -> bool:
        """Whether a person paused everything."""
        return self._store.pauses.stops(EVERYTHING)

    def pulling(self) -> Iterator[Task]:
        """One for each source that is asked."""
        for source, every in connections.build_sources(self._settings):
            beat = Beat()
            run = schedule.pulled_by_leader(
                source,
                wiring.build_ingest(self._settings, self._store, source.name, clock=self._clock, meters=self._meters),
                self._store,
                clock=self._clock,
                holder=liveness.worker_name("connect"),
                term=max(3 * every, timedelta(minutes=1)),
                beat=beat,
                stopping=self._stopping,
            )
            yield Task(name=f"pull {source.name}", every=every, run=run, beat=beat)

    def reporting(self) -> Iterator[Task]:
        """One for each destination."""
        for name, reporter in zip(
            self._settings.destination_names,
            wiring.build_reporters(
                self._settings, self._store, clock=self._clock, meters=self._meters, stopping=self._stopping
            ),
            strict=True,
        ):
            self.holders[f"report {name}"] = liveness.worker_name(f"report-{name}")
            yield Task(name=f"report {name}", every=IDLE, run=reporter.run_batch, work="report")

    def keeping(self) -> Iterator[Task]:
        """What any process sees to: signed heads of the trail, alerts, the age of what is kept."""
        if (export := wiring.build_heads_export(self._settings, self._store, clock=self._clock)) is not None:
            every = timedelta(seconds=self._settings.audit.export_seconds)
            yield Task(name="audit heads", every=every, run=export.run)
        beat = Beat()
        if (alerting := wiring.build_alerting(self._settings, self._store, clock=self._clock, beat=beat)) is not None:
            every = timedelta(seconds=self._settings.alerts.every_seconds)
            yield Task(name="alerts", every=every, run=alerting.run, beat=beat)
        if self._settings.retention.ages:
            yield self._retention_task()

    def _retention_task(self) -> Task:
        beat = Beat()
        run = retention.Retention(
            self._store,
            self._settings.retention.ages,
            clock=self._clock,
            holder=liveness.worker_name("retention"),
            beat=beat,
        ).run
        return Task(name="retention", every=retention.EVERY, run=run, beat=beat)
