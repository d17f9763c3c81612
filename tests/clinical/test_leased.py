"""`score` and `send` by hand after a process was killed: what it held is taken back, what others hold is named."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.liveness import worker_name
from ecgfm_clinical.settings import read_settings
from ecgfm_connectors.testing import aecg_writer
from tests.helpers.fakes import make_ecg

pytestmark = pytest.mark.slow(10)

Run = Callable[..., tuple[int, str, str]]


def killed() -> str:
    """The name of a worker whose process on this host has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    host, namespace, _, role = worker_name("score").split(":")
    return f"{host}:{namespace}:{process.pid}:{role}"


@pytest.fixture
def claimed(site: Path, run: Run, tmp_path: Path) -> Callable[[str], None]:
    """One ECG that a worker of this name has in hand."""

    def claim(worker: str) -> None:
        (tmp_path / "one.xml").write_bytes(aecg_writer.write_ecg(make_ecg(1)))
        assert run("ingest", tmp_path / "one.xml", "--settings", site)[0] == 0
        settings = read_settings(site)
        store = wiring.open_store(settings)
        lease = settings.scoring.lease
        assert len(store.jobs.claim(worker=worker, limit=9, now=wiring.utc_now(), lease=lease)) == 1
        store.close()

    return claim


def test_what_a_killed_process_held_is_scored_at_once(run: Run, site: Path, claimed: Callable[[str], None]) -> None:
    """It took 0 jobs without a word, until the lease ended."""
    claimed(killed())
    code, out, err = run("score", "--settings", site, "--json")
    assert code == 0
    assert json.loads(out) == {"jobs": 1, "taken_back": 1, "waiting": 0, "leased": []}
    assert "1 jobs and messages taken back from processes that run no longer" in err


def test_what_a_process_elsewhere_holds_is_named_with_its_end(
    run: Run, site: Path, claimed: Callable[[str], None]
) -> None:
    claimed("elsewhere:1:4711:score")
    _, out, _ = run("score", "--settings", site)
    assert "0 score jobs taken" in out
    assert "1 are leased to elsewhere:1:4711:score (host:namespace:process:role) until 20" in out
    ((one,), taken) = (json.loads(run("score", "--settings", site, "--json")[1])[key] for key in ("leased", "jobs"))
    assert (one["worker"], one["jobs"], taken) == ("elsewhere:1:4711:score", 1, 0)
