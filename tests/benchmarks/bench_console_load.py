"""What twenty operators who click in the console cost those who send ECGs, at half of what the machine takes.

    python -m tests.benchmarks.bench_console_load                      # SQLite in a temporary folder, 4 minutes
    … --store postgresql+psycopg://…                                   # an empty database
    … --operators 20 --seconds 20 --rounds 4

Two processes, as a site runs them: `run --role connect` and `run --role web` over one store. First as many ORU^R01
(10 s at 500 Hz, by MLLP, four connections) as the port takes are sent, which gives the pace. Then ECGs fall due at half
of that pace, for so many seconds with and for so many without operators in turn, the order changing from round to
round: what else the machine does, and a store that grows, cost both the same. Operators read, think about a second,
open an ECG, filter, and the page Now refreshes itself. The wait of an ECG runs from when it fell due, so that a port
that is late is not asked less.

Printed: both waits and their ratio by round, the processor time of each process an ECG and a page, and each page by
itself, one after the other with nothing else to do. Ratios of waits mean something on a quiet machine alone.
"""

import argparse
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import httpx
import numpy as np

from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging import migrations
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.web.users import Role, UsersFile
from ecgfm_connectors.testing import oru_writer
from ecgfm_connectors.testing.mllp_cart import MllpCart
from ecgfm_connectors.testing.samples import sample_ecg
from tests.benchmarks.bench_store import scoring
from tests.helpers.fakes import wait_until
from tests.helpers.ports import free_port

PROGRAM = [sys.executable, "-c", "from ecgfm_clinical.cli import main; main()"]
PASSWORD = "a long password of the benchmark"
CARTS = 4
FIRST = 300  #: ECGs sent as fast as they are taken, and scored: what operators look at
REFRESHED = "/ refreshed"
#: What an operator does next, and how often; `N` is an ECG of the list.
CLICKS = {
    REFRESHED: 4,
    "/": 2,
    "/ecgs": 4,
    "/ecgs?state=waiting": 2,
    "/ecgs?answer=not-evaluable": 1,
    "/ecgs/N": 4,
    "/ecgs/N/drawing.svg": 2,
    "/dead": 2,
    "/refused": 1,
    "/held": 1,
    "/pauses": 1,
    "/outcomes": 1,
    "/models": 1,
    "/drift": 1,
    "/audit": 1,
}
THINKS = (0.5, 1.5)  #: seconds between two clicks of one operator
EACH = 20  #: times that each page is asked for by itself
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
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = 1
[web]
port = {web}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What the carts saw in one stretch, and what the processes spent on it."""

    rate: float  #: ECGs acknowledged each second
    waits: tuple[float, ...]  #: seconds from when an ECG fell due to its acknowledgement
    connect: float  #: seconds of processor time of the process that takes ECGs, each
    web: float  #: of the console, in all
    pages: int = 0

    def __str__(self) -> str:
        ordered = sorted(self.waits)
        return (
            f"{self.rate:6.1f} ECG/s, acknowledged in {1000 * statistics.median(ordered):6.1f} ms "
            f"(mean {1000 * statistics.fmean(ordered):6.1f}, 95 %: {1000 * ordered[int(0.95 * len(ordered))]:6.1f}), "
            f"processor {1000 * self.connect:5.2f} ms an ECG"
            + (f", console {1000 * self.web / self.pages:5.1f} ms a page of {self.pages}" if self.pages else "")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Both processes."""

    folder: Path
    hl7: int
    address: str
    connect: int  #: process ids
    web: int

    def flow(self, bodies: Sequence[bytes], pace: float | None) -> Flow:
        """By four carts. `pace`: ECGs each second together; None: as fast as they are acknowledged."""
        spent = processor_seconds(self.connect), processor_seconds(self.web)
        begun = time.perf_counter()

        def cart(mine: Sequence[tuple[int, bytes]]) -> list[float]:
            waits = []
            with MllpCart("127.0.0.1", self.hl7, timeout=300) as one:
                for number, body in mine:
                    due = time.perf_counter() if pace is None else begun + number / pace
                    time.sleep(max(0.0, due - time.perf_counter()))
                    one.send(body)
                    waits.append(time.perf_counter() - due)
            return waits

        numbered = list(enumerate(bodies))
        with ThreadPoolExecutor(CARTS) as carts:
            parts = [numbered[first::CARTS] for first in range(CARTS)]
            waits = [wait for one in carts.map(cart, parts) for wait in one]
        return Flow(
            rate=len(bodies) / (time.perf_counter() - begun),
            waits=tuple(waits),
            connect=(processor_seconds(self.connect) - spent[0]) / len(bodies),
            web=processor_seconds(self.web) - spent[1],
        )


class Operators:
    """People who click while they are let."""

    def __init__(self, address: str, count: int) -> None:
        self._at_work, self._gone = Event(), Event()
        self.took: dict[str, list[float]] = {page: [] for page in CLICKS}
        self.wrong = 0
        self._leaving, self._hands = ExitStack(), ThreadPoolExecutor(count)
        clients = [self._leaving.enter_context(signed_in(address)) for _ in range(count)]  # all, before any clicks
        self._running = [self._hands.submit(self._click, client, seed) for seed, client in enumerate(clients)]

    @property
    def pages(self) -> int:
        return sum(map(len, self.took.values()))

    @contextmanager
    def clicking(self) -> Iterator[None]:
        self._at_work.set()
        try:
            yield
        finally:
            self._at_work.clear()

    def go(self) -> None:
        """They leave. Raises what broke in one of them."""
        self._gone.set()
        self._at_work.set()
        for one in self._running:
            one.result()
        self._hands.shutdown()
        self._leaving.close()

    def _click(self, client: httpx.Client, seed: int) -> None:
        draw = random.Random(seed)
        while not self._gone.is_set():
            self._at_work.wait()
            if self._gone.wait(draw.uniform(*THINKS)) or not self._at_work.is_set():
                continue
            page = draw.choices(list(CLICKS), list(CLICKS.values()))[0]
            asked = time.perf_counter()
            if asks(client, page, draw.randint(1, FIRST)) == 200:
                self.took[page].append(time.perf_counter() - asked)
            else:
                self.wrong += 1


