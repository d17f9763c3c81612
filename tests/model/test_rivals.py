"""Networks from nothing learn what there is to learn, as their papers say; other encoders come as ONNX."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ecgfm import metrics
from ecgfm.errors import RuntimeUnavailable
from ecgfm.finetuning.dataset import Example
from ecgfm.finetuning.linear import fit_probe
from ecgfm.finetuning.split import Split
from ecgfm.records import Record
from ecgfm.rivals import scratch
from ecgfm.rivals.convolutional import ConvolutionalNetwork
from ecgfm.rivals.onnx_encoder import OnnxEncoder
from ecgfm.rivals.s4d import S4dNetwork, StateSpace
from ecgfm.rivals.scratch import Scratch

SMALL = Scratch(
    s4d_width=16, s4d_depth=2, cnn_width=8, epochs=16, patience=16, batch_size=16, learning_rate=1e-2, weight_decay=0.0
)


def examples(count: int, *, first: int = 0) -> list[Example]:
    """Every other one positive, at random places."""
    labels = np.random.default_rng(first).permutation(np.arange(count) % 2)
    return [
        Example(key=f"{first + i}", patient=f"p{first + i}", labels=(float(labels[i]),), segments=1)
        for i in range(count)
    ]


def read(key: str) -> Record:
    """Noise of its own for each recording."""
    signal = np.random.default_rng(int(key)).normal(size=(12, 2500)).astype(np.float32)
    return Record(signal=signal, sampling_rate=500.0)


@pytest.mark.slow(8)
@pytest.mark.parametrize("make", [scratch.s4d, scratch.convolutional])
def test_a_network_overfits_32_recordings(make: Callable[[int, Scratch], nn.Module]) -> None:
    learnt = examples(32)
    split = Split(train=learnt, validation=[replace(one, patient=f"other {one.patient}") for one in learnt])
    network = scratch.train_from_scratch(make(1, SMALL), ["x"], split, read, SMALL, device="cpu")
    found = scratch.score(network, 1, learnt, read, device="cpu")
    truth = np.array([one.labels[0] for one in learnt])
    assert metrics.auroc(truth, found[:, 0]) > 0.95
    twice = replace(SMALL, epochs=2)
    first, second = (
        scratch.train_from_scratch(make(1, twice), ["x"], split, read, twice, device="cpu").state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first), "the same training gives the same bits"


@pytest.mark.slow(2)
def test_training_stops_where_validation_does_not_get_better() -> None:
    split = Split(train=examples(8), validation=examples(8, first=100))
    epochs: list[int] = []
    settings = replace(SMALL, epochs=25, patience=1)
    scratch.train_from_scratch(
        scratch.convolutional(1, settings), ["x"], split, read, settings, device="cpu",
        progress=lambda done, total: epochs.append(done),
    )  # fmt: skip
    assert epochs[-1] < 25


@pytest.mark.slow
def test_the_kernels_are_the_recurrence_forwards_and_backwards() -> None:
    torch.manual_seed(0)
    space, length = StateSpace(3, 4).double(), 40
    u = torch.randn(2, 3, length, dtype=torch.float64)
    with torch.no_grad():
        multiplier, gain = space.discrete()
        expected = u * space.direct[:, None]
        for direction in (0, 1):
            state = torch.zeros(2, 3, 4, dtype=torch.complex128)
            for at in range(length) if direction == 0 else reversed(range(length)):
                if direction == 1:  # the past of time running backwards: the present counts once
                    expected[..., at] += 2 * (gain[1] * state).sum(-1).real
                state = multiplier * state + u[..., at, None]
                if direction == 0:
                    expected[..., at] += 2 * (gain[0] * state).sum(-1).real
        torch.testing.assert_close(space(u), expected, atol=1e-9, rtol=1e-9)


def test_the_systems_are_stable() -> None:
    multiplier, _ = StateSpace(8).discrete()
    assert (multiplier.abs() < 1).all()


def test_networks_have_a_few_million_weights() -> None:
    for network in (S4dNetwork(1), ConvolutionalNetwork(1)):
        assert 2e6 < sum(own.numel() for own in network.parameters()) < 8e6


class Means(nn.Module):
    """(B, 12, 2500) -> (B, 12) or frames (B, 10, 12): a stranger's encoder."""

    def __init__(self, frames: bool) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        parts = source.abs().reshape(source.shape[0], 12, 10, 250).mean(-1)
        return parts.transpose(1, 2) if self.frames else parts.mean(-1)


def exported(path: Path, network: nn.Module, shape: tuple[int, ...] = (1, 12, 2500)) -> Path:
    torch.onnx.export(network, (torch.zeros(shape),), path, input_names=["ecg"], output_names=["out"], dynamo=False)
    return path


@pytest.mark.slow(3)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("frames", [True, False])
def test_another_encoder_is_probed_as_an_onnx_file(frames: bool, tmp_path: Path) -> None:
    def loud(key: str) -> Record:  # positives are peaked: after z-scoring their mean height is smaller
        one = read(key)
        labels = {e.key: e.labels[0] for e in (*examples(40), *examples(20, first=100))}
        return replace(one, signal=one.signal**3) if labels[key] else one

    split = Split(train=examples(40), validation=examples(20, first=100))
    encoder = OnnxEncoder(exported(tmp_path / "other.onnx", Means(frames)), threads=1)
    rows = (encoder.embed(split.train, loud), encoder.embed(split.validation, loud))
    assert rows[0][0].shape == (1, 12)
    found = fit_probe(["x"], split, rows).probabilities(rows[1])
    assert metrics.auroc(np.array([one.labels[0] for one in split.validation]), found[:, 0]) > 0.95


@pytest.mark.slow(3)
@pytest.mark.filterwarnings("ignore")
def test_a_file_that_is_no_encoder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(RuntimeUnavailable, match="cannot be opened"):
        OnnxEncoder(tmp_path / "text.onnx")
    with pytest.raises(RuntimeUnavailable, match=r"must take one input \(batch, 12, 2500\)"):
        OnnxEncoder(exported(tmp_path / "flat.onnx", nn.Linear(5, 2), (1, 5)))
    other = OnnxEncoder(exported(tmp_path / "long.onnx", nn.Linear(5000, 2), (1, 12, 5000)))
    with pytest.raises(RuntimeUnavailable, match="refuses segments"):
        other.embed(examples(1), read)
