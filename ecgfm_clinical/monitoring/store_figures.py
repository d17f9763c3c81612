"""The numbers of the whole store, as Prometheus' gauges: what came in, what waits, and when anything last moved.

Every process could tell them, and a sum over processes would then count each ECG once for each of them. So one process
tells them: the one that holds the lease `metrics`, renewed at its pulse; another takes over within a minute.

All figures come from the tally and from indexes over unfinished rows, so that a look costs the same in a store of a
hundred ECGs and of a million.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ecgfm_clinical.codes import CODES
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.monitoring.attention import NeedsPerson, needs_person
from ecgfm_clinical.monitoring.meters import OTHER

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Attention
    from ecgfm_clinical.staging.records import Backlog, Counts, CountTable
    from ecgfm_clinical.staging.store import Store


class StoreFigures(Collector):
    """Reads the store at each scrape; `ecgfm_store_up` says whether it answered."""

    def __init__(
        self,
        store: "Store",
        *,
        limits: "Attention",
        sources: Iterable[str],
        destinations: Iterable[str],
        clock: Callable[[], datetime],
        leads: Callable[[], bool],
    ) -> None:
        """`leads`: whether this process tells the store's figures now."""
        self._store = store
        self._limits = limits
        self._sources = tuple(sources)
        self._destinations = tuple(destinations)
        self._clock = clock
        self._leads = leads

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: the figures are read when they are asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        if not self._leads():
            return
        up = GaugeMetricFamily("ecgfm_store_up", "1 where the staging store answers.")
        try:
            figures = list(self._figures())
        except StoreUnavailable:
            up.add_metric([], 0)
            figures = []
        else:
            up.add_metric([], 1)
        yield up
        yield from figures

    def _figures(self) -> Iterator[Metric]:
        now, questions = self._clock(), self._store.questions
        backlog = questions.backlog()
        yield from _ecgs(questions.count_table())
        yield from _scoring(backlog, now)
        yield from self._outbound(backlog, now)
        yield _by(
            "ecgfm_payloads_set_aside", "Payloads kept that could not be staged.", "code", _coded(questions.refusals())
        )
        yield from _needs(needs_person(self._store, now=now, limits=self._limits, backlog=backlog))
        yield from self._last_seen()
        yield from self._models()
        yield from self._room()
        yield from self._audit_messages(now)
        processes = self._store.processes.all()
        yield _by(
            "ecgfm_processes",
            "Processes that serve this store, by whether they give signs of life.",
            "state",
            {
                "living": sum(not one.is_silent(now) for one in processes),
                "silent": sum(one.is_silent(now) for one in processes),
            },
        )

    def _outbound(self, backlog: "Backlog", now: datetime) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "ecgfm_outbox_messages", "Unfinished result messages.", labels=["destination", "state"]
        )
        oldest = GaugeMetricFamily(
            "ecgfm_outbox_oldest_seconds", "Age of the oldest message that waits.", labels=["destination"]
        )
        outage = GaugeMetricFamily(
            "ecgfm_destination_outage_seconds", "For how long a destination cannot be reached.", labels=["destination"]
        )
        for name in self._destinations:
            one = backlog.destinations.get(name)
            stands = self._store.destinations.status(name, now=now)
            waiting.add_metric([name, "waiting"], one.waiting + one.running if one else 0)
            waiting.add_metric([name, "set_aside"], one.dead if one else 0)
            waiting.add_metric([name, "in_doubt"], one.set_aside_in_doubt if one else 0)
            oldest.add_metric([name], _seconds(one.oldest if one else None, now))
            outage.add_metric([name], _seconds(stands.since, now))
        yield from (waiting, oldest, outage)

    def _last_seen(self) -> Iterator[Metric]:
        received = GaugeMetricFamily(
            "ecgfm_source_last_received_timestamp_seconds",
            "When a listener or source last brought a payload; 0 where it never did.",
            labels=["source"],
        )
        acknowledged = GaugeMetricFamily(
            "ecgfm_destination_last_acknowledged_timestamp_seconds",
            "When a destination last acknowledged a result; 0 where it never did.",
            labels=["destination"],
        )
        for name, at in self._store.movement.last_received(self._sources).items():
            received.add_metric([name], at.timestamp() if at else 0)
        for name, at in self._store.movement.last_acknowledged(self._destinations).items():
            acknowledged.add_metric([name], at.timestamp() if at else 0)
        yield from (received, acknowledged)

    def _models(self) -> Iterator[Metric]:
        info = GaugeMetricFamily(
            "ecgfm_model_info",
            "1 for the model that is live, or in its shadow.",
            labels=["use", "model_id", "version", "demo"],
        )
        live, shadow = self._store.models.live(), self._store.models.shadow()
        for use, row in (("live", live), ("shadow", shadow[0] if shadow else None)):
            if row is not None:
                info.add_metric([use, row.model_id[:12], row.version, str(row.demo).lower()], 1)
        yield info
        drift = self._store.models.last_drift()
        found = len(drift.findings) if drift else 0
        yield GaugeMetricFamily("ecgfm_drift_findings", "Findings of the last drift report.", value=found)

    def _audit_messages(self, now: datetime) -> Iterator[Metric]:
        untold = self._store.audit_spool.untold()
        yield GaugeMetricFamily(
            "ecgfm_audit_messages_waiting", "Audit messages that the repository has not got yet.", value=untold.count
        )
        yield GaugeMetricFamily(
            "ecgfm_audit_messages_oldest_seconds",
            "Age of the oldest audit message that waits.",
            value=_seconds(untold.oldest, now),
        )

    def _room(self) -> Iterator[Metric]:
        room = self._store.room()
        yield GaugeMetricFamily("ecgfm_store_bytes", "Size of the store.", value=room.size)
        if room.log is not None:
            yield GaugeMetricFamily("ecgfm_store_log_bytes", "Size of SQLite's write-ahead log.", value=room.log)
        if room.free is not None:
            yield GaugeMetricFamily("ecgfm_store_free_bytes", "Free room on the store's volume.", value=room.free)


