"""Heads learn a planted sign, resume exactly after a kill, and refuse data that cannot teach."""

import csv
import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision
from sklearn.metrics import average_precision_score, roc_auc_score

from ecgfm import devices
from ecgfm.checkpoint import Bundle
from ecgfm.errors import RuntimeUnavailable, TrainingError
from ecgfm.finetuning import train
from ecgfm.finetuning.dataset import Example, epoch_batches, label_matrix, positive_weights
from ecgfm.finetuning.embedding import embed
from ecgfm.finetuning.linear import train_linear
from ecgfm.finetuning.lowrank import add_adapters, merge_adapters
from ecgfm.finetuning.ranking import macro_ranking
from ecgfm.finetuning.settings import FineTuning
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.trained import Trained
from ecgfm.metrics import auroc
from ecgfm.predictor import Predictor
from ecgfm.provenance import Provenance
from ecgfm.records import Record
from ecgfm.training.team import Team
from tests.helpers.planted import QUICK, SMALL, SPEC, SPLIT, examples, record_of, scores, settings_of_one_epoch
from tests.helpers.tiny_models import TINY, tiny_network

pytestmark = pytest.mark.slow(18)


def linear(cache: Path) -> Trained:
    base = tiny_network()
    kept = tuple(embed(base, part, record_of, cache=cache, device="cpu") for part in (SPLIT.train, SPLIT.validation))
    return train_linear(base, SPEC, SPLIT, (kept[0], kept[1]))


def test_a_linear_probe_learns_and_stands_in_a_bundle_as_in_training(tmp_path: Path) -> None:
    trained = linear(tmp_path / "cache")
    unseen = examples(range(200, 240))
    own = scores(trained.network, unseen, tmp_path / "cache")
    assert auroc(label_matrix(unseen)[:, 0], own[:, 0]) > 0.9
    bundle = Bundle.write(
        tmp_path / "bundle",
        trained.network,
        name="planted",
        version="1",
        demo=True,
        provenance=Provenance(origin=trained.record),
    )
    predictor = Predictor.from_bundle(bundle.path, device="cpu")
    predicted = predictor.predict([record_of(one.key) for one in unseen[:5]])
    assert [p.heads[0].probability for p in predicted] == pytest.approx(own[:5, 0], abs=1e-5)


def test_a_linear_probe_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = linear(tmp_path / "a"), linear(tmp_path / "b")
    assert torch.equal(first.network.heads["planted"].weight, second.network.heads["planted"].weight)  # type: ignore[arg-type]  # a Linear's weight


def test_embeddings_are_computed_once_and_a_killed_run_goes_on(tmp_path: Path) -> None:
    base, asked = tiny_network(), []

    def reader(key: str) -> Record:
        asked.append(key)
        if len(asked) == 300:
            raise KeyboardInterrupt
        return record_of(str(int(key) % 7))

    many = examples(range(280))
    with pytest.raises(KeyboardInterrupt):
        embed(base, examples(range(400)), reader, cache=tmp_path, device="cpu")
    before = len(asked)
    rows = embed(base, many, reader, cache=tmp_path, device="cpu")
    assert len(asked) - before == 280 - 256, "the first shard was kept"
    embed(base, many, reader, cache=tmp_path, device="cpu")
    assert len(asked) - before == 280 - 256
    (alone,) = embed(base, [many[3]], reader, cache=tmp_path / "other", device="cpu")
    np.testing.assert_array_equal(rows[3], alone, err_msg="the same bits in any company")


def test_another_encoder_has_embeddings_of_its_own(tmp_path: Path) -> None:
    one = embed(tiny_network(seed=0), SPLIT.validation, record_of, cache=tmp_path, device="cpu")
    other = embed(tiny_network(seed=1), SPLIT.validation, record_of, cache=tmp_path, device="cpu")
    assert not np.allclose(one[0], other[0])


def half_precision(settings: FineTuning) -> Team:
    """float16 with a loss scale, as on a GPU: Fabric itself would take bfloat16 on a CPU."""
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=4))
    return Team(Fabric(accelerator="cpu", devices=1, plugins=plugin))


class Killed(Exception):
    """Stands for the death of the process."""


def killed_after(updates: int, settings: FineTuning, folder: Path, split: Split = SPLIT) -> None:
    """Train until the process dies, just before it would write the checkpoint of `updates`."""

    def die(done: int, _total: int, _text: str) -> None:
        if done == updates:
            raise Killed

    with pytest.raises(Killed):
        train.fine_tune(tiny_network(), SPEC, split, record_of, settings, folder=folder, progress=die)


def without_its_format(checkpoint: Path) -> None:
    """Make it one of the versions that did not write the format."""
    state = torch.load(checkpoint, weights_only=True)
    del state["format"]
    torch.save(state, checkpoint)


TWICE = replace(QUICK, max_epochs=2)


