"""A pretrained encoder leaves as a bundle, or as a file of fairseq-signals' own layout with the same keys,
shapes and numbers.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.errors import RecipeError, TrainingError
from ecgfm.fairseq.configuration import reference_cfg
from ecgfm.fairseq.exporting import _place, encoder_network, write_bundle, write_reference_checkpoint
from ecgfm.loading import load
from ecgfm.pretraining.augment import Augmentations, BaselineWander, RandomLeadMasking
from ecgfm.pretraining.checkpoint import Checkpoint, checkpoint_path, load_pretraining
from ecgfm.pretraining.objective import Batch, ObjectiveConfig, Pretraining
from ecgfm.pretraining.recipe import SHIPPED, Recipe, TrainingRecipe
from ecgfm.pretraining.run import new_optimiser

pytestmark = pytest.mark.slow

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
TINY = Recipe(
    name="tiny",
    encoder=EncoderConfig(
        conv_layers=((32, 2, 2),) * 4,
        width=64,
        layers=3,
        ffn_width=128,
        heads=4,
        dropout=0.1,
        attention_dropout=0.1,
        dropout_input=0.1,
        feature_grad_mult=0.1,
    ),
    objective=ObjectiveConfig(codes=20, groups=2, code_width=24, negatives=15),
    training=TrainingRecipe(epochs=1, pairs_per_micro_batch=4),
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A training checkpoint that holds the reference's tiny weights and the moments of one step."""
    torch.manual_seed(0)
    model = Pretraining(TINY.encoder, TINY.objective)
    model.load_reference_state_dict(torch.load(REFERENCE / "tiny_pretrained.pt", weights_only=True)["model"])
    optimiser = new_optimiser(model, TINY)
    mask = np.zeros((4, 156), bool)
    mask[:, 20:60] = True
    source = torch.randn(4, 12, 2500)
    model(Batch.build(source, torch.tensor([0, 1, 0, 1]), mask, 15), 2.0).total.backward()
    optimiser.step()
    path = checkpoint_path(tmp_path, 1)
    Checkpoint(
        recipe=TINY,
        data="0" * 64,
        update=1,
        best=1.0,
        sums=torch.zeros(8, dtype=torch.float64),
        since=0,
        model=model.state_dict(),
        optimiser=optimiser.state_dict(),
    ).write(path)
    return path


