"""What one process tells of itself: its version, its roles, and how its tasks fare."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ecgfm_clinical.monitoring.certificates import expiry_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFigures:
    """One task of this process."""

    name: str
    alive: bool
    silence: float  #: seconds without progress of the step under way
    failures: int  #: in a row
    deaths: int  #: how often its thread died and was started again


class ProcessFigures(Collector):
    """Reads the tasks at each scrape."""

    def __init__(
        self,
        *,
        version: str,
        roles: Iterable[str],
        tasks: Callable[[], Iterable[TaskFigures]],
        certificates: Mapping[str, Path] | None = None,
    ) -> None:
        """`certificates`: the certificate that each listener, source and destination with TLS shows."""
        self._version = version
        self._roles = tuple(sorted(roles))
        self._tasks = tasks
        self._certificates = dict(certificates or {})

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead of time: the figures are read when they are asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("ecgfm_build_info", "1; this program's version and role.", labels=["version", "role"])
        for role in self._roles:
            build.add_metric([self._version, role], 1)
        yield build
        up = GaugeMetricFamily("ecgfm_task_up", "1 where the thread of a task lives.", labels=["task"])
        silence = GaugeMetricFamily(
            "ecgfm_task_silence_seconds", "Since the last progress of the step under way.", labels=["task"]
        )
        failures = GaugeMetricFamily("ecgfm_task_failures", "Failures of a task in a row.", labels=["task"])
        deaths = GaugeMetricFamily("ecgfm_task_restarts", "How often a task was started again.", labels=["task"])
        for task in self._tasks():
            up.add_metric([task.name], int(task.alive))
            silence.add_metric([task.name], task.silence)
            failures.add_metric([task.name], task.failures)
            deaths.add_metric([task.name], task.deaths)
        yield from (up, silence, failures, deaths)
        expiry = GaugeMetricFamily(
            "ecgfm_certificate_expiry_timestamp_seconds", "When the certificate of a part ends.", labels=["part"]
        )
        for part, path in self._certificates.items():
            if (ends := expiry_of(path)) is not None:
                expiry.add_metric([part], ends.timestamp())
        yield expiry
