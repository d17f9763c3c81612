"""The pretraining objective equals the reference's, term for term, gradient for gradient, and after one Adam step."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ecgfm.config import EncoderConfig
from ecgfm.pretraining.objective import Batch, Losses, ObjectiveConfig, Pretraining
from ecgfm.training.cpu_layers import speed_up_cpu
from ecgfm.training.optimiser import ReferenceAdam

pytestmark = pytest.mark.slow

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
RECORDED = np.load(REFERENCE / "tiny_pretrained_ref.npz")
ENCODER = EncoderConfig(
    conv_layers=((32, 2, 2),) * 4, width=64, layers=3, ffn_width=128, heads=4, feature_grad_mult=0.1
)
OBJECTIVE = ObjectiveConfig(codes=20, groups=2, code_width=24, negatives=15, dropout_features=0.0)
ROUNDING = 8 * float(np.finfo(np.float32).eps)  #: relative: a few units of a loss that float32 has summed up
STEP = 5e-5  #: the recorded learning rate
PAIRED = [0, 2, 4, 6, 1, 3, 5, 7]  # recorded rows alternate; ours hold all first segments, then all second ones


def _model() -> Pretraining:
    model = Pretraining(ENCODER, OBJECTIVE)
    weights = torch.load(REFERENCE / "tiny_pretrained.pt", weights_only=True)["model"]
    model.load_reference_state_dict(weights)
    return model


def _rows(array: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(array[PAIRED])


def _batch(model: Pretraining, case: str, prefix: str = "", identities: str = "patient_id") -> Batch:
    mask = RECORDED[f"{prefix}mask_indices"][PAIRED]
    source = _rows(RECORDED[f"{prefix}source"])
    padding = None
    if prefix:
        padding = model.encoder.frame_padding(_rows(RECORDED[f"{prefix}padding_mask"]))
    batch = Batch.build(source, _rows(RECORDED[identities]), mask, OBJECTIVE.negatives, padding=padding)
    masked = int(mask[0].sum())
    flat = RECORDED[f"{case}.neg_idxs"] - masked * np.arange(8)[:, None]
    return batch._replace(negatives=_rows(flat.reshape(8, masked, OBJECTIVE.negatives)))


def _noise(masked: int) -> torch.Tensor:
    recorded = RECORDED["train.gumbel_noise"].reshape(8, masked * OBJECTIVE.groups, OBJECTIVE.codes)
    return torch.from_numpy(recorded[PAIRED]).flatten(0, 1)


def _assert_losses(losses: Losses, case: str) -> None:
    for name, recorded in {
        "total": "loss_total_sum",
        "contrastive": "loss_contrastive_ce_sum",
        "feature_penalty": "loss_features_pen_weighted",
        "cmsc": "loss_cmsc_weighted",
        "prob_perplexity": "prob_perplexity",
        "code_perplexity": "code_perplexity",
    }.items():
        value = float(getattr(losses, name).detach())
        assert value == pytest.approx(float(RECORDED[f"{case}.{recorded}"]), rel=ROUNDING), name
    # (entries - perplexity) / entries loses digits where the perplexity is near the number of entries: the same
    # absolute error.
    perplexity, entries = float(RECORDED[f"{case}.prob_perplexity"]), int(RECORDED[f"{case}.num_vars"])
    diversity = float(RECORDED[f"{case}.loss_diversity_weighted"])
    assert float(losses.diversity) == pytest.approx(diversity, rel=ROUNDING * entries / (entries - perplexity))
    assert int(losses.frames) == int(RECORDED[f"{case}.sample_size"])
    assert int(losses.correct) == int(RECORDED[f"{case}.contrastive_correct"])


@pytest.mark.parametrize(("case", "prefix"), [("eval", ""), ("evalpad", "evalpad.")])
def test_evaluation_losses_equal_the_recorded_ones(case: str, prefix: str) -> None:
    model = _model().eval()
    with torch.no_grad():
        _assert_losses(model(_batch(model, case, prefix), 2.0), case)


def test_pairs_of_one_patient_are_positives_of_each_other() -> None:
    model = _model().eval()
    with torch.no_grad():
        losses = model(_batch(model, "eval", identities="eval_duppatient.patient_id"), 2.0)
    assert float(losses.cmsc) == pytest.approx(float(RECORDED["eval_duppatient.loss_cmsc_weighted"]), rel=ROUNDING)


@pytest.mark.parametrize("prepared", [lambda model: None, speed_up_cpu], ids=["as is", "with fast CPU layers"])
def test_training_losses_gradients_and_one_step_equal_the_recorded_ones(
    prepared: Callable[[Pretraining], None],
) -> None:
    model = _model().train()
    prepared(model)
    batch = _batch(model, "train")
    assert OBJECTIVE.gumbel_temperature(12345) == pytest.approx(float(RECORDED["train.gumbel_tau"]), rel=1e-12)
    losses = model(batch, OBJECTIVE.gumbel_temperature(12345), _noise(60))
    _assert_losses(losses, "train")

    losses.total.backward()
    named = dict(model.reference_parameters())
    compared = 0
    for name, parameter in named.items():
        recorded = f"train.grad.{name}"
        if recorded not in RECORDED or name.endswith("k_proj.bias"):  # theoretically zero: rounding only
            continue
        assert parameter.grad is not None
        expected = torch.from_numpy(RECORDED[recorded])
        assert (parameter.grad - expected).abs().max() <= 1e-4 * expected.abs().max(), name
        norm = float(RECORDED[f"train.gradnorm.{name}"])
        assert float(parameter.grad.norm()) == pytest.approx(norm, rel=1e-5), name
        compared += 1
    assert compared == len(named) - 3

    for parameter in named.values():
        assert parameter.grad is not None
        parameter.grad /= float(losses.frames)
    ReferenceAdam(model.parameters(), lr=STEP, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01).step()
    stepped = [name for name in RECORDED.files if name.startswith("train.after_adam.")]
    assert stepped
    for name in stepped:
        parameter = named[name.removeprefix("train.after_adam.")]
        unit = float(np.finfo(np.float32).eps) * float(np.abs(RECORDED[name]).max())
        np.testing.assert_allclose(parameter.detach().numpy(), RECORDED[name], rtol=0, atol=4 * unit + STEP * 1e-4)


@pytest.mark.parametrize("updates", range(8))
def test_the_gumbel_temperature_falls_as_recorded(updates: int) -> None:
    sampling = np.load(REFERENCE / "sampling_aug_ref.npz")
    temperature = ObjectiveConfig().gumbel_temperature(int(sampling["temp.num_updates"][updates]))
    assert temperature == pytest.approx(float(sampling["temp.value"][updates]), rel=1e-12)


def test_rows_with_different_counts_equal_each_row_alone() -> None:
    """Without the batch-minimum cut every row keeps its own frames; filling must not leak into any sum."""
    model = _model().eval()
    source = _rows(RECORDED["source"])
    mask = np.zeros((8, 156), bool)
    for row, count in enumerate([60, 41, 2, 77, 50, 50, 33, 9]):
        mask[row, 10 : 10 + count] = True
    batch = Batch.build(source, torch.arange(4).repeat(2), mask, 15, torch.Generator().manual_seed(1))
    alone = 0.0
    with torch.no_grad():
        together = model(batch, 2.0)
        for row in range(8):
            twice, count = [row, row], int(batch.counts[row])
            single = Batch(
                source=source[twice],
                identities=torch.zeros(2),
                mask=batch.mask[twice],
                frames=batch.frames[twice, :count],
                counts=batch.counts[twice],
                negatives=batch.negatives[twice, :count],
            )
            alone += float(model(single, 2.0).contrastive) / 2
    assert int(together.frames) == 322
    assert float(together.contrastive) == pytest.approx(alone, rel=1e-5)


def test_full_size_has_the_published_parameters() -> None:
    with torch.device("meta"):
        model = Pretraining(EncoderConfig(), ObjectiveConfig())
    named = dict(model.reference_parameters())
    assert sum(parameter.numel() for parameter in named.values()) == 90_883_072
    assert len(named) == 215


def test_bf16_autocast_stays_near_float32() -> None:
    model = _model().eval()
    batch = _batch(model, "eval")
    with torch.no_grad():
        exact = model(batch, 2.0)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(batch, 2.0)
    assert float(rounded.total) == pytest.approx(float(exact.total), rel=0.02)
    assert rounded.total.dtype == torch.float32


@pytest.mark.cuda
@pytest.mark.usefixtures("exact_float32")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_a_step_on_cuda_equals_the_recorded_one(bf16: bool) -> None:
    model = _model().train().cuda()
    drawn = _batch(model, "train")
    batch = Batch(**{name: part.cuda() for name, part in drawn._asdict().items() if part is not None})
    with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
        losses = model(batch, OBJECTIVE.gumbel_temperature(12345), _noise(60).cuda())
    recorded = float(RECORDED["train.loss_total_sum"])
    assert float(losses.total.detach()) == pytest.approx(recorded, rel=0.02 if bf16 else 1e-5)
    losses.total.backward()
    for name, parameter in model.reference_parameters():
        assert parameter.grad is not None
        if not bf16 and f"train.grad.{name}" in RECORDED and not name.endswith("k_proj.bias"):
            expected = torch.from_numpy(RECORDED[f"train.grad.{name}"])
            assert (parameter.grad.cpu() - expected).abs().max() <= 1e-3 * expected.abs().max(), name


@pytest.mark.timeout(900)  # tracing is slow on a busy machine
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's tracer does it itself
def test_a_compiled_step_equals_the_plain_one() -> None:
    """Traced whole, forward and backward; the traced graph is then run by torch's own kernels."""
    torch.manual_seed(0)
    plain = Pretraining(dataclasses.replace(ENCODER, layers=1), OBJECTIVE).train()
    traced = copy.deepcopy(plain)
    batch = _batch(plain, "train")
    compiled = torch.compile(traced, backend="aot_eager", fullgraph=True)
    losses = [model(batch, 1.5, _noise(60)).total for model in (plain, compiled)]
    assert float(losses[1].detach()) == pytest.approx(float(losses[0].detach()), rel=1e-6)
    for loss in losses:
        loss.backward()
    for ours, theirs in zip(plain.parameters(), traced.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(theirs.grad, ours.grad, rtol=1e-4, atol=1e-5 * float(ours.grad.abs().max()) + 1e-5)
