"""How long an encoder is adapted to a hospital, and how long `retrain --method auto` takes, its rivals apart.

    python -m tests.benchmarks.bench_heads                       # 4000 ECGs to adapt on, 1000 patients for auto
    python -m tests.benchmarks.bench_heads --adapt 200 --auto 0 --updates 5   # a part, small

Invented patients (`demo.clinic`), the demo encoder without the two heads, an SQLite store in a temporary folder. Run it
on an idle machine: it prints elapsed and processor time.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from ecgfm.adaptation import Bound
from ecgfm_clinical import wiring
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.demo.learning import start_bundle
from ecgfm_clinical.learning.adaptation import Adaptation
from ecgfm_clinical.learning.models import read_bundle
from ecgfm_clinical.learning.provenance import head_records
from ecgfm_clinical.learning.selected import selection_of
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.reading import read

CONTEXT = ReadingContext(default_authority="DEMO", zone=UTC)


class Stages:
    """Elapsed and processor seconds of each stage, by what the progress says is going on."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[float, float]] = {}
        self._name, self._since = "", (time.perf_counter(), time.process_time())

    def __call__(self, what: str, done: int, total: int) -> None:
        name = what.split(",")[0].split(":")[0]
        if name != self._name:
            self.end()
            self._name = name

    def end(self) -> None:
        now = (time.perf_counter(), time.process_time())
        elapsed, processor = self.found.get(self._name, (0.0, 0.0))
        self.found[self._name] = (elapsed + now[0] - self._since[0], processor + now[1] - self._since[1])
        self._since = now

    def __str__(self) -> str:
        told = ((name or "opening", *own) for name, own in self.found.items())
        return "\n".join(f"    {elapsed:8.1f} s, {own:8.1f} s of processor  {name}" for name, elapsed, own in told)


def hospital(folder: Path, patients: int) -> tuple[Settings, Store]:
    """A store with so many visits, each with an echo and a troponin."""
    now = datetime.now(UTC)
    store = Store.open(f"sqlite:///{folder / 'staging.sqlite'}", create=True, random_bytes=Random(0).randbytes)
    start_bundle(folder)
    for visit in clinic.visits(patients, now=now):
        staged = [(Contents(ecgs=(visit.ecg,)), visit.ecg.source_id.encode())]
        messages = (clinic.echo_message(visit, sent_at=now), clinic.laboratory_message(visit, sent_at=now))
        staged += [(read(message, CONTEXT), message) for message in messages]
        for contents, content in staged:
            received = Received(transport="mllp", source="feed", content=content, received_at=now)
            store.intake.record(received, contents, now=now, actor="bench")
    told = {
        "folder": folder,
        "site": {"name": "Benchmark", "authority": "DEMO"},
        "store": {"url": f"sqlite:///{folder / 'staging.sqlite'}"},
        "model": {"bundle": "start"},
        "learning": {"rivals": {"beside": []}},
    }
    return Settings.model_validate(told), store


def adaptation(ecgs: int, updates: int | None) -> None:
    """Times the adaptation of the demo encoder."""
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as name:
        settings, store = hospital(Path(name), ecgs)
        stages = Stages()
        shop = Workshop(settings=settings, store=store, actor="bench", clock=wiring.utc_now, progress=stages)
        began = time.perf_counter()
        made = shop.adapter().adapted(
            read_bundle(Path(name) / "start"), Adaptation(bound=Bound(updates=updates)), now=wiring.utc_now()
        )
        took = time.perf_counter() - began
        stages.end()
        print(f"adaptation on {ecgs} ECGs: {took:.1f} s; {made.provenance.origin['adaptation']}\n{stages}", flush=True)
        store.close()


def auto(patients: int, minutes: float) -> None:
    """Times `retrain --method auto` up to the judging, which is told apart."""
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as name:
        settings, store = hospital(Path(name), patients)
        stages = Stages()
        shop = Workshop(settings=settings, store=store, actor="bench", clock=wiring.utc_now, progress=stages)
        began = time.perf_counter()
        done = shop.retrain("reduced_lvef", method="auto", budget_seconds=60 * minutes)
        took = time.perf_counter() - began
        stages.end()
        assert done is not None
        judging = sum(own[0] for what, own in stages.found.items() if what.startswith(("judging", "rival")))
        print(f"auto on {patients} patients: {took - judging:.1f} s, and {judging:.1f} s of judging\n{stages}")
        record = head_records(done.bundle)["reduced_lvef"].trained
        chosen = None if record is None else selection_of(record.training)
        if chosen is not None:
            print(f"    chosen: {chosen.chosen}; {chosen.why}")
            for one in chosen.tried:
                print(f"    {one.seconds:8.1f} s  {one.name}: {one.skipped or f'{one.auroc:.3f}'}")
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapt", type=int, default=4000, help="ECGs to adapt on; 0: leave it out")
    parser.add_argument("--updates", type=int, default=None, help="of the adaptation; six passes if not given")
    parser.add_argument("--auto", type=int, default=1000, help="patients; 0: leave it out")
    parser.add_argument("--budget", type=float, default=15.0, help="minutes")
    given = parser.parse_args()
    if given.adapt:
        adaptation(given.adapt, given.updates)
    if given.auto:
        auto(given.auto, given.budget)


if __name__ == "__main__":
    main()
