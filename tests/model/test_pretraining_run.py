"""A pretraining run gives the same losses on one process or two, stopped or not,
and refuses to go on with something else.
"""

import csv
import dataclasses
import errno
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgfm.errors import DataError, RecipeError, TrainingError
from ecgfm.pretraining.batches import ShareOf, TrainingBatches, ValidationBatches, pair_up, split_rows, torch_seed
from ecgfm.pretraining.checkpoint import load_pretraining, newest_checkpoint
from ecgfm.pretraining.figures import METRICS, Progress
from ecgfm.pretraining.machine import Machine
from ecgfm.pretraining.objective import Pretraining
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.run import new_optimiser, pretrain
from ecgfm.pretraining.shards import PrepareSettings, ShardSet, prepare_shards
from ecgfm.recording_files import RecordingFolder
from tests.helpers.ports import free_port
from tests.helpers.tiny_models import encoder_table

pytestmark = [
    pytest.mark.slow(45),
    pytest.mark.skipif(find_spec("lightning") is None, reason="optional extra `train`"),
]

RECIPE = f"""
name = "tiny"
{encoder_table(2)}dropout = 0.1
attention_dropout = 0.1
feature_grad_mult = 0.1
[objective]
codes = 8
code_width = 16
negatives = 10
[data]
validation = 0.2
[optimiser]
learning_rate = 1e-3
[training]
epochs = 4
pairs_per_micro_batch = 3
micro_batches_per_update = 2
log_every = 2
validate_every = 3
checkpoint_every = 3
keep_checkpoints = 2
"""
LOSSES = ("loss", "contrastive", "diversity", "feature_penalty", "cmsc", "accuracy", "masked_frames")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """Sixteen patients with three recordings of two segments each."""
    root = tmp_path_factory.mktemp("recordings")
    stream = np.random.default_rng(0)
    signal = stream.normal(size=(48, 12, 5000)).cumsum(axis=2)
    patients = np.array([f"p{number // 3}" for number in range(48)])
    np.savez(root / "all.npz", signal=signal, sampling_rate=500.0, patient=patients)
    return prepare_shards(RecordingFolder(root=root), root / "shards", PrepareSettings())


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return Recipe.read(path)


@pytest.fixture(scope="module")
def whole(shards: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process that was never stopped: what every other way of making it is compared with."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "recipe.toml").write_text(RECIPE)
    pretrain(Recipe.read(folder / "recipe.toml"), shards, folder / "run", machine=Machine(accelerator="cpu"))
    return folder / "run"


def _training(recipe: Recipe, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **changes))


def _metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


def _losses(folder: Path) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in ("update", "split", *LOSSES)) for row in _metrics(folder)]


def test_training_lowers_the_loss_reports_and_keeps_few_checkpoints(
    recipe: Recipe, shards: ShardSet, tmp_path: Path
) -> None:
    news: list[Progress] = []
    last = pretrain(_training(recipe, epochs=10), shards, tmp_path / "run", report=news.append)
    rows = _metrics(tmp_path / "run")
    training = [float(row["loss"]) for row in rows if row["split"] == "training"]
    assert np.mean(training[-3:]) < 0.9 * training[0]
    assert len(news) == len(rows)
    assert last == newest_checkpoint(tmp_path / "run")
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept[0] == "best.pt"
    assert len(kept) == 3
    first_bits = float(rows[0]["contrastive"])
    assert first_bits == pytest.approx(np.log2(11), rel=0.4)  # one target among ten negatives, nothing learnt yet


