"""What tests of every part share: which of them are slow, in which order workers take them, and empty stores."""

import gc
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis  # noqa: F401  # before anything is frozen: it asks who refers to the generators that it sets
import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfm import devices
from tests.helpers import made_once, ports, prepared
from tests.helpers.postgresql import PostgresqlServer, programs

# Threads sleep while they wait: one that spins until the other has had its turn on a busy core took ten times the
# processor time. It is said before the conftest.py of a folder that is named loads torch, which asks once.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker a core for the whole suite, and one more, because many slow tests wait for other programs; four at most.
    None for files by name, which end sooner than workers start.
    """
    cores = len(os.sched_getaffinity(0))
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    waiting = config.getoption("markexpr") != "not slow"  # the fast subset hardly waits: one more would only load more
    return min(cores + waiting, 4) if whole and cores > 1 else 0


def pytest_configure(config: pytest.Config) -> None:
    """Workers share the cores: more threads than one each (torch's, BLAS's) would only wait for each other.

    Compiled code is kept whatever the environment says: workers and the processes that tests start, some hundreds,
    would compile all of it anew.
    """
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    made_once.compile_statements_once()
    made_once.build_commands_once()
    made_once.believe_one_authority()
    prepared.copy_schemas()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Modules and tests live to the end: looking through them for garbage, again and again, took a fifth of the tests'
    processor time. What garbage there is by then stays with them: it is little, and to find it takes seconds.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """What the tests left is not looked through for garbage when a worker ends: five seconds for what nobody reads."""
    gc.freeze()


# A file of which everything is slow says so in one line, alone or first in a list.
_WHOLLY_SLOW = re.compile(r"^pytestmark = \[?\s*pytest\.mark\.(?:slow|benchmark)\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fast subset does not even import files that are slow as a whole: they load what takes seconds to load."""
    if config.getoption("markexpr") != "not slow" or not collection_path.match("test_*.py"):
        return None
    return True if _WHOLLY_SLOW.search(collection_path.read_text(encoding="utf-8")) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Whoever waits for a database server is slow; workers begin with the files that take longest."""
    for item in items:
        if any("postgresql" in name for name in (*item.fixturenames, item.name)):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        _longest_first(items)


def _longest_first(items: list[pytest.Function]) -> None:
    """By what files say of themselves, `slow(SECONDS)`: none of the long ones is begun when the others are done."""
    seconds: dict[Path, float] = defaultdict(float)
    for item in items:
        said = [marker.args[0] if marker.args else 5.0 for marker in item.iter_markers("slow")]
        seconds[item.path] = max(seconds[item.path], *said, 0.0)
    items.sort(key=lambda item: -seconds[item.path])


@pytest.fixture(autouse=True)
def auto_is_the_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what device "auto" finds: a GPU is seen by those alone that are marked `cuda`, and name it."""
    if request.node.get_closest_marker("cuda") is None:
        monkeypatch.setattr(devices, "cuda_present", lambda: False)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """The session's server; skips where no PostgreSQL is installed."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (no /usr/lib/postgresql/*/bin/initdb and none on PATH)")
    server = PostgresqlServer(found)
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def own_postgresql(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """A server that the test may stop; the shared one must stay up."""
    server = postgresql_server.another()
    server.start()
    yield server
    server.close()


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """A new, empty database."""
    url = postgresql_server.create_database()
    yield url
    postgresql_server.leave(url)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Every test that takes it, or one of the two below, runs on both."""
    return str(request.param)


@pytest.fixture
def empty_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a schema."""
    if database_kind == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def store_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store that was migrated and never opened: a copy of a template, which costs a fifth of a migration."""
    if database_kind == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.create_database(template=server.schema)
        yield url
        server.leave(url)
        return
    prepared.copy_store(tmp_path / "store.db")
    yield f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(scope="module")
def quick_judging() -> Iterator[None]:
    """Intervals from 100 samples of the patients instead of 1000, forests of 50 trees instead of 500: for files that
    train and judge, and do not look at how wide an interval is.
    """
    from ecgfm import metrics
    from ecgfm_clinical.learning.judging import comparators

    draw = metrics.patient_weights

    def few(patients: Sequence[object], *, replicates: int, seed: int = 0) -> Iterator[NDArray[np.float64]]:
        return draw(patients, replicates=min(replicates, 100), seed=seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "patient_weights", few)
        patch.setattr(comparators, "TREES", 50)
        yield


@pytest.fixture(scope="module")
def signals_remembered() -> Iterator[None]:
    """For files that train again and again on the same ECGs."""
    with pytest.MonkeyPatch.context() as patch:
        made_once.remember_signals(patch)
        yield


@pytest.fixture
def migrations_run() -> Iterator[None]:
    """New SQLite stores get their schema step by step, as outside of tests, and not as a copy."""
    with prepared.migrations_run():
        yield


@pytest.fixture(scope="session")
def without_power_cuts() -> Iterator[str]:
    """SQLite's commits do not wait for the disk, as those of the tests' PostgreSQL server: a process that is killed
    loses nothing by it, only a machine without power does. What `PRAGMA synchronous` is without it.
    """
    from ecgfm_clinical.staging import engine

    durable, engine.SYNCHRONOUS = engine.SYNCHRONOUS, "OFF"
    yield durable
    engine.SYNCHRONOUS = durable


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port nobody listens on."""
    return ports.free_port
