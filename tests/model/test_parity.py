"""The network equals fairseq-signals on every tensor recorded from it, NaN where it gives NaN.

Logits, probabilities and pooled embeddings: 5e-6 absolute. Hidden states are sums of float32, which another processor
adds up in another order: `float32_sums` bounds them relative to the tensor's scale.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

import ecgfm
from ecgfm.fairseq import reading as fairseq
from ecgfm.network import EcgFm, pool
from ecgfm.runtimes.eager import eager_embedding
from ecgfm.training.optimiser import ReferenceAdam

pytestmark = pytest.mark.slow(15)

TOLERANCE = 5e-6  #: of what leaves the network: logits, probabilities and pooled embeddings
LOSS_ROUNDING = 8 * float(np.finfo(np.float32).eps)  #: relative: a few units of a loss that float32 has summed up


@pytest.fixture(scope="module")
def recorded(reference: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(reference / "tiny_finetuned_ref.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def finetuned(reference: Path) -> EcgFm:
    return ecgfm.load(reference / "tiny_finetuned.pt")


def close(found: Tensor, expected: NDArray[np.float32], tolerance: float = TOLERANCE) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=tolerance, equal_nan=True)


def float32_sums(expected: NDArray[np.float32]) -> float:
    """How far two float32 computations of the same sums may be apart.

    Rounding errors of a sum of n terms in two orders differ by about sqrt(n) units. The longest sum of the recorded
    networks is the positional convolution's: 128 taps of 64 / 16 channels.
    """
    return math.sqrt(128 * 4) * float(np.finfo(np.float32).eps) * float(np.abs(expected).max())


def close_sums(found: Tensor, expected: NDArray[np.float32]) -> None:
    close(found, expected, float32_sums(expected))


@contextmanager
def hidden_states(network: EcgFm) -> Iterator[dict[str, Tensor]]:
    """Every named intermediate of the next forward passes, taken by hooks."""
    encoder = network.encoder
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name] = output

        return hook

    named: dict[str, nn.Module] = {
        "feat_ln": encoder.layer_norm,
        "post_extract_proj": encoder.post_extract_proj,
        "conv_pos": encoder.conv_pos,
        "enc_layer_norm": encoder.encoder.layer_norm,
        "encoder_x": encoder,
        **{f"conv{index}": layer for index, layer in enumerate(encoder.feature_extractor.conv_layers)},
        **{f"layer{index}": layer for index, layer in enumerate(encoder.encoder.layers)},
    }
    handles = [module.register_forward_hook(keep(name)) for name, module in named.items()]
    yield seen
    for handle in handles:
        handle.remove()


def compare_states(states: dict[str, Tensor], recorded: dict[str, NDArray[np.float32]], prefix: str) -> set[str]:
    compared = set()
    for name, found in states.items():
        expected = recorded.get(f"{prefix}.{name}")
        if expected is not None:
            close_sums(found[: len(expected)], expected)
            compared.add(name)
    return compared


@torch.no_grad()
def test_every_hidden_state(finetuned: EcgFm, recorded: dict[str, NDArray[np.float32]]) -> None:
    source = torch.from_numpy(recorded["source"])
    with hidden_states(finetuned) as states:
        logits = finetuned(source)
    stages = {"feat_ln", "post_extract_proj", "conv_pos", "enc_layer_norm", "encoder_x"}
    stages |= {f"conv{index}" for index in range(4)} | {f"layer{index}" for index in range(3)}
    assert compare_states(states, recorded, "nopad") == stages
    close(logits, recorded["nopad.logits"])
    close(torch.sigmoid(logits), recorded["nopad.probs"])
    close(finetuned.embed(source), recorded["nopad.pooled"])
    close_sums(states["encoder_x"], recorded["nopad.encoder_out_after_inplace_zeroing"])  # nothing is padded
    # The reference computes attention another way when it is asked for the weights; the outputs stay within the
    # tolerance.
    close(logits, recorded["sal.logits"])
    close_sums(states["encoder_x"][:1], recorded["sal.encoder_x"])


@torch.no_grad()
def test_padded_batch_with_the_reference_leaks(finetuned: EcgFm, recorded: dict[str, NDArray[np.float32]]) -> None:
    source, mask = (torch.from_numpy(recorded[name]) for name in ("source_padded", "padding_mask_padded"))
    padding = finetuned.encoder.frame_padding(mask)
    assert padding is not None
    np.testing.assert_array_equal(padding.numpy(), recorded["pad.frame_padding_mask"])
    with hidden_states(finetuned) as states:
        logits = finetuned(source, mask)
    close(logits, recorded["pad.logits"])
    close(torch.sigmoid(logits), recorded["pad.probs"])
    real = ~padding
    for name in ("conv_pos", "enc_layer_norm", "layer0", "layer1", "layer2", "encoder_x"):
        close_sums(states[name][real], recorded[f"pad.{name}"][real.numpy()])
    zeroed = states["encoder_x"].masked_fill(padding[..., None], 0)
    close_sums(zeroed, recorded["pad.encoder_out_after_inplace_zeroing"])
    close(finetuned.embed(source, mask), recorded["pad.pooled"])


def test_padding_mask_without_padding_is_no_mask(finetuned: EcgFm) -> None:
    assert finetuned.encoder.frame_padding(torch.zeros(2, 2500, dtype=torch.bool)) is None


@torch.no_grad()
@pytest.mark.parametrize("length", [5000, 2503, 1000, 160])
def test_other_lengths(finetuned: EcgFm, recorded: dict[str, NDArray[np.float32]], length: int) -> None:
    source = torch.from_numpy(recorded[f"len{length}.source"])
    close(finetuned(source), recorded[f"len{length}.logits"])
    close(finetuned.embed(source), recorded[f"len{length}.pooled"])


@torch.no_grad()
@pytest.mark.parametrize("scale", [1000.0, 0.001])
def test_scaled_input(finetuned: EcgFm, recorded: dict[str, NDArray[np.float32]], scale: float) -> None:
    # The product is formed in float32, as the reference's was.
    close(finetuned(torch.from_numpy(recorded["source"]) * scale), recorded[f"scale{scale}.logits"])


@torch.no_grad()
def test_all_zero_input_is_finite(finetuned: EcgFm, recorded: dict[str, NDArray[np.float32]]) -> None:
    close(finetuned(torch.zeros(1, 12, 2500)), recorded["allzero.logits"])
    assert np.isfinite(recorded["allzero.logits"]).all()


@torch.no_grad()
def test_one_nan_lead_turns_every_logit_nan(finetuned: EcgFm, recorded: dict[str, NDArray[np.float32]]) -> None:
    source = torch.from_numpy(recorded["source"][:1].copy())
    source[0, 5] = torch.nan
    close(finetuned(source), recorded["nanlead.logits"])
    assert np.isnan(recorded["nanlead.logits"]).all()


@torch.no_grad()
def test_legacy_weight_norm_keys_give_the_same_bits(reference: Path, finetuned: EcgFm) -> None:
    legacy = ecgfm.load(reference / "tiny_finetuned_legacykeys.pt")
    source = torch.randn(2, 12, 2500, generator=torch.Generator().manual_seed(1))
    assert torch.equal(legacy(source), finetuned(source))


@torch.no_grad()
def test_pre_norm(reference: Path) -> None:
    network = ecgfm.load(reference / "tiny_finetuned_prenorm.pt")
    assert network.config.pre_norm
    with np.load(reference / "tiny_finetuned_prenorm_ref.npz") as arrays:
        recorded = dict(arrays)
    source = torch.from_numpy(recorded["source"])
    with hidden_states(network) as states:
        logits = network(source)
    close(logits, recorded["nopad.logits"])
    close(torch.sigmoid(logits), recorded["nopad.probs"])
    close(network.embed(source), recorded["nopad.pooled"])
    close_sums(states["encoder_x"], recorded["nopad.encoder_out_after_inplace_zeroing"])
    assert compare_states(states, recorded, "nopad") == {
        *("feat_ln", "post_extract_proj", "enc_layer_norm", "encoder_x"),
        *("layer0", "layer1", "layer2"),
    }
    source, mask = (torch.from_numpy(recorded[name]) for name in ("source_padded", "padding_mask_padded"))
    close(network(source, mask), recorded["pad.logits"])


def test_finetuning_loss_gradients_and_one_step(reference: Path, recorded: dict[str, NDArray[np.float32]]) -> None:
    network = fairseq.build(reference / "tiny_finetuned.pt").train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):  # the recording is without
            module.p = 0.0
    label, weight = (torch.from_numpy(recorded[f"ft.{name}"]) for name in ("label", "pos_weight"))
    logits = network(torch.from_numpy(recorded["source"]))
    loss = binary_cross_entropy_with_logits(logits, label, pos_weight=weight, reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(recorded["ft.loss_sum"]), rel=LOSS_ROUNDING)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    named = {name.replace("heads.finetuned.", "proj."): value for name, value in network.named_parameters()}
    without = {name for name, parameter in named.items() if parameter.grad is None}
    assert without == set(recorded["ft.params_without_grad"].tolist())  # the published recipe freezes the convolutions
    for name in named.keys() - without:
        gradient, expected = named[name].grad, torch.from_numpy(recorded[f"ft.grad.{name}"])
        assert gradient is not None
        if not name.endswith("k_proj.bias"):  # theoretically zero: rounding only
            assert (gradient - expected).abs().max() <= 1e-4 * expected.abs().max(), name
        gradient /= float(recorded["ft.sample_size"])

    ReferenceAdam(network.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01).step()
    after = "ft.after_adam_lr1e-3_wd0.01_eps1e-6."
    stepped = [name for name in recorded if name.startswith(after)]
    assert len(stepped) == 4
    for name in stepped:
        close(named[name.removeprefix(after)], recorded[name])


@torch.no_grad()
def test_pretrained_encoder_without_masking(reference: Path) -> None:
    network = ecgfm.load(reference / "tiny_pretrained.pt")
    with np.load(reference / "tiny_pretrained_ref.npz") as arrays:
        source, x, features = torch.from_numpy(arrays["source"]), arrays["extract.x"], arrays["extract.features"]
    close_sums(network.encoder(source)[: len(x)], x)
    close_sums(network.encoder.normalise(network.encoder.features(source))[: len(features)], features)


@torch.no_grad()
def test_folding_weight_norm_keeps_the_output(reference: Path) -> None:
    trainable = fairseq.build(reference / "tiny_finetuned.pt").eval()
    folded = ecgfm.load(reference / "tiny_finetuned.pt")
    source = torch.randn(2, 12, 2500, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(trainable(source), folded(source), atol=1e-6)


def test_pooling_leaves_exact_zeros_out_of_the_count() -> None:
    frames = torch.tensor([[[2.0, 0.0], [0.0, 0.0], [4.0, 0.0]]])  # (1, 3 frames, 2 channels)
    pooled = pool(frames)[0]
    assert pooled[0] == 3
    assert torch.isnan(pooled[1])


@pytest.mark.parametrize(
    ("table", "classes"), [("full_finetuned_state_dict.tsv", 17), ("full_pretrained_state_dict.tsv", 0)]
)
def test_the_published_size_has_exactly_the_published_tensors(reference: Path, table: str, classes: int) -> None:
    rows = [line.split("\t") for line in (reference / table).read_text().splitlines()]
    listed = {name: torch.empty(eval_shape(shape), device="meta") for name, shape, *_ in rows if "(" in shape}
    checkpoint = fairseq.Checkpoint(path=reference / table, model={}, criterion={}, tensors=listed)
    tensors = fairseq.network_tensors(checkpoint)
    config = fairseq.architecture(checkpoint, tensors, heads=12, pre_norm=False)
    assert config == type(config)()  # the defaults are the published sizes
    specs = [fairseq.head_spec(checkpoint, classes, None)] if classes else []
    with torch.device("meta"):
        network = EcgFm(config, specs)
    ours = {
        name.replace("heads.interpretation.", "proj."): tensor.shape for name, tensor in network.state_dict().items()
    }
    assert ours == {name: tensor.shape for name, tensor in tensors.items()}
    if classes:
        assert sum(parameter.numel() for parameter in network.parameters()) == 90_386_321


def eval_shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.strip("()").split(",") if size.strip())


@torch.no_grad()
@pytest.mark.parametrize("name", ["tiny_finetuned", "tiny_finetuned_prenorm"])
def test_the_benchmarks_baseline_is_the_same_network(reference: Path, name: str) -> None:
    network = fairseq.build(reference / f"{name}.pt").eval()
    source = torch.randn(2, 12, 2500, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(eager_embedding(network, source), network.embed(source), atol=TOLERANCE)
