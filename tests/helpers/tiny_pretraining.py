"""A pretraining that takes a second: its recipe, its shards, and what a run of it leaves."""

import csv
import dataclasses
from pathlib import Path
from typing import Any  # settings of a recipe

import numpy as np

from ecgfm.pretraining.checkpoint import newest_checkpoint
from ecgfm.pretraining.figures import METRICS
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.shards import PrepareSettings, ShardSet, prepare_shards
from ecgfm.recording_files import RecordingFolder
from tests.helpers.tiny_models import encoder_table

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
epochs = 2
pairs_per_micro_batch = 3
micro_batches_per_update = 2
log_every = 2
validate_every = 3
checkpoint_every = 3
keep_checkpoints = 2
"""
LOSSES = ("loss", "contrastive", "diversity", "feature_penalty", "cmsc", "accuracy", "masked_frames")
UPDATES = 12  #: of a whole run


def write_recipe(path: Path) -> Recipe:
    path.write_text(RECIPE)
    return Recipe.read(path)


def changed(recipe: Recipe, **training: Any) -> Recipe:
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **training))


def write_shards(root: Path) -> ShardSet:
    """Sixteen patients with three recordings of two segments each."""
    stream = np.random.default_rng(0)
    signal = stream.normal(size=(48, 12, 5000)).cumsum(axis=2)
    patients = np.array([f"p{number // 3}" for number in range(48)])
    np.savez(root / "all.npz", signal=signal, sampling_rate=500.0, patient=patients)
    return prepare_shards(RecordingFolder(root=root), root / "shards", PrepareSettings())


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / METRICS).open(newline="") as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in ("update", "split", *LOSSES)) for row in metrics(folder)]


def last(folder: Path) -> Path:
    """The newest checkpoint."""
    path = newest_checkpoint(folder)
    assert path is not None
    return path
