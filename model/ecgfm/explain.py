"""Where in the ECG the network looked: last-layer attention as in ECG-FM, or gradient × input of one label.

Neither proves why a probability is high; both show where the network's output depends on the signal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgfm.errors import NoHead, SignalError
from ecgfm.network import EcgFm
from ecgfm.signal import SAMPLING_RATE, SEGMENT_SAMPLES, Signal, prepare, reasons_not_scored, segment_starts

Method = Literal["attention", "gradient"]
METHODS: dict[str, Method] = {"attention": "attention", "gradient": "gradient"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Saliency:
    """One weight from 0 to 1 for each of `seconds`, over all segments of one ECG, scaled to its own range."""

    method: Method
    seconds: NDArray[np.float64]  #: (n,) from the start of the recording, 500 a second, whole segments only
    weights: NDArray[np.float64]  #: (n,) from 0 to 1

    def at(self, samples: int, sampling_rate: float) -> NDArray[np.float64]:
        """The weights at the recording's own samples; 0 in the remainder that no segment covers."""
        return np.interp(np.arange(samples) / sampling_rate, self.seconds, self.weights, right=0.0)


def explain(
    network: EcgFm,
    signal: Signal,
    sampling_rate: float,
    *,
    method: Method = "attention",
    label: str | None = None,
) -> Saliency:
    """Saliency of one ECG (12, samples) in mV. `label` is needed for `gradient` where the network has several.

    Raises `SignalError` where the ECG cannot be scored, `NoHead` where there is no such label.
    """
    reasons = reasons_not_scored(signal, sampling_rate)
    if reasons:
        raise SignalError(f"this ECG cannot be explained, because it cannot be scored: {', '.join(reasons)}")
    source = torch.from_numpy(prepare(signal, sampling_rate, network.preprocessing))  # (S, 12, 2500)
    if method == "attention":
        per_frame = attention_saliency(network, source)  # (S, T)
        parts = [stretch(frames.double().numpy(), SEGMENT_SAMPLES) for frames in per_frame]
    else:
        parts = [smooth(part) for part in gradient_times_input(network, source, _column(network, label)).numpy()]
    starts = segment_starts(int(signal.shape[1] * SAMPLING_RATE / sampling_rate), network.preprocessing)
    weights = np.full(starts[-1] + SEGMENT_SAMPLES, -np.inf)
    for start, part in zip(starts, parts, strict=True):  # where segments overlap, the larger weight stands
        own = weights[start : start + SEGMENT_SAMPLES]
        np.maximum(own, part, out=own)
    low, high = weights.min(), weights.max()
    scaled = (weights - low) / (high - low) if high > low else np.zeros_like(weights)
    return Saliency(method=method, seconds=np.arange(len(weights)) / SAMPLING_RATE, weights=scaled)


def attention_saliency(network: EcgFm, source: Tensor) -> Tensor:
    """(S, 12, 2500) -> (S, T): last layer's attention averaged over heads, then per query the maximum over keys.

    As the reference computes it. Its published notebook then stretches to T · L instead of L samples, so that its
    picture shows little more than the first frame; `stretch` goes to L.
    """
    return attention(network, source, layer=-1).mean(dim=1).amax(dim=-1)  # (S, H, T, T) -> (S, T, T) -> (S, T)


def attention(network: EcgFm, source: Tensor, *, layer: int) -> Tensor:
    """(S, 12, 2500) -> attention probabilities (S, heads, T queries, T keys) of one layer."""
    attend = network.encoder.encoder.layers[layer].self_attn
    inputs: list[Tensor] = []

    def keep(_module: object, arguments: tuple[Tensor, ...]) -> None:
        inputs.append(arguments[0])

    handle = attend.register_forward_pre_hook(keep)  # type: ignore[union-attr]  # a SelfAttention
    try:
        with torch.no_grad():
            network.encoder(source)
            weights: Callable[[Tensor], Tensor] = attend.weights  # type: ignore[assignment,union-attr]  # a SelfAttention
            return weights(inputs[0])
    finally:
        handle.remove()


def gradient_times_input(network: EcgFm, source: Tensor, column: int) -> Tensor:
    """(S, 12, 2500) -> (S, 2500): |gradient of one logit × input|,
    summed over leads (Simonyan et al. 2013, Shrikumar 2016).
    """
    source = source.clone().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(network(source)[:, column].sum(), source)
    return (gradient * source).detach().abs().sum(dim=1)


def stretch(frames: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """(T,) -> (samples,), each frame's weight at the middle of the samples it sees, linear between."""
    width = samples / len(frames)
    middles = (np.arange(len(frames)) + 0.5) * width - 0.5
    return np.interp(np.arange(samples), middles, frames)


def smooth(weights: NDArray[np.float32], width: int = SAMPLING_RATE // 20) -> NDArray[np.float64]:
    """Running mean over 50 ms: a gradient changes sign from sample to sample, a beat does not."""
    return np.convolve(weights.astype(np.float64), np.full(width, 1 / width), mode="same")


def _column(network: EcgFm, label: str | None) -> int:
    if label is None and len(network.labels) == 1:
        return 0
    if label not in network.labels:
        raise NoHead(f"say which label to explain; this model has: {', '.join(network.labels) or 'none'}")
    return network.labels.index(label)
