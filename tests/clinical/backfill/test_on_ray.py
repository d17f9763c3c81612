"""`backfill --ray`: the bytes of one machine from a Ray cluster, of which a node is killed meanwhile."""

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clinical.conftest import Run
from tests.helpers.recordings import write_different, write_recordings
from tests.helpers.tiny_models import write_tiny_bundle

pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
ray = pytest.importorskip("ray", reason="ray is not installed (optional extra `ray`)")

pytestmark = [pytest.mark.slow(60), pytest.mark.filterwarnings("ignore")]

MEMORY = 150 * 2**20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny"
    write_tiny_bundle(path)
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that does no work, and two nodes that do."""
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_agent_register_timeout_ms": "300000"}
    made = Cluster()
    try:
        made.add_node(num_cpus=0, object_store_memory=MEMORY, include_dashboard=False)
        for _ in range(2):
            made.add_node(num_cpus=2, object_store_memory=MEMORY)
    except Exception as error:  # noqa: BLE001  Ray gives its own processes 30 s to start, and raises nothing narrower
        made.shutdown()
        pytest.skip(f"Ray's own processes do not start in time on this machine: {error}")
    yield made
    made.shutdown()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As Ray gives an actor of one processor: sums over two threads differ in their last bit."""
    torch = importlib.import_module("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


Backfill = Callable[..., tuple[int, str, str]]


@pytest.fixture
def backfill(run: Run, bundle: Path) -> Backfill:
    def call(out: Path, *words: object) -> tuple[int, str, str]:
        return run("backfill", "run", "--out", out, "--model", bundle, "--device", "cpu", "--part-rows", 40, *words)

    return call


def outputs(folder: Path) -> dict[str, bytes]:
    names = ("predictions", "embeddings", "identifiers", "parts")
    found = {str(path.relative_to(folder)): path.read_bytes() for name in names for path in (folder / name).iterdir()}
    return found | {name: (folder / name).read_bytes() for name in ("receipt.json", "unreadable.csv", "manifest.jsonl")}


def cpus_held(node_id: str) -> float:
    """Processors of a node that work keeps now."""
    from ray._private.state import available_resources_per_node

    free: dict[str, dict[str, float]] = available_resources_per_node()
    return 2.0 - free[node_id].get("CPU", 0.0)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One hundred recordings, as `test_backfill` scores forty live, twice, among others of which one is broken."""
    folder = write_recordings(tmp_path / "ecgs")
    write_different(folder / "first", 100)
    write_different(folder / "second", 100)
    return folder


@pytest.mark.usefixtures("one_thread")
def test_a_cluster_that_loses_a_node_writes_the_bytes_of_one_machine(
    backfill: Backfill, cluster: Any, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = importlib.import_module("ecgfm_clinical.backfill.run")

    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    given = (archive, "--embeddings", "--identifiers", key)
    assert backfill(tmp_path / "here", *given, "--workers", 0)[0] == 0
    held: list[float] = []
    write_part, nodes = module.write_part, list(cluster.worker_nodes)

    def write_and_kill(*words: Any) -> Any:
        if words[1] == 0:
            held.append(cpus_held(nodes[0].node_id))
            cluster.remove_node(nodes[0], allow_graceful=False)
        return write_part(*words)

    monkeypatch.setattr(module, "write_part", write_and_kill)
    code, said, err = backfill(tmp_path / "there", *given, "--ray", cluster.address)
    assert code == 0, err
    assert "208 scored, 1 unreadable" in said
    assert len(cluster.worker_nodes) == 1
    assert held[0] > 0, "the node that was lost had work in hand"
    assert outputs(tmp_path / "there") == outputs(tmp_path / "here")


def test_a_cluster_that_does_not_answer_is_said(backfill: Backfill, archive: Path, tmp_path: Path) -> None:
    code, _, err = backfill(tmp_path / "out", archive, "--ray", "127.0.0.1:1")
    assert code == 1
    assert "no Ray cluster answers at 127.0.0.1:1" in err
