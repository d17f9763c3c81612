"""The life of identities, recordings, results and messages, explored by random sequences on both databases.

`ECGFM_SEQUENCES=10000 pytest tests/clinical/lifecycle/test_machine.py -k sqlite -n 0` is the long form; it prints the
seed of what it finds, which `--hypothesis-seed` plays again.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.clinical.lifecycle.machine import on
from tests.clinical.lifecycle.places import on_postgresql, on_sqlite

pytestmark = pytest.mark.slow(15)

STEPS = 30


def _settings(short: int) -> settings:
    return settings(
        max_examples=int(os.environ.get("ECGFM_SEQUENCES", short)),
        stateful_step_count=STEPS,
        deadline=None,
        derandomize="ECGFM_SEQUENCES"
        not in os.environ,  # the suite tries the same ones each time; a long run, new ones
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """In memory where the system has such a folder: thousands of commits cost a disk too much."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="ecgfm-lives-") as folder:
        yield Path(folder)


@pytest.mark.timeout(0)
def test_on_sqlite(quick_folder: Path) -> None:
    run_state_machine_as_test(on(on_sqlite(quick_folder)), settings=_settings(60))


@pytest.mark.timeout(0)
@pytest.mark.peer
def test_on_postgresql(postgresql_url: str) -> None:
    run_state_machine_as_test(on(on_postgresql(postgresql_url)), settings=_settings(8))
