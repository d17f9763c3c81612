"""Saliency equals the reference's, is mapped to seconds, and points at what the logit depends on."""

from pathlib import Path

import numpy as np
import pytest
import torch

import ecgfm
from ecgfm import saliency_checks
from ecgfm.checkpoint import Bundle
from ecgfm.errors import NoHead, SignalError
from ecgfm.explain import (
    STEPS,
    Method,
    Saliency,
    attention,
    attention_rollout,
    attention_saliency,
    explain,
    explain_leads,
    gradient_times_input,
    stretch,
)
from ecgfm.signal import prepare
from ecgfm_clinical.shipped import recordings
from tests.helpers.synthetic import synthetic_ecgs

pytestmark = pytest.mark.slow


def test_attention_equals_the_reference(reference: Path) -> None:
    network = ecgfm.load(reference / "tiny_finetuned.pt")
    with np.load(reference / "tiny_finetuned_ref.npz") as arrays:
        source = torch.from_numpy(arrays["source"])
        for layer in range(3):
            found = attention(network, source[:1], layer=layer).mean(dim=1)
            np.testing.assert_allclose(found, arrays["sal.saliency_attn"][:, layer], atol=5e-6)
        np.testing.assert_allclose(attention_saliency(network, source), arrays["sal.attn_max_last_layer"], atol=5e-6)


def test_stretch_keeps_each_frame_at_its_own_time() -> None:
    frames = np.zeros(156)
    frames[100] = 1
    stretched = stretch(frames, 2500)
    assert stretched.shape == (2500,)
    middle = 100.5 * 2500 / 156
    assert abs(int(stretched.argmax()) - middle) <= 1
    assert not stretched[: int(middle - 20)].any()
    assert not stretched[int(middle + 20) :].any()


@pytest.mark.parametrize("rate", [500, 250, 1000])
def test_weights_lie_on_the_recordings_own_samples(bundle: Bundle, rate: int) -> None:
    network = ecgfm.load(bundle.path)
    signal = synthetic_ecgs(1)[0]
    signal = signal[:, ::2] if rate == 250 else np.repeat(signal, 2, axis=1) if rate == 1000 else signal
    saliency = explain(network, signal, rate)
    assert saliency.weights.min() == 0
    assert saliency.weights.max() == 1
    assert saliency.seconds[-1] == pytest.approx(10, abs=0.01)
    own = saliency.at(signal.shape[1], rate)
    assert own.shape == (signal.shape[1],)
    for segment in (0, 1):  # each has its own scale, and so its own largest weight
        mine, theirs = own.reshape(2, -1)[segment], saliency.weights.reshape(2, -1)[segment]
        assert mine.argmax() / rate == pytest.approx(theirs.argmax() / 500, abs=0.005)


def test_remainder_that_no_segment_covers_has_no_weight(bundle: Bundle) -> None:
    signal = synthetic_ecgs(1)[0][:, :3500]
    own = explain(ecgfm.load(bundle.path), signal, 500).at(3500, 500)
    assert not own[2500:].any()
    assert own[:2500].any()