@pytest.mark.parametrize(
    ("settings", "launch"),
    [
        (TWICE, train.launch),
        (replace(TWICE, method="lora"), train.launch),
        (replace(TWICE, precision="bf16-mixed"), train.launch),
        (replace(TWICE, precision="16-mixed"), half_precision),
    ],
    ids=["full", "lora", "bfloat16", "float16"],
)
def test_an_interrupted_run_ends_where_an_uninterrupted_one_ends(
    settings: FineTuning,
    launch: Callable[[FineTuning], Team],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "launch", launch)
    whole = train.fine_tune(tiny_network(), SPEC, SMALL, record_of, settings, folder=tmp_path / "whole")
    for stop in (2, 3, 5):  # inside the first epoch, at an epoch's end, inside the second
        killed_after(stop, settings, tmp_path / "parts", SMALL)
    without_its_format(tmp_path / "parts" / "checkpoint.pt")
    resumed = train.fine_tune(tiny_network(), SPEC, SMALL, record_of, settings, folder=tmp_path / "parts")
    for (name, expected), found in zip(
        whole.network.state_dict().items(), resumed.network.state_dict().values(), strict=True
    ):
        assert torch.allclose(expected, found, atol=1e-6, rtol=0), name
    assert whole.record == resumed.record
    with (tmp_path / "whole" / "training.csv").open() as one, (tmp_path / "parts" / "training.csv").open() as other:
        rows, again = list(csv.DictReader(one)), list(csv.DictReader(other))
    assert [row["update"] for row in rows] == [row["update"] for row in again]
    assert [row["loss"] for row in rows] == [row["loss"] for row in again]


def test_full_fine_tuning_leaves_the_convolutions_and_moves_the_rest(tmp_path: Path) -> None:
    base = tiny_network()
    settings = replace(QUICK, learning_rate=6e-3, max_epochs=6, checkpoint_every=1000)
    trained = train.fine_tune(base, SPEC, SPLIT, record_of, settings, folder=tmp_path / "run")
    before, after = base.encoder.state_dict(), trained.network.encoder.state_dict()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]) == name.startswith("feature_extractor."), name
    assert trained.network.config == TINY, "the regularisers of training stay out of the bundle"
    unseen = examples(range(200, 240))
    assert auroc(label_matrix(unseen)[:, 0], scores(trained.network, unseen, tmp_path)[:, 0]) > 0.9


def test_low_rank_adapters_start_at_nothing_and_merge_into_plain_weights() -> None:
    network, source = tiny_network(), torch.randn(2, 12, 2500)
    network.eval()
    before = network.embed(source)
    names = set(network.state_dict())
    add_adapters(network, rank=4, alpha=8, seed=0)
    assert torch.allclose(network.embed(source), before, atol=1e-6)
    for name, parameter in network.encoder.named_parameters():
        assert parameter.requires_grad == (".parametrizations.weight.0." in name and "pos_conv" not in name), name
        if name.endswith(".up"):
            torch.nn.init.normal_(parameter)
    changed = network.embed(source)
    assert not torch.allclose(changed, before, atol=1e-3)
    merge_adapters(network)
    assert torch.allclose(network.embed(source), changed, atol=1e-5)
    assert set(network.state_dict()) == names


def test_gradient_accumulation_changes_nothing_but_memory(tmp_path: Path) -> None:
    settings = settings_of_one_epoch(devices=1)
    ends = [
        train.fine_tune(
            tiny_network(), SPEC, SMALL, record_of, replace(settings, micro_batch=size), folder=tmp_path / str(size)
        )
        for size in (4, 16)
    ]
    # Outputs, not weights: Adam makes a full step of the rounding noise in gradients that are zero (a key's bias).
    first, second = (scores(end.network, SMALL.validation, tmp_path / f"{i}") for i, end in enumerate(ends))
    assert first == pytest.approx(second, abs=1e-4)


def test_an_epoch_draws_every_segment_once_in_an_order_of_its_own() -> None:
    first, second = (
        [draw for batch in epoch_batches(SPLIT.train, 16, seed=1, epoch=epoch) for draw in batch] for epoch in (0, 1)
    )
    assert len(first) == len(set(first)) == 80
    assert set(first) == set(second)
    assert first != second


def test_a_loss_scale_is_kept_with_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "launch", half_precision)
    settings = replace(QUICK, precision="16-mixed")
    killed_after(6, settings, tmp_path)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["updates"] == 5
    assert 0 < kept["precision"]["scale"] != 2.0**24, "it was halved where gradients overflowed, or has grown"


