"""How long the console's page ECGs takes over a store with a million ECGs, filter by filter.

    python -m tests.benchmarks.bench_console_search                          # SQLite in a temporary folder
    … --store postgresql://… --rows 1000000 --times 40                 # an empty database, or one filled before

Printed: median and 95th percentile in ms of the search and of the same as a whole page over HTTP by one person, each
from random places in the list.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
from argon2 import PasswordHasher
from sqlalchemy import func, select, update

from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.schema import ecg
from ecgfm_clinical.staging.search import Keyset, Wanted
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.web.app import build_console
from ecgfm_clinical.web.users import Role, UsersFile
from tests.benchmarks.bench_store import Filler, fill_history, opened
from tests.helpers.web_port import serving

PASSWORD = "a long benchmark password"
#: What the filter asks, as the address says it; the last ones are fulfilled by nobody.
FILTERS: dict[str, dict[str, str]] = {
    "none": {},
    "one source": {"source": "cart"},
    "positive": {"answer": "positive"},
    "failed: none is": {"state": "failed"},
    "a reason: none has": {"reason": "clipped-lead"},
    "a device: none is": {"device": "Nobody's"},
    "a head: none has": {"head": "nose", "answer": "positive"},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--store", default="")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = given.store or f"sqlite:///{folder / 'store.db'}"
        store = opened(url)
        if store.questions.counts().received < given.rows:
            fill_history(store, given.rows)
        _give_names(store)
        print(f"{store.questions.counts().received} ECGs; median and 95th percentile in ms of {given.times}")
        _measure(store, folder, url, given.times)
        store.close()


def _give_names(store: Store) -> None:
    """The history that is filled in has no patients and devices: each row gets those of one real ECG."""
    Filler(store, samples=10, payload_bytes=100).take()
    with store.database.writing(datetime.now(UTC), "bench") as tx:
        real = tx.connection.execute(select(ecg.c.private, ecg.c.about).order_by(ecg.c.ecg_id.desc()).limit(1)).one()
        empty = func.length(ecg.c.private) < func.length(real.private)
        tx.connection.execute(update(ecg).where(empty).values(private=real.private, about=real.about))


def _measure(store: Store, folder: Path, url: str, times: int) -> None:
    draw, places = random.Random(1), _places(store, times)
    path = folder / "settings.toml"
    path.write_text(
        f'[site]\nname = "Bench"\nauthority = "B"\n[store]\nurl = "{url}"\n[model]\nbundle = "demo"\n'
        '[web]\nusers = "web-users"\n',
        encoding="utf-8",
    )
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    UsersFile(folder / "web-users", hasher).add("viewer", Role.VIEWER, PASSWORD)
    console = build_console(read_settings(path), store, hasher=hasher)
    with (
        serving(console) as address,
        httpx.Client(base_url=address, headers={"Origin": address}, timeout=120) as client,
    ):
        client.post("/sign-in", data={"name": "viewer", "password": PASSWORD})
        for name, asked in FILTERS.items():
            draw.shuffle(places)
            search = [_took(partial(store.search.page, _wanted(asked, at), limit=50)) for at in places]
            page = [_took(partial(client.get, "/ecgs", params={**asked, "after": _said(at)})) for at in places]
            print(f"{name:22} search {_figures(search)}   page {_figures(page)}")


def _places(store: Store, count: int) -> list[Keyset]:
    draw = random.Random(2)
    with store.database.reading() as ask:
        last = ask.connection.scalar(select(func.max(ecg.c.ecg_id))) or 1
        numbers = [draw.randint(1, last) for _ in range(count)]
        rows = ask.connection.execute(select(ecg.c.received_at, ecg.c.ecg_id).where(ecg.c.ecg_id.in_(numbers)))
        return [(row.received_at, row.ecg_id) for row in rows]


def _wanted(asked: dict[str, str], after: Keyset) -> Wanted:
    state = EcgState(asked["state"]) if "state" in asked else None
    others = {name: value for name, value in asked.items() if name != "state"}
    return Wanted(after=after, state=state, **others)  # type: ignore[arg-type]  # texts all of them


def _said(at: Keyset) -> str:
    return f"{at[0].astimezone(UTC).isoformat()}~{at[1]}"


def _took(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - began)


def _figures(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered):6.1f} {ordered[int(0.95 * (len(ordered) - 1))]:6.1f}"


if __name__ == "__main__":
    main()
