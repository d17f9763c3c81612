"""Fixtures of the model wing: the recorded reference outputs and a tiny bundle."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ecgfm.checkpoint import Bundle
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.shards import ShardSet
from ecgfm.records import Record
from tests.helpers.tiny_models import write_tiny_bundle
from tests.helpers.tiny_pretraining import write_recipe, write_shards


@pytest.fixture
def exact_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32 on a GPU while this test runs: cuDNN would take it for convolutions unasked."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of the outputs recorded from fairseq-signals; its README says what each file holds."""
    return Path(__file__).parents[1] / "data" / "reference"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tiny bundle with random weights and three heads."""
    return write_tiny_bundle(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """32 seeded records of different rates and lengths, all scorable; like an ECG in their low frequencies."""
    draw = np.random.default_rng(20240814)
    found = []
    for index in range(32):
        rate = (500, 250, 1000, 400)[index % 4]
        samples = int(rate * (10, 5, 12.3, 31)[index // 4 % 4])
        walk = np.cumsum(draw.normal(scale=0.02, size=(12, samples)), axis=1)
        found.append(Record(signal=walk.astype(np.float32), sampling_rate=rate))
    return found


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return write_shards(tmp_path_factory.mktemp("recordings"))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A recipe for those shards, at `recipe.toml`."""
    return write_recipe(tmp_path / "recipe.toml")
