"""Processor time of one scrape of `/metrics` over a store with a million ECGs of history.

    python -m tests.benchmarks.bench_scrape                            # SQLite in a temporary folder
    … --store postgresql://… --rows 1000000 --scrapes 50               # an empty database, or one filled before

The service's own collectors and instruments answer over HTTP, as Prometheus asks; the processor time is that of this
process, its share of the caller's included (PostgreSQL's server has its own). Printed: median and longest of the
scrapes, in ms, and what each part of the store's figures takes.
"""

import argparse
import statistics
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ecgfm_clinical.monitoring.endpoint import Condition, Endpoint
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.monitoring.process_figures import ProcessFigures
from ecgfm_clinical.monitoring.store_figures import StoreFigures
from ecgfm_clinical.settings import Attention
from ecgfm_clinical.staging.store import Store
from tests.benchmarks.bench_store import fill_history, opened

SOURCES = ("cart", "dicom", "hl7")
DESTINATIONS = ("ehr",)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--store", default="")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--scrapes", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = opened(given.store or f"sqlite:///{Path(folder, 'store.db')}")
        held = store.questions.counts().received
        if held < given.rows:
            fill_history(store, given.rows)
            _set_aside(store)
        print(f"{store.questions.counts().received} ECGs, {store.room().size / 1e6:.0f} MB")
        _measure(store, given.scrapes)
        store.close()


def _set_aside(store: Store) -> None:
    """Of a thousand payloads a hundred were refused (events of an ADT feed) and one is unreadable."""
    kinds = (
        ("refused", "event-not-followed", "payload_id % 10 = 0"),
        ("unreadable", "charset", "payload_id % 1000 = 1"),
    )
    with store.database.writer.begin() as connection:
        for disposition, code, which in kinds:
            connection.exec_driver_sql(
                f"UPDATE payload SET disposition = '{disposition}', code = '{code}' WHERE {which}".replace("%", "%%")
                if connection.dialect.name == "postgresql"
                else f"UPDATE payload SET disposition = '{disposition}', code = '{code}' WHERE {which}"
            )


def _measure(store: Store, scrapes: int) -> None:
    meters = Meters(sources=SOURCES, listeners=SOURCES[1:], destinations=DESTINATIONS)
    meters.registry.register(ProcessFigures(version="0", roles=("score",), tasks=list))
    figures = StoreFigures(
        store,
        limits=Attention(),
        sources=SOURCES,
        destinations=DESTINATIONS,
        clock=lambda: datetime.now(UTC),
        leads=lambda: True,
    )
    meters.registry.register(figures)
    endpoint = Endpoint(host="127.0.0.1", port=0, registry=meters.registry, alive=Condition, ready=Condition)
    endpoint.start()
    took = [_processor_time(lambda: _scrape(endpoint.port)) for _ in range(scrapes + 3)][3:]
    endpoint.stop()
    print(f"a scrape: median {statistics.median(took):.1f} ms, longest {max(took):.1f} ms of processor time")
    for name, spent in _by_part(store, figures, scrapes).items():
        print(f"  {name:24} {spent:6.2f} ms")


def _scrape(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        assert b"ecgfm_store_up 1.0" in answer.read()


def _processor_time(step: Callable[[], object]) -> float:
    """ms"""
    began = time.process_time()
    step()
    return (time.process_time() - began) * 1000


def _by_part(store: Store, figures: StoreFigures, times: int) -> dict[str, float]:
    """Medians of the questions that a scrape asks."""
    now = datetime.now(UTC)
    parts: dict[str, Callable[[], object]] = {
        "all store figures": lambda: list(figures.collect()),
        "backlog": store.questions.backlog,
        "count table": store.questions.count_table,
        "refusals": store.questions.refusals,
        "payloads to look at": store.questions.payloads_to_look_at,
        "held": store.questions.held,
        "last received": lambda: store.movement.last_received(SOURCES),
        "last acknowledged": lambda: store.movement.last_acknowledged(DESTINATIONS),
        "destination": lambda: store.destinations.status("ehr", now=now),
        "models": lambda: (store.models.live(), store.models.shadow(), store.models.last_drift()),
        "room": store.room,
        "processes": store.processes.all,
        "audit spool": store.audit_spool.untold,
        "displaced": store.home.displaced,
    }
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(times):
        for name, ask in parts.items():
            found[name].append(_processor_time(ask))
    return {name: statistics.median(each) for name, each in found.items()}


if __name__ == "__main__":
    main()