def _ecgs(table: "CountTable") -> Iterator[Metric]:
    received = CounterMetricFamily(
        "ecgfm_ecgs_received", "ECGs received: scored + not evaluable + failed + waiting.", labels=["source"]
    )
    states = GaugeMetricFamily("ecgfm_ecgs", "ECGs by state.", labels=["source", "state"])
    heads = GaugeMetricFamily("ecgfm_head_ecgs", "ECGs by what became of one head.", labels=["head", "state"])
    for source, counts in table.by_source.items():
        received.add_metric([source], counts.received)
        for state, number in _states(counts).items():
            states.add_metric([source, state], number)
    for head, counts in table.by_head.items():
        for state, number in _states(counts).items():
            heads.add_metric([head, state], number)
    yield from (received, states, heads)


def _states(counts: "Counts") -> Mapping[str, int]:
    return {
        "scored": counts.scored,
        "not_evaluable": counts.not_evaluable,
        "failed": counts.failed,
        "waiting": counts.waiting,
    }


def _scoring(backlog: "Backlog", now: datetime) -> Iterator[Metric]:
    jobs = {"waiting": backlog.jobs_waiting, "running": backlog.jobs_running, "failed": backlog.jobs_failed}
    yield _by("ecgfm_score_jobs", "Unfinished score jobs.", "state", jobs)
    yield GaugeMetricFamily(
        "ecgfm_score_oldest_seconds", "Age of the oldest score job that waits.", value=_seconds(backlog.oldest_job, now)
    )


def _needs(needs: NeedsPerson) -> Iterator[Metric]:
    yield _by("ecgfm_needs_person", "What waits for a person, by kind.", "kind", dict(needs.kinds()))
    yield _by("ecgfm_held_recordings", "Recordings held for a person, by question.", "question", needs.held)


def _by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for word, number in values.items():
        family.add_metric([word], number)
    return family


def _coded(refusals: Mapping[str, int]) -> Mapping[str, int]:
    """By reason code; a code that this program does not know is counted under `other`."""
    known = {code: number for code, number in refusals.items() if code in CODES}
    other = sum(number for code, number in refusals.items() if code not in CODES)
    return {**known, OTHER: other} if other else known


def _seconds(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