def test_gradient_times_input_predicts_a_small_change(bundle: Bundle) -> None:
    """First-order: scaling the input by 1 + h changes the logit by h times the sum of gradient × input."""
    network = ecgfm.load(bundle.path).double()
    source = torch.randn(1, 12, 2500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    source.requires_grad_(True)
    (gradient,) = torch.autograd.grad(network(source)[0, 0], source)
    step = 1e-4
    with torch.no_grad():
        change = (network(source * (1 + step)) - network(source * (1 - step)))[0, 0] / (2 * step)
    assert float((gradient * source).sum().detach()) == pytest.approx(float(change), rel=1e-3, abs=1e-6)
    found = gradient_times_input(network, source.detach(), 0)
    torch.testing.assert_close(found, (gradient * source).abs())


def test_gradient_needs_to_know_the_label(bundle: Bundle) -> None:
    network, signal = ecgfm.load(bundle.path), synthetic_ecgs(1)[0]
    with pytest.raises(NoHead, match="reduced_lvef, troponin"):
        explain(network, signal, 500, method="gradient")
    weights = explain(network, signal, 500, method="gradient", label="troponin").weights
    assert (weights != explain(network, signal, 500, method="gradient", label="reduced_lvef").weights).any()


def test_what_cannot_be_scored_cannot_be_explained(bundle: Bundle) -> None:
    with pytest.raises(SignalError, match="too-short"):
        explain(ecgfm.load(bundle.path), np.ones((12, 100), np.float32), 500)


def test_each_lead_has_weights_of_its_own_every_40_ms(bundle: Bundle) -> None:
    network, signal = ecgfm.load(bundle.path), synthetic_ecgs(1)[0]
    found = explain_leads(network, signal, 500, head="troponin", label="troponin").weights
    assert found.shape == (12, 10 * STEPS)
    assert found.max() == 1
    column = network.labels.index("troponin")
    source = torch.from_numpy(prepare(signal, 500, network.preprocessing))
    raw = np.concatenate(list(gradient_times_input(network, source, column).numpy()), axis=1)  # (12, 5000)
    lead, step = np.unravel_index(found.argmax(), found.shape)
    means = raw.reshape(12, -1, 500 // STEPS).mean(axis=2)
    np.testing.assert_allclose(found, means / means[lead, step], rtol=1e-5)
    whole = explain(network, signal, 500, method="gradient", label="troponin").leads
    assert whole is not None
    np.testing.assert_array_equal(whole.weights, found)
    assert explain(network, signal, 500).leads is None, "attention knows no leads"


def test_a_label_is_known_by_its_head(bundle: Bundle) -> None:
    with pytest.raises(NoHead, match="no troponin reduced_lvef"):
        explain_leads(ecgfm.load(bundle.path), synthetic_ecgs(1)[0], 500, head="troponin", label="reduced_lvef")
    with pytest.raises(SignalError, match="too-short"):
        explain_leads(ecgfm.load(bundle.path), np.ones((12, 100), np.float32), 500, head="troponin", label="troponin")


@pytest.mark.parametrize("method", ["attention", "rollout"])
def test_no_segment_is_painted_as_a_whole(bundle: Bundle, method: Method) -> None:
    """The level of attention differs from segment to segment: sharp in one, even in the next."""
    calm, busy = synthetic_ecgs(2)
    signal = np.concatenate([calm[:, :2500], busy[:, :2500]], axis=1)
    weights = explain(ecgfm.load(bundle.path), signal, 500, method=method).weights.reshape(2, 2500)
    np.testing.assert_allclose(weights.min(axis=1), 0)
    np.testing.assert_allclose(weights.max(axis=1), 1)


def test_rollout_keeps_what_flows_in(bundle: Bundle) -> None:
    """Every frame's weight is a share of the pooled output: they sum to one; with no layer mixing they are equal."""
    network = ecgfm.load(bundle.path)
    source = torch.from_numpy(prepare(synthetic_ecgs(1)[0], 500, network.preprocessing))
    rolled = attention_rollout(network, source)
    torch.testing.assert_close(rolled.sum(dim=1), torch.ones(2))
    frames = rolled.shape[1]
    expected = torch.full((2, frames), 1 / frames)
    for layer in range(len(network.encoder.encoder.layers) - 1, -1, -1):  # from the output down, as a row vector
        expected = (
            0.5 * (expected[:, None] @ attention(network, source, layer=layer).mean(dim=1))[:, 0] + 0.5 * expected
        )
    torch.testing.assert_close(rolled, expected)


def test_attention_changes_with_the_layers_and_knows_no_label() -> None:
    """Random heads leave it as it is, random layers do not."""
    network = ecgfm.load("demo")
    found = saliency_checks.check(network, recordings.load(3), 500, method="attention", label="Atrial fibrillation")
    assert list(found.randomised) == ["heads and above", *(f"layer {at} and above" for at in (3, 2, 1, 0)), "all"]
    assert found.randomised["heads and above"] == pytest.approx(1.0)
    assert found.depends_on_the_weights
    assert len(found.segments) == 2


def test_a_map_of_the_ecg_alone_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """|signal| as a map stays the same whatever the weights are."""

    def loud(network: object, signal: np.ndarray, rate: float, **_: object) -> Saliency:
        weights = np.abs(signal).sum(axis=0)
        return Saliency(method="gradient", seconds=np.arange(signal.shape[1]) / rate, weights=weights / weights.max())

    monkeypatch.setattr(saliency_checks, "explain", loud)
    network = ecgfm.load("demo")
    found = saliency_checks.check(network, recordings.load(3), 500, method="gradient", label="Atrial fibrillation")
    assert list(found.randomised.values()) == pytest.approx([1.0] * 6)
    assert not found.depends_on_the_weights