def _shapes(weights: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def test_the_reference_layout_has_the_reference_s_keys_shapes_and_order(checkpoint: Path, tmp_path: Path) -> None:
    write_reference_checkpoint(checkpoint, tmp_path / "exported.pt")
    ours = torch.load(tmp_path / "exported.pt", weights_only=True)
    theirs = torch.load(REFERENCE / "tiny_pretrained.pt", weights_only=True)
    assert list(ours) == list(theirs)
    assert list(ours["model"]) == list(theirs["model"])
    assert _shapes(ours["model"]) == _shapes(theirs["model"])
    first, second = (content["optimizer_history"][-1] for content in (ours, theirs))
    assert first == {**second, "num_updates": 1}
    assert set(ours["extra_state"]) == set(theirs["extra_state"])
    assert set(ours["extra_state"]["train_iterator"]) == set(theirs["extra_state"]["train_iterator"])
    first, second = (content["last_optimizer_state"] for content in (ours, theirs))
    assert list(first["state"]) == list(second["state"])
    for number, moments in first["state"].items():
        assert moments["exp_avg"].shape == second["state"][number]["exp_avg"].shape
    assert set(first["param_groups"][0]) == set(second["param_groups"][0])


def test_the_configuration_has_every_key_and_value_of_the_reference_s(checkpoint: Path, tmp_path: Path) -> None:
    """The reference opens it as a closed structure: a key that is missing is an error when it is asked for."""
    write_reference_checkpoint(checkpoint, tmp_path / "exported.pt")
    ours = torch.load(tmp_path / "exported.pt", weights_only=True)["cfg"]
    theirs = torch.load(REFERENCE / "tiny_pretrained.pt", weights_only=True)["cfg"]
    decided_elsewhere = {
        ("dataset", "batch_size"): 4,  # by the recipe of this test
        ("dataset", "batch_size_valid"): 4,
        ("model", "conv_feature_layers"): "[(32, 2, 2), (32, 2, 2), (32, 2, 2), (32, 2, 2)]",
        ("model", "data"): "",  # where the files lay
        ("task", "data"): "",
        ("checkpoint", "save_dir"): "checkpoints",
    }
    for (section, key), value in decided_elsewhere.items():
        theirs[section][key] = value
    assert ours == theirs
    assert [list(section or ()) for section in ours.values()] == [list(section or ()) for section in theirs.values()]


def test_augmentations_are_told_in_the_reference_s_words() -> None:
    steps = (BaselineWander(p=0.5, max_amplitude=0.3, waves=2, dependent_leads=False), RandomLeadMasking())
    task = reference_cfg(dataclasses.replace(TINY, augmentations=Augmentations(steps=steps)))["task"]
    assert task["perturbation_mode"] == ["baseline_wander", "random_leads_masking"]
    assert task["p"] == [0.5, 1.0]
    told = {name: task[name] for name in ("max_amplitude", "k", "dependency", "sample_rate", "mask_leads_prob")}
    assert told == {"max_amplitude": 0.3, "k": 2, "dependency": False, "sample_rate": 500.0, "mask_leads_prob": 0.5}


def test_the_full_size_layout_is_the_published_one(tmp_path: Path) -> None:
    """Names, shapes and order of all 215 tensors, on the meta device."""
    table = Path(__file__).parents[3] / "shared" / "reference" / "full_pretrained_state_dict.tsv"
    if not table.exists():
        pytest.skip("the published tensor list is not on this machine")
    with torch.device("meta"):
        model = Pretraining(EncoderConfig(), ObjectiveConfig())
    shapes = {name: tuple(parameter.shape) for name, parameter in model.reference_parameters()}
    listed = [line.split("\t")[:2] for line in table.read_text().splitlines()]
    published = [(name, shape) for name, shape in listed if shape.startswith("(")]
    assert [(name, str(shapes[name])) for name in sorted(shapes, key=_place)] == published


def test_moments_follow_their_parameters(checkpoint: Path, tmp_path: Path) -> None:
    write_reference_checkpoint(checkpoint, tmp_path / "exported.pt")
    exported = torch.load(tmp_path / "exported.pt", weights_only=True)
    model, state = load_pretraining(checkpoint)
    for number, (name, _) in enumerate(model.reference_parameters()):
        place = list(exported["model"]).index(name)
        ours = state.optimiser["state"][number]["exp_avg_sq"]
        assert torch.equal(exported["last_optimizer_state"]["state"][place]["exp_avg_sq"], ours)


def test_both_exports_embed_alike(checkpoint: Path, tmp_path: Path) -> None:
    write_reference_checkpoint(checkpoint, tmp_path / "exported.pt")
    bundle = write_bundle(checkpoint, tmp_path / "bundle", version="1", demo=True, notes={"data": "generated"})
    assert bundle.heads == ()
    assert isinstance(recipe := bundle.provenance.origin["recipe"], Mapping)
    assert recipe["name"] == "tiny"
    assert bundle.provenance.origin["data"] == "generated"
    source = torch.randn(2, 12, 2500, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = encoder_network(load_pretraining(checkpoint)[0]).eval().embed(source)
        for path in (tmp_path / "bundle", tmp_path / "exported.pt"):
            torch.testing.assert_close(load(path).embed(source), expected, rtol=0, atol=2e-6)
    assert Bundle.read(tmp_path / "bundle").config == dataclasses.replace(TINY.encoder)


def test_an_existing_file_is_not_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "exported.pt").write_bytes(b"mine")
    with pytest.raises(TrainingError, match="exists already"):
        write_reference_checkpoint(checkpoint, tmp_path / "exported.pt")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_committed_recipe_is_sound_and_survives_a_checkpoint(path: Path) -> None:
    recipe = Recipe.read(path)
    assert recipe.name == path.stem
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_recipe_goes_by_its_name_or_by_its_file(tmp_path: Path) -> None:
    copy = tmp_path / "ours.toml"
    copy.write_bytes((SHIPPED / "small.toml").read_bytes())
    assert Recipe.named(str(copy)) == Recipe.named("small")
    with pytest.raises(RecipeError, match=r"nothing is no recipe file; .* demo, .*ecg-fm-base-paper.*small"):
        Recipe.named("nothing")


def test_the_published_recipes_are_the_published_runs() -> None:
    released, paper = (Recipe.named(f"ecg-fm-base-{name}") for name in ("released", "paper"))
    for recipe, segments in ((released, 1024), (paper, 1026)):
        training = recipe.training
        assert 2 * training.pairs_per_micro_batch * training.micro_batches_per_update == segments
        defaults: dict[str, Any] = {"dropout": 0.1, "attention_dropout": 0.1, "dropout_input": 0.1}
        assert recipe.encoder == EncoderConfig(**defaults, feature_grad_mult=0.1)
        assert recipe.objective == ObjectiveConfig()
    assert {released.learning_rate(0, epoch) for epoch in (1, 100, 200)} == {5e-5}
    assert [paper.learning_rate(0, epoch) for epoch in (1, 5, 6, 200, 201, 240)] == [1e-4, 1e-4, 8e-5, 8e-5, 5e-5, 5e-5]
