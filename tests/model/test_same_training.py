"""A training gives the same losses and weights on one process or two, stopped or killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ecgfm.finetuning import train
from ecgfm.finetuning.trained import with_head
from ecgfm.pretraining.checkpoint import load_pretraining
from ecgfm.pretraining.machine import Machine
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.run import pretrain
from ecgfm.pretraining.shards import ShardSet
from tests.helpers.planted import SPEC, SPLIT, record_of, scores, settings_of_one_epoch
from tests.helpers.ports import free_port
from tests.helpers.tiny_models import tiny_network
from tests.helpers.tiny_pretraining import LOSSES, UPDATES, last, losses, metrics, write_recipe
from tests.model import several_processes
from tests.model.several_processes import Job

pytestmark = [
    pytest.mark.slow(25),
    pytest.mark.skipif(find_spec("lightning") is None, reason="optional extra `train`"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As the processes beside have it: how a sum is shared among threads is in its last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(shards: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process that was never stopped: what every other way of making it is compared with."""
    folder = tmp_path_factory.mktemp("whole")
    pretrain(write_recipe(folder / "recipe.toml"), shards, folder / "run", machine=Machine(accelerator="cpu"))
    return folder / "run"


@pytest.fixture(scope="module")
def from_others(shards: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs `killed`, after its 8th update, and, half way and by two processes with gloo, `ddp` and `sharded`; the
    sharded one was stopped and begun again. What the two fine-tuned together is `together.pt`.
    """
    folder = tmp_path_factory.mktemp("others")
    write_recipe(folder / "recipe.toml")
    Job(
        recipe=str(folder / "recipe.toml"),
        shards=str(shards.folder),
        folder=str(folder),
        kill_after=8,
        half=UPDATES // 2,
        port=free_port(),
    ).write(folder / "job.json")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, several_processes.__file__, str(folder / "job.json")],
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'model'}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.stdout.split() == [str(-signal.SIGKILL), "0", "0"], done.stderr[-3000:]
    return folder


def test_a_run_that_stopped_goes_on_as_if_it_had_not(
    recipe: Recipe, shards: ShardSet, whole: Path, tmp_path: Path
) -> None:
    pretrain(recipe, shards, tmp_path / "parts", max_updates=5)
    pretrain(recipe, shards, tmp_path / "parts", stop=lambda: True)
    pretrain(recipe, shards, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(whole)
    expected, found = (load_pretraining(last(run))[0].state_dict() for run in (whole, tmp_path / "parts"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    recipe: Recipe, shards: ShardSet, whole: Path, from_others: Path
) -> None:
    run = from_others / "killed"
    assert last(run).name == "update-00000006.pt"
    assert {row["update"] for row in metrics(run)} == {"2", "3", "4", "6", "8"}
    pretrain(recipe, shards, run)
    assert losses(run) == losses(whole)


@pytest.mark.parametrize("kind", ["ddp", "sharded"])
def test_two_processes_give_the_losses_of_one_and_one_goes_on_with_their_run(
    kind: str, recipe: Recipe, shards: ShardSet, whole: Path, from_others: Path
) -> None:
    """Gradients differ by rounding only, so losses stay together for the whole run, whoever makes its second half."""
    run = from_others / kind
    assert last(run).name == "update-00000006.pt"
    pretrain(recipe, shards, run)
    one, two = metrics(whole), metrics(run)
    assert [row["update"] for row in one] == [row["update"] for row in two]
    assert int(two[-1]["update"]) == UPDATES
    for ours, theirs in zip(one, two, strict=True):
        for name in LOSSES:
            assert float(theirs[name]) == pytest.approx(float(ours[name]), rel=1e-5), (ours["update"], name)


def test_two_processes_train_as_one(from_others: Path, tmp_path: Path) -> None:
    """Data parallel fine-tuning gives, up to rounding, what one process gives with the same batches."""
    alone = train.fine_tune(
        tiny_network(), SPEC, SPLIT, record_of, settings_of_one_epoch(devices=1), folder=tmp_path / "alone"
    )
    together = with_head(tiny_network(), SPEC)
    together.load_state_dict(torch.load(from_others / "together.pt", weights_only=True))
    expected, found = (
        scores(network, SPLIT.validation, tmp_path / name)
        for name, network in (("a", alone.network), ("b", together.eval()))
    )
    assert found == pytest.approx(expected, abs=1e-4)
