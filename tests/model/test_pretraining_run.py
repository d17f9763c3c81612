"""A pretraining run lowers the loss, leaves few checkpoints, and refuses to go on with something else."""

import dataclasses
import errno
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfm.errors import DataError, TrainingError
from ecgfm.pretraining.batches import TrainingBatches, torch_seed
from ecgfm.pretraining.checkpoint import load_pretraining
from ecgfm.pretraining.figures import Progress
from ecgfm.pretraining.machine import Machine
from ecgfm.pretraining.objective import Pretraining
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.run import new_optimiser, pretrain
from ecgfm.pretraining.shards import ShardSet
from tests.helpers.tiny_pretraining import changed, last, metrics

pytestmark = [
    pytest.mark.slow(6),
    pytest.mark.skipif(find_spec("lightning") is None, reason="optional extra `train`"),
]


def test_training_lowers_the_loss_reports_and_keeps_few_checkpoints(
    recipe: Recipe, shards: ShardSet, tmp_path: Path
) -> None:
    news: list[Progress] = []
    path = pretrain(changed(recipe, epochs=4), shards, tmp_path / "run", report=news.append)
    rows = metrics(tmp_path / "run")
    training = [float(row["loss"]) for row in rows if row["split"] == "training"]
    assert np.mean(training[-3:]) < 0.9 * training[0]
    assert len(news) == len(rows)
    assert path == last(tmp_path / "run")
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept[0] == "best.pt"
    assert len(kept) == 3
    first_bits = float(rows[0]["contrastive"])
    assert first_bits == pytest.approx(np.log2(11), rel=0.4)  # one target among ten negatives, nothing learnt yet


def test_accumulating_is_the_same_as_one_larger_sum(recipe: Recipe, shards: ShardSet, tmp_path: Path) -> None:
    """The gradient is divided by the masked frames of the whole update, not of each micro-batch."""
    plain = dataclasses.replace(
        recipe,
        encoder=dataclasses.replace(recipe.encoder, dropout=0.0, attention_dropout=0.0),
        objective=dataclasses.replace(recipe.objective, dropout_features=0.0),
    )
    pretrain(plain, shards, tmp_path / "run", max_updates=1)
    trained, _ = load_pretraining(last(tmp_path / "run"))

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
    pretrain(changed(recipe, precision="bf16-mixed"), shards, tmp_path / "bf16", max_updates=4)
    for exact, rounded in zip(metrics(tmp_path / "fp32"), metrics(tmp_path / "bf16"), strict=True):
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
    longer = changed(recipe, epochs=5, log_every=1)
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
        pretrain(changed(recipe, pairs_per_micro_batch=100), shards, tmp_path / "run")
