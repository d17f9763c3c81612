"""What twenty operators who click in the console cost those who send ECGs, at half of what the machine takes.

    python -m tests.benchmarks.bench_console                        # SQLite in a temporary folder
    … --store postgresql+psycopg://… --operators 20 --seconds 30    # an empty database

Two processes, as a site runs them: `run --role connect` and `run --role web` over one store. First as many ORU^R01
(10 s at 500 Hz, by MLLP, four connections) as the port takes are sent, which gives the pace; then, at half of that
pace, ECGs for so many seconds without operators and as long with them. Each operator reads two pages a second of those
of the menu, and an ECG. Printed: ECGs taken each second, the wait for an acknowledgement (median, 95th percentile),
and pages answered. Timings mean something on a quiet machine alone.
"""

import argparse
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import httpx
import numpy as np

from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging import migrations
from ecgfm_clinical.web.users import Role, UsersFile
from ecgfm_connectors.testing import oru_writer
from ecgfm_connectors.testing.mllp_cart import MllpCart
from ecgfm_connectors.testing.samples import sample_ecg
from tests.helpers.fakes import wait_until
from tests.helpers.ports import free_port

PROGRAM = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()"]
PASSWORD = "a long password of the benchmark"
CARTS = 4
PAGES = ("/", "/ecgs", "/ecgs?state=waiting", "/dead", "/refused", "/held", "/models", "/audit", "/ecgs/1")
THINKS = 0.5  #: seconds between two clicks of one operator
SETTINGS = """
[site]
name = "Benchmark"
authority = "BENCH"
[store]
url = "{store}"
min_free_mb = 0
[[listeners.hl7]]
name = "hl7"
host = "127.0.0.1"
port = {hl7}
[web]
port = {web}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What the carts saw."""

    rate: float  #: ECGs acknowledged each second
    waits: tuple[float, ...]  #: seconds for each acknowledgement

    def __str__(self) -> str:
        ordered = sorted(self.waits)
        return (
            f"{self.rate:6.1f} ECG/s, acknowledged in {1000 * statistics.median(ordered):6.1f} ms "
            f"(95 %: {1000 * ordered[int(0.95 * len(ordered))]:6.1f} ms)"
        )


def messages(count: int, first: int) -> list[bytes]:
    """Different recordings, made before anything is timed."""
    one = sample_ecg()
    return [
        oru_writer.write_ecg(
            replace(one, source_id=f"2.25.{10**20 + number}", signal=np.roll(one.signal, number, axis=1)),
            control_id=f"B{number}",
            sent_at=datetime(2031, 1, 1, tzinfo=UTC),
        )
        for number in range(first, first + count)
    ]


def sent(port: int, bodies: list[bytes], pace: float | None) -> Flow:
    """By four carts. `pace`: ECGs each second together; None: as fast as they are acknowledged."""
    begun = time.perf_counter()

    def cart(mine: list[tuple[int, bytes]]) -> list[float]:
        waits = []
        with MllpCart("127.0.0.1", port, timeout=300) as one:
            for number, body in mine:
                if pace is not None:
                    time.sleep(max(0.0, begun + number / pace - time.perf_counter()))
                asked = time.perf_counter()
                one.send(body)
                waits.append(time.perf_counter() - asked)
        return waits

    numbered = list(enumerate(bodies))
    with ThreadPoolExecutor(CARTS) as carts:
        waits = [wait for one in carts.map(cart, [numbered[first::CARTS] for first in range(CARTS)]) for wait in one]
    return Flow(rate=len(bodies) / (time.perf_counter() - begun), waits=tuple(waits))


def click(address: str, seed: int, stop: Event) -> tuple[int, list[float]]:
    """One operator: pages answered otherwise than by 200, and seconds for each that was."""
    draw, wrong, took = random.Random(seed), 0, list[float]()
    with httpx.Client(base_url=address, headers={"Origin": address}, timeout=300) as client:
        client.post("/sign-in", data={"name": "operator", "password": PASSWORD})
        while not stop.wait(draw.uniform(0, 2 * THINKS)):
            asked = time.perf_counter()
            if client.get(draw.choice(PAGES)).status_code == 200:
                took.append(time.perf_counter() - asked)
            else:
                wrong += 1
    return wrong, took


@contextmanager
def site(folder: Path, store: str) -> Iterator[tuple[int, str]]:
    """Both processes: the port for HL7, and the console's address."""
    hl7, web = free_port(), free_port()
    path = folder / "settings.toml"
    path.write_text(SETTINGS.format(store=store, hl7=hl7, web=web), encoding="utf-8")
    migrations.upgrade(read_settings(path).store_url)
    UsersFile(folder / "web-users").add("operator", Role.OPERATOR, PASSWORD)
    running = []
    try:
        for role in ("connect", "web"):
            log = folder / f"{role}.log"
            with log.open("wb") as events:
                command = [*PROGRAM, "run", "--role", role, "--settings", str(path)]
                running.append(subprocess.Popen(command, stderr=events))
            wait_until(lambda log=log: b"service.started" in log.read_bytes())  # type: ignore[misc]  # bound now
        yield hl7, f"http://127.0.0.1:{web}"
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(120)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--store", default="sqlite:///staging.sqlite")
    parser.add_argument("--operators", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, site(Path(folder), given.store) as (port, address):
        most = sent(port, messages(200, 0), None)
        print(f"as fast as it goes      {most}")
        pace, count = most.rate / 2, max(CARTS, int(most.rate / 2 * given.seconds))
        alone = sent(port, messages(count, 10_000), pace)
        print(f"half of it, alone       {alone}")
        stop, bodies = Event(), messages(count, 1_000_000)
        with ThreadPoolExecutor(given.operators) as operators:
            clicking = [operators.submit(click, address, seed, stop) for seed in range(given.operators)]
            beside = sent(port, bodies, pace)
            stop.set()
        took = sorted(wait for one in clicking for wait in one.result()[1])
        print(f"half of it, {given.operators:3} beside  {beside}")
        print(
            f"{len(took)} pages, median {1000 * statistics.median(took):.0f} ms, "
            f"95 % {1000 * took[int(0.95 * len(took))]:.0f} ms; "
            f"{sum(one.result()[0] for one in clicking)} not answered by a page"
        )
        slower = statistics.median(beside.waits) / statistics.median(alone.waits) - 1
        print(f"ingestion: rate {100 * (beside.rate / alone.rate - 1):+.1f} %, median wait {100 * slower:+.1f} %")


if __name__ == "__main__":
    main()