@contextmanager
def signed_in(address: str) -> Iterator[httpx.Client]:
    """A browser of one operator."""
    with httpx.Client(base_url=address, headers={"Origin": address}, timeout=300) as client:
        assert client.post("/sign-in", data={"name": "operator", "password": PASSWORD}).status_code == 303
        yield client


def asks(client: httpx.Client, page: str, number: int) -> int:
    """One of `CLICKS`; the status of the answer."""
    headers = {"HX-Request": "true"} if page == REFRESHED else {}
    return client.get(re.sub("N", str(number), page.split(" ")[0]), headers=headers).status_code


def processor_seconds(process: int) -> float:
    """So many a process has spent, in all its threads."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


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


def score_all(store: Store) -> None:
    """An answer for everything that waits."""
    now = datetime.now(UTC)
    while jobs := store.jobs.claim(worker="bench", limit=50, now=now, lease=timedelta(minutes=5)):
        store.jobs.finish([(job, scoring(job.ecg_id)) for job in jobs], now=now, worker="bench")


@contextmanager
def site(folder: Path, store: str) -> Iterator[Site]:
    """Both processes over a new store."""
    hl7, web = free_port(), free_port()
    path = folder / "settings.toml"
    path.write_text(SETTINGS.format(store=store, hl7=hl7, web=web), encoding="utf-8")
    migrations.upgrade(read_settings(path).store_url)
    UsersFile(folder / "web-users").add("operator", Role.OPERATOR, PASSWORD)
    with ExitStack() as ending:
        running = [ending.enter_context(_process(role, path)) for role in ("connect", "web")]
        yield Site(folder=folder, hl7=hl7, address=f"http://127.0.0.1:{web}", connect=running[0], web=running[1])


@contextmanager
def _process(role: str, settings: Path) -> Iterator[int]:
    log = settings.with_name(f"{role}.log")
    with log.open("wb") as events:
        running = subprocess.Popen([*PROGRAM, "run", "--role", role, "--settings", str(settings)], stderr=events)
    try:
        wait_until(lambda: b"service.started" in log.read_bytes())
        yield running.pid
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(120)


def each_page(one: Site) -> None:
    """What a page costs by itself."""
    print(f"{'page':28} processor ms  answered in ms")
    with signed_in(one.address) as client:
        for page in CLICKS:
            asks(client, page, 1)
            spent, begun = processor_seconds(one.web), time.perf_counter()
            codes = {asks(client, page, 1 + number) for number in range(EACH)}
            took, spent = time.perf_counter() - begun, processor_seconds(one.web) - spent
            wrong = codes if codes != {200} else ""
            print(f"{page:28} {1000 * spent / EACH:12.1f} {1000 * took / EACH:15.1f} {wrong}")


def ratio(values: Sequence[tuple[Flow, Flow]], of: Callable[[Sequence[float]], float]) -> float:
    """Of the medians, or means, of all rounds: with operators ÷ without."""
    alone, beside = ([wait for pair in values for wait in pair[place].waits] for place in (0, 1))
    return of(beside) / of(alone)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--store", default="sqlite:///staging.sqlite")
    parser.add_argument("--operators", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, site(Path(folder), given.store) as one:
        most = one.flow(messages(FIRST, 0), None)
        print(f"as fast as it goes  {most}")
        with closing(Store.open(read_settings(Path(folder) / "settings.toml").store_url)) as store:
            score_all(store)
        each_page(one)
        pace = most.rate / 2
        operators, pairs, first = Operators(one.address, given.operators), list[tuple[Flow, Flow]](), FIRST
        for number in range(given.rounds):
            found: dict[bool, Flow] = {}
            for beside in (number % 2 == 0, number % 2 == 1):
                bodies = messages(max(CARTS, int(pace * given.seconds)), first)
                first += len(bodies)
                pages = operators.pages
                if beside:
                    with operators.clicking():
                        flow = one.flow(bodies, pace)
                else:
                    flow = one.flow(bodies, pace)
                found[beside] = replace(flow, pages=operators.pages - pages)
            pairs.append((found[False], found[True]))
            print(f"half of it, alone   {found[False]}\n      {given.operators:3} operators {found[True]}", flush=True)
        operators.go()
        took = sorted(wait for waits in operators.took.values() for wait in waits)
        print(
            f"{len(took)} pages, median {1000 * statistics.median(took):.0f} ms, "
            f"95 % {1000 * took[int(0.95 * len(took))]:.0f} ms; {operators.wrong} not answered by a page"
        )
        rates = statistics.fmean(b.rate for _, b in pairs) / statistics.fmean(a.rate for a, _ in pairs)
        by_round = ", ".join(f"{100 * (ratio([pair], statistics.median) - 1):+.1f}" for pair in pairs)
        print(
            f"ingestion with operators: rate {100 * (rates - 1):+.1f} %, median wait "
            f"{100 * (ratio(pairs, statistics.median) - 1):+.1f} % (by round {by_round}), mean "
            f"{100 * (ratio(pairs, statistics.fmean) - 1):+.1f} %; load of the machine {os.getloadavg()[0]:.1f}"
        )


if __name__ == "__main__":
    main()
