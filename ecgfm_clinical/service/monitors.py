"""What one process tells those who watch: its registry of metrics, the port that is asked, the push to a collector."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from ecgfm.version import version
from ecgfm_clinical import wiring
from ecgfm_clinical.monitoring.endpoint import Condition, Endpoint
from ecgfm_clinical.monitoring.process_figures import ProcessFigures, TaskFigures
from ecgfm_clinical.monitoring.store_figures import StoreFigures
from ecgfm_clinical.service.schedule import Task
from ecgfm_clinical.service.worker import Worker

if TYPE_CHECKING:
    from ecgfm_clinical.monitoring.meters import Meters
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store


def registry_of(
    settings: "Settings",
    store: "Store",
    meters: "Meters",
    *,
    roles: Iterable[str],
    workers: Iterable[Worker],
    clock: wiring.Clock,
    leads: Callable[[], bool],
) -> CollectorRegistry:
    """Every metric of one process. `workers`: its tasks, as they are at each look; `leads`: whether it tells the
    store's figures now.
    """
    registry = meters.registry
    registry.register(
        ProcessFigures(
            version=version(),
            roles=roles,
            tasks=lambda: map(_figures_of, workers),
            certificates=settings.certificates(),
        )
    )
    registry.register(
        StoreFigures(
            store,
            limits=settings.attention,
            sources=wiring.source_names(settings),
            destinations=settings.destination_names,
            clock=clock,
            leads=leads,
        )
    )
    return registry


def endpoint_of(
    settings: "Settings",
    registry: CollectorRegistry,
    *,
    alive: Callable[[], Condition],
    ready: Callable[[], Condition],
) -> Endpoint | None:
    """The port that monitors ask, not yet bound; None where none is set."""
    part = settings.monitoring
    if part.port is None:
        return None
    return Endpoint(host=part.host, port=part.port, registry=registry, alive=alive, ready=ready)


def pushing(settings: "Settings", registry: CollectorRegistry, *, instance: str, clock: wiring.Clock) -> Iterator[Task]:
    """The push to the collector that the settings name. Raises MissingExtra, SettingsError."""
    part = settings.monitoring.otlp
    push = wiring.build_push(settings, registry, instance=instance, clock=clock)
    if part is not None and push is not None:
        yield Task(name="push of metrics", every=timedelta(seconds=part.every_seconds), run=push)


def _figures_of(worker: Worker) -> TaskFigures:
    health = worker.health
    return TaskFigures(
        name=health.name,
        alive=health.alive,
        silence=health.silence,
        failures=health.failures,
        deaths=health.deaths,
    )