def test_ranking_leaves_out_what_is_not_known() -> None:
    stream = np.random.default_rng(2)
    labels = (stream.random((80, 2)) < 0.3).astype(np.float64)
    clipped = np.clip(0.3 * labels + 0.7 * stream.random((80, 2)), 0, 1)
    scores = np.round(clipped, 1).astype(np.float64)  # with ties
    expected = [(average_precision_score(y, p), roc_auc_score(y, p)) for y, p in zip(labels.T, scores.T, strict=True)]
    assert macro_ranking(labels, scores) == pytest.approx(np.mean(expected, axis=0), abs=1e-6)
    more_labels = np.concatenate([labels, np.full((5, 2), np.nan)])
    more_scores = np.concatenate([scores, np.ones((5, 2))])
    assert macro_ranking(more_labels, more_scores) == pytest.approx(np.mean(expected, axis=0), abs=1e-6)


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path) -> None:
    settings = replace(QUICK, learning_rate=1e-12, max_epochs=30, patience=2)
    trained = train.fine_tune(tiny_network(), SPEC, SMALL, record_of, settings, folder=tmp_path)
    updates, best = trained.record["updates"], trained.record["best_epoch"]
    assert isinstance(updates, int)
    assert isinstance(best, int)
    assert updates < 30 * 3
    assert updates == 3 * (best + 2)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    killed_after(2, QUICK, tmp_path)
    with pytest.raises(TrainingError, match="another base model"):
        train.fine_tune(tiny_network(seed=1), SPEC, SPLIT, record_of, QUICK, folder=tmp_path)
    with pytest.raises(TrainingError, match="other ECGs, settings"):
        train.fine_tune(tiny_network(), SPEC, SPLIT, record_of, replace(QUICK, learning_rate=1e-4), folder=tmp_path)


def test_a_run_says_and_keeps_where_it_trains_and_does_not_move_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    settings = replace(QUICK, max_epochs=1)
    run = train.fine_tune(
        tiny_network(),
        SPEC,
        SPLIT,
        record_of,
        settings,
        folder=tmp_path,
        progress=lambda done, total, text: said.append(text),
    )
    assert said[0] == "on cpu"
    assert "epoch 1 on cpu, loss" in said[1]
    assert run.record["device"] == "cpu"
    devices.keep_device(tmp_path, "cuda")
    for team in (None, train.launch(settings)):
        with pytest.raises(RuntimeUnavailable, match="began on"):
            train.fine_tune(
                tiny_network(),
                SPEC,
                SPLIT,
                record_of,
                replace(settings, device="auto"),
                folder=tmp_path,
                team=team,
            )


def test_a_full_disk_keeps_the_older_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_after(2, QUICK, tmp_path, SMALL)
    kept = (tmp_path / "checkpoint.pt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ecgfm.training.checkpoints.torch.save", full)
        with pytest.raises(TrainingError, match=r"No space left on device.*free disk space"):
            train.fine_tune(tiny_network(), SPEC, SMALL, record_of, QUICK, folder=tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept
    assert not list(tmp_path.glob("*.part"))
    train.fine_tune(tiny_network(), SPEC, SMALL, record_of, QUICK, folder=tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"checkpoint\.pt cannot be read; remove it"):
        train.fine_tune(tiny_network(), SPEC, SPLIT, record_of, QUICK, folder=tmp_path)


def one_class(part: list[Example]) -> list[Example]:
    return [replace(one, labels=(0.0, 0.0)) for one in part]


@pytest.mark.parametrize("part", ["train", "validation"])
def test_one_class_only_is_refused(part: str, tmp_path: Path) -> None:
    halves = {"train": list(SPLIT.train), "validation": list(SPLIT.validation)}
    halves[part] = one_class(halves[part])
    with pytest.raises(TrainingError, match=f"fast: 0 positive and .* ({part}|training|validation) ECGs"):
        train.fine_tune(tiny_network(), SPEC, Split(**halves), record_of, QUICK, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_patient_on_both_sides_is_refused(tmp_path: Path) -> None:
    split = replace(SPLIT, validation=[*SPLIT.validation, replace(SPLIT.train[0], key="999")])
    with pytest.raises(TrainingError, match="1 patients are both in training and in validation"):
        train.fine_tune(tiny_network(), SPEC, split, record_of, QUICK, folder=tmp_path)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the loss is not finite"):
        train.fine_tune(
            tiny_network(),
            SPEC,
            SPLIT,
            lambda key: Record(signal=record_of(key).signal * np.nan, sampling_rate=500.0),
            QUICK,
            folder=tmp_path,
        )


def test_positive_weights_are_those_of_the_segments() -> None:
    weights = positive_weights(
        [replace(SPLIT.train[1], segments=3), *SPLIT.train[2:4], replace(SPLIT.train[4], segments=1)]
    )
    assert weights[0] == pytest.approx(3 / 5)


def test_the_published_settings_are_the_defaults() -> None:
    published = FineTuning()
    assert (published.learning_rate, published.betas, published.eps, published.weight_decay) == (
        1e-6,
        (0.9, 0.98),
        1e-8,
        0,
    )
    assert (published.batch_size, published.max_epochs, published.activation_dropout) == (256, 40, 0.1)