def test_a_run_that_stopped_goes_on_as_if_it_had_not(
    recipe: Recipe, shards: ShardSet, whole: Path, tmp_path: Path
) -> None:
    pretrain(recipe, shards, tmp_path / "parts", max_updates=5)
    pretrain(recipe, shards, tmp_path / "parts", stop=lambda: True)
    pretrain(recipe, shards, tmp_path / "parts")
    assert _losses(tmp_path / "parts") == _losses(whole)
    expected, found = (load_pretraining(_last(run))[0].state_dict() for run in (whole, tmp_path / "parts"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def _last(folder: Path) -> Path:
    path = newest_checkpoint(folder)
    assert path is not None
    return path


RUNNER = """
import os, signal, sys
from pathlib import Path
from ecgfm.pretraining.machine import Machine
from ecgfm.pretraining.run import pretrain
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.shards import ShardSet

recipe, shards, kill_after, *runs = sys.argv[1:]

def report(progress):
    if progress.update >= int(kill_after):
        os.kill(os.getpid(), signal.SIGKILL)

for run in runs:
    folder, kind, updates = run.rsplit(":", 2)
    machine = Machine.from_environment(os.environ, accelerator="cpu", fsdp=kind == "fsdp")
    opened = ShardSet.open(Path(shards))
    pretrain(Recipe.read(Path(recipe)), opened, Path(folder), machine=machine, max_updates=int(updates), report=report)
"""


def _command(tmp_path: Path, shards: ShardSet, *runs: str, kill_after: int = 10**6) -> list[str]:
    """`runs` are folder:kind:updates, one after the other in the same processes."""
    script = tmp_path / "runner.py"
    script.write_text(RUNNER)
    told = [str(tmp_path / "recipe.toml"), str(shards.folder), str(kill_after)]
    return [str(script), *told, *(str(tmp_path / run) for run in runs)]


def _environment() -> dict[str, str]:
    root = Path(__file__).parents[2]
    return os.environ | {"PYTHONPATH": str(root / "model"), "OMP_NUM_THREADS": "1"}


def test_a_killed_run_goes_on_as_if_it_had_not_been(
    recipe: Recipe, shards: ShardSet, whole: Path, tmp_path: Path
) -> None:
    command = [sys.executable, *_command(tmp_path, shards, "killed:plain:100", kill_after=8)]
    killed = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False, timeout=900)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert _last(tmp_path / "killed").name == "update-00000006.pt"
    assert {row["update"] for row in _metrics(tmp_path / "killed")} == {"2", "3", "4", "6", "8"}
    pretrain(recipe, shards, tmp_path / "killed")
    assert _losses(tmp_path / "killed") == _losses(whole)


@pytest.fixture(scope="module")
def from_two_processes(shards: ShardSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `ddp` and `sharded` made by torchrun with gloo, half way; the sharded one was stopped and begun again."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "recipe.toml").write_text(RECIPE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    runs = _command(folder, shards, "ddp:ddp:12", "sharded:fsdp:5", "sharded:fsdp:12")
    done = subprocess.run(
        [*torchrun, f"--master-port={free_port()}", *runs],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("kind", ["ddp", "sharded"])
def test_two_processes_give_the_losses_of_one_and_one_goes_on_with_their_run(
    kind: str, recipe: Recipe, shards: ShardSet, whole: Path, from_two_processes: Path
) -> None:
    """Gradients differ by rounding only, so losses stay together for the whole run, whoever makes its second half."""
    run = from_two_processes / kind
    assert _last(run).name == "update-00000012.pt"
    pretrain(recipe, shards, run)
    one, two = _metrics(whole), _metrics(run)
    assert [row["update"] for row in one] == [row["update"] for row in two]
    assert int(two[-1]["update"]) > 12
    for ours, theirs in zip(one, two, strict=True):
        for name in LOSSES:
            assert float(theirs[name]) == pytest.approx(float(ours[name]), rel=1e-5), (ours["update"], name)


def test_half_the_processes_go_on_with_a_run_of_twice_as_many(recipe: Recipe, shards: ShardSet, tmp_path: Path) -> None:
    """What a process trains on depends on the update's number only, so a checkpoint carries no world size at all."""
    batches = TrainingBatches(shards, recipe)

    def numbers(processes: int, first: int, last: int) -> set[int]:
        shares = (
            ShareOf(first_update=first, last_update=last, per_update=4, rank=rank, processes=processes)
            for rank in range(processes)
        )
        return {number for share in shares for number in share}

    assert numbers(4, 0, 6) == numbers(2, 0, 3) | numbers(1, 3, 6) == set(range(24))
    assert torch.equal(batches[3].source, TrainingBatches(shards, recipe)[3].source)


def test_accumulating_is_the_same_as_one_larger_sum(recipe: Recipe, shards: ShardSet, tmp_path: Path) -> None:
    """The gradient is divided by the masked frames of the whole update, not of each micro-batch."""
    plain = dataclasses.replace(
        recipe,
        encoder=dataclasses.replace(recipe.encoder, dropout=0.0, attention_dropout=0.0),
        objective=dataclasses.replace(recipe.objective, dropout_features=0.0),
    )
    pretrain(plain, shards, tmp_path / "run", max_updates=1)
    trained, _ = load_pretraining(_last(tmp_path / "run"))

    torch.manual_seed(plain.training.seed)
    model = Pretraining(plain.encoder, plain.objective)
    batches, frames = TrainingBatches(shards, plain), 0
    for number in range(2):
        torch.manual_seed(torch_seed(plain.training.seed, number))
        losses = model(batches[number], 2.0)
        losses.total.backward()
        frames += int(losses.frames)
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad /= frames
    new_optimiser(model, plain).step()
    for ours, theirs in zip(model.parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_a_bf16_run_stays_near_float32(recipe: Recipe, shards: ShardSet, tmp_path: Path) -> None:
    pretrain(recipe, shards, tmp_path / "fp32", max_updates=4)
    pretrain(_training(recipe, precision="bf16-mixed"), shards, tmp_path / "bf16", max_updates=4)
    for exact, rounded in zip(_metrics(tmp_path / "fp32"), _metrics(tmp_path / "bf16"), strict=True):
        assert float(rounded["loss"]) == pytest.approx(float(exact["loss"]), rel=0.02)


def test_going_on_with_another_recipe_or_other_data_is_refused(
    recipe: Recipe, shards: ShardSet, tmp_path: Path
) -> None:
    pretrain(recipe, shards, tmp_path / "run", max_updates=1)
    other = dataclasses.replace(recipe, optimiser=dataclasses.replace(recipe.optimiser, learning_rate=1.0))
    with pytest.raises(TrainingError, match=r"optimiser\.learning_rate differ"):
        pretrain(other, shards, tmp_path / "run")
    first = dataclasses.replace(shards.manifest.shards[0], sha256="0")
    manifest = dataclasses.replace(shards.manifest, shards=(first,))
    with pytest.raises(TrainingError, match="another shard set"):
        pretrain(recipe, dataclasses.replace(shards, manifest=manifest), tmp_path / "run")
    longer = _training(recipe, epochs=5, log_every=1)
    assert pretrain(longer, shards, tmp_path / "run", max_updates=2).name == "update-00000002.pt"


def test_a_damaged_checkpoint_says_what_to_do(recipe: Recipe, shards: ShardSet, tmp_path: Path) -> None:
    path = pretrain(recipe, shards, tmp_path / "run", max_updates=1)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="remove it to go on from the one before"):
        pretrain(recipe, shards, tmp_path / "run")


def test_a_full_disk_keeps_the_older_checkpoint(
    recipe: Recipe, shards: ShardSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pretrain(recipe, shards, tmp_path / "run", max_updates=1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ecgfm.training.checkpoints.torch.save", full)
        with pytest.raises(TrainingError, match=r"No space left on device.*free disk space"):
            pretrain(recipe, shards, tmp_path / "run", max_updates=2)
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    assert pretrain(recipe, shards, tmp_path / "run", max_updates=2).name == "update-00000002.pt"


def test_a_file_that_is_no_checkpoint_of_pretraining_is_refused(
    recipe: Recipe, shards: ShardSet, tmp_path: Path
) -> None:
    path = pretrain(recipe, shards, tmp_path / "run", max_updates=1)
    torch.save({"format": 1, "identity": "of a fine-tuning run"}, path)
    with pytest.raises(TrainingError, match="is not a training checkpoint of this program"):
        pretrain(recipe, shards, tmp_path / "run")


def test_processes_that_cannot_share_an_update_are_refused(recipe: Recipe, shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="3 processes cannot share the 2 micro-batches"):
        pretrain(recipe, shards, tmp_path / "run", machine=Machine(processes=3, local_processes=3))


def test_a_loss_that_is_not_finite_stops_the_run(recipe: Recipe, shards: ShardSet, tmp_path: Path) -> None:
    wild = dataclasses.replace(recipe, optimiser=dataclasses.replace(recipe.optimiser, learning_rate=1e30))
    with pytest.raises(TrainingError, match="a loss is not finite"):
        pretrain(wild, shards, tmp_path / "run")


def test_too_few_pairs_for_one_update_are_refused(recipe: Recipe, shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one update of the recipe needs 200"):
        pretrain(_training(recipe, pairs_per_micro_batch=100), shards, tmp_path / "run")


def test_pairs_by_patient_mix_recordings_and_pairs_by_record_do_not(shards: ShardSet) -> None:
    rows = np.arange(len(shards.index))
    by_record = pair_up(shards.index, rows, "record", np.random.RandomState(0))
    assert len(by_record) == 48
    assert (np.diff(shards.index["record"][by_record.rows], axis=1) == 0).all()
    np.testing.assert_array_equal(shards.index["segment"][by_record.rows], [[0, 1]] * 48)
    by_patient = pair_up(shards.index, rows, "patient", np.random.RandomState(0))
    assert len(by_patient) == 48
    assert (np.diff(shards.index["patient"][by_patient.rows], axis=1) == 0).all()
    assert (np.diff(shards.index["record"][by_patient.rows], axis=1) != 0).any()
    assert len(np.unique(by_patient.rows)) == 96
    again = pair_up(shards.index, rows, "patient", np.random.RandomState(1))
    assert not np.array_equal(again.rows, by_patient.rows)


def test_no_patient_is_in_training_and_validation(recipe: Recipe, shards: ShardSet) -> None:
    training, validation = split_rows(shards.index, 0.2)
    patients = [set(shards.index["patient"][rows].tolist()) for rows in (training, validation)]
    assert patients[1]
    assert not patients[0] & patients[1]
    assert len(patients[0] | patients[1]) == 16
    batch = ValidationBatches(shards, recipe)[0]
    np.testing.assert_array_equal(batch.source[0], shards.read(int(ValidationBatches(shards, recipe).pairs.rows[0, 0])))


def test_each_epoch_sees_each_pair_once_in_another_order(recipe: Recipe, shards: ShardSet) -> None:
    batches = TrainingBatches(shards, _training(recipe, pairs_per_micro_batch=1, micro_batches_per_update=1))
    epochs = [
        [
            int(batches[number].identities[0])
            for number in range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        ]
        for epoch in (0, 1)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(set(epochs[0]))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("width = 16", "width = 15"), "not divisible"),
        (("width = 16", "widht = 16"), "no setting 'widht'"),
        (("epochs = 4", 'epochs = "4"'), "epochs must be int"),
        (("epochs = 4", ""), "needs epochs"),
        (("[data]", "[date]"), "unknown table or setting 'date'"),
        (('name = "tiny"', ""), "needs a name"),
        (("validation = 0.2", "validation = 2.0"), "share of the patients"),
        (("[data]", "[data"), "is not TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_file_and_setting(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE.replace(*change))
    with pytest.raises(RecipeError, match=message) as caught:
        Recipe.read(path)
    assert "wrong.toml" in str(caught.value)
