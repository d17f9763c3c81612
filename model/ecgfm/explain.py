"""Where in the ECG the network looked: last-layer attention as in ECG-FM, attention rolled out over all layers, or
gradient × input of one label.

None of them proves why a probability is high; they show where the network's output depends on the signal, or what it
attended to whichever label is asked for. `ecgfm.saliency_checks` says whether a map depends on the model at all.

Attention is a distribution within each 5 s segment: its level is no common measure of two segments, so each segment has
its own scale. A gradient is of one logit, so that all segments share one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgfm.errors import NoHead, SignalError
from ecgfm.feeding import Prepared, Rows, fed
from ecgfm.network import EcgFm
from ecgfm.signal import (
    LEADS,
    SAMPLING_RATE,
    SEGMENT_SAMPLES,
    Signal,
    prepare,
    reasons_not_scored,
    segment_starts,
)

T = TypeVar("T")
Method = Literal["attention", "rollout", "gradient"]
METHODS: dict[str, Method] = {"attention": "attention", "rollout": "rollout", "gradient": "gradient"}
_WORDS = {"attention": "attention of the last layer", "rollout": "attention rolled out over all layers"}
#: Segments in one call of `Explainer`: those of an ECG of 10 s.
SEGMENTS = 2
#: Steps a second of `LeadSaliency`: one is 40 ms, a millimetre of paper at 25 mm/s.
STEPS = 25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Saliency:
    """One weight from 0 to 1 for each of `seconds`, over all segments of one ECG; attention is scaled
    segment by segment."""

    method: Method
    seconds: NDArray[np.float64]  #: (n,) from the start of the recording, 500 a second, whole segments only
    weights: NDArray[np.float64]  #: (n,) from 0 to 1
    leads: "LeadSaliency | None" = None  #: of a gradient, which knows leads; attention does not

    def at(self, samples: int, sampling_rate: float) -> NDArray[np.float64]:
        """The weights at the recording's own samples; 0 in the remainder that no segment covers."""
        return np.interp(np.arange(samples) / sampling_rate, self.seconds, self.weights, right=0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeadSaliency:
    """One weight from 0 to 1 for each lead and each 40 ms of one ECG, scaled to its own largest value."""

    weights: NDArray[np.float64]  #: (12, steps), `STEPS` a second from the start of the recording, whole segments only


def explain_leads(network: EcgFm, signal: Signal, sampling_rate: float, *, head: str, label: str) -> LeadSaliency:
    """Gradient × input of one label, lead by lead, of one ECG (12, samples) in mV.

    Raises `SignalError` where the ECG cannot be scored, `NoHead` where the network has no such label.
    """
    known = _labels(network)
    asked = next((own for own in known if own[2:] == (head, label)), None)
    if asked is None:
        there = ", ".join(f"{own[2]} {own[3]}" for own in known)
        raise NoHead(f"this model has no {head} {label}; it has: {there or 'no head'}")
    part, column, _, _ = asked
    source = _source(network, signal, sampling_rate)
    found = gradient_times_input(part, source, column).cpu().numpy()
    return _by_lead(found, _starts(network, signal, sampling_rate))


def _by_lead(found: NDArray[np.float32], starts: Sequence[int]) -> LeadSaliency:
    """(S, 12, 2500) of segments that begin at these samples, as the weights of one recording."""
    whole = np.zeros((len(LEADS), starts[-1] + SEGMENT_SAMPLES))
    for start, part in zip(starts, found, strict=True):  # where segments overlap, the larger weight stands
        own = whole[:, start : start + SEGMENT_SAMPLES]
        np.maximum(own, part, out=own)
    width = SAMPLING_RATE // STEPS
    whole = np.pad(whole, ((0, 0), (0, -whole.shape[1] % width)))
    steps = whole.reshape(len(LEADS), -1, width).mean(axis=2)
    largest = steps.max()
    return LeadSaliency(weights=steps / largest if largest > 0 else steps)


def explain(
    network: EcgFm,
    signal: Signal,
    sampling_rate: float,
    *,
    method: Method = "attention",
    label: str | None = None,
) -> Saliency:
    """Saliency of one ECG (12, samples) in mV. `label` is needed for `gradient` where the network has several, as
    `LABEL` or `HEAD LABEL`; attention and rollout know no label, but several encoders attend each in its own way: there
    it says whose.

    Raises `SignalError` where the ECG cannot be scored, `NoHead` where there is no such label.
    """
    part, column = _looked_into(network, method, label)
    found = _asked(part, _source(network, signal, sampling_rate), method, column)
    return _joined(found, _starts(network, signal, sampling_rate), method)


def _source(network: EcgFm, signal: Signal, sampling_rate: float) -> Tensor:
    """(S, 12, 2500) as the network takes it. Raises `SignalError` where the ECG cannot be scored."""
    reasons = reasons_not_scored(signal, sampling_rate)
    if reasons:
        raise SignalError(f"this ECG cannot be explained, because it cannot be scored: {', '.join(reasons)}")
    return torch.from_numpy(prepare(signal, sampling_rate, network.preprocessing))


def _starts(network: EcgFm, signal: Signal, sampling_rate: float) -> tuple[int, ...]:
    """Where its segments begin, samples at 500 Hz."""
    return segment_starts(int(signal.shape[1] * SAMPLING_RATE / sampling_rate), network.preprocessing)


class Explainer:
    """One network and one question to it, asked of any number of ECGs, each as if it were alone."""

    def __init__(self, network: EcgFm, *, method: Method = "attention", label: str | None = None) -> None:
        """`label` as in `explain`. Raises NoHead."""
        self.method: Method = method
        self.preprocessing = network.preprocessing
        self._network, self._column = _looked_into(network, method, label)
        whose = f", encoder of {' and '.join(self._network.heads)}" if network.further_encoders else ""
        #: in words, method and label, and where there are several encoders, which one
        self.question = (
            f"{_WORDS[method]}{whose}"
            if self._column is None
            else f"gradient × input of {self._network.labels[self._column]}"
        )
        self._device = next(iter(network.parameters())).device

    def saliencies(
        self, records: Iterable[Prepared[T]], samples: Callable[[T], int]
    ) -> Iterator[tuple[Prepared[T], Saliency | Exception | None]]:
        """Each record, in order: None where it cannot be scored, an error where it breaks the network.

        `samples`: how many a record has at 500 Hz, the fraction of the last one dropped.
        """
        for one, rows in fed(records, self._call, size=SEGMENTS, alone=True):
            if isinstance(rows, Exception):
                yield one, rows
            elif not rows:
                yield one, None
            else:
                yield one, _joined(rows[""], segment_starts(samples(one.what), self.preprocessing), self.method)

    def _call(self, segments: NDArray[np.float32]) -> Rows:
        source = torch.from_numpy(segments).clone().to(self._device)
        return {"": _asked(self._network, source, self.method, self._column)}


def _asked(network: EcgFm, source: Tensor, method: Method, column: int | None) -> NDArray[np.float32]:
    """(S, 12, 2500) -> (S, T) attention of the frames, or (S, 12, 2500) gradient × input."""
    if method == "attention":
        found = attention_saliency(network, source)
    elif method == "rollout":
        found = attention_rollout(network, source)
    else:
        assert column is not None
        found = gradient_times_input(network, source, column)
    return np.asarray(found.float().cpu().numpy())


def _joined(found: NDArray[np.float32], starts: Sequence[int], method: Method) -> Saliency:
    """What was asked of segments that begin at these samples, as the weights of one recording."""
    leads = None
    if method == "gradient":
        leads, found = _by_lead(found, starts), found.sum(axis=1)
    parts = [
        smooth(one) if method == "gradient" else _scaled(stretch(one.astype(np.float64), SEGMENT_SAMPLES))
        for one in found
    ]
    weights = np.full(starts[-1] + SEGMENT_SAMPLES, -np.inf)
    for start, part in zip(starts, parts, strict=True):  # where segments overlap, the larger weight stands
        own = weights[start : start + SEGMENT_SAMPLES]
        np.maximum(own, part, out=own)
    seconds = np.arange(len(weights)) / SAMPLING_RATE
    return Saliency(method=method, seconds=seconds, weights=_scaled(weights), leads=leads)


def _scaled(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """To its own range, 0 to 1; all 0 where it has none."""
    low, high = weights.min(), weights.max()
    return (weights - low) / (high - low) if high > low else np.zeros_like(weights)


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


def attention_rollout(network: EcgFm, source: Tensor) -> Tensor:
    """(S, 12, 2500) -> (S, T): how much of each frame reaches the pooled output through all layers, if attention were
    all that mixes frames (Abnar and Zuidema 2020, arXiv 2005.00928): half of each layer is its residual.
    """
    layers = len(network.encoder.encoder.layers)
    flows = [attention(network, source, layer=layer).mean(dim=1) for layer in range(layers)]  # (S, T, T) each
    rolled = torch.eye(flows[0].shape[-1], dtype=flows[0].dtype, device=flows[0].device).expand_as(flows[0])
    for flow in flows:
        rolled = (0.5 * flow + 0.5 * torch.eye(flow.shape[-1], dtype=flow.dtype, device=flow.device)) @ rolled
    return rolled.mean(dim=1)  # the pooled output is the mean over frames


def gradient_times_input(network: EcgFm, source: Tensor, column: int) -> Tensor:
    """(S, 12, 2500) -> the same: |gradient of one logit × input| (Simonyan et al. 2013, Shrikumar 2016)."""
    source = source.clone().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(network(source)[:, column].sum(), source)
    return (gradient * source).detach().abs()


def stretch(frames: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """(T,) -> (samples,), each frame's weight at the middle of the samples it sees, linear between."""
    width = samples / len(frames)
    middles = (np.arange(len(frames)) + 0.5) * width - 0.5
    return np.interp(np.arange(samples), middles, frames)


def smooth(weights: NDArray[np.float32], width: int = SAMPLING_RATE // 20) -> NDArray[np.float64]:
    """Running mean over 50 ms: a gradient changes sign from sample to sample, a beat does not."""
    return np.convolve(weights.astype(np.float64), np.full(width, 1 / width), mode="same")


def _looked_into(network: EcgFm, method: Method, label: str | None) -> tuple[EcgFm, int | None]:
    """The part that is looked into, and for a gradient the column of its logits. Raises NoHead."""
    if method == "gradient":
        return part_with(network, label)
    return part_with(network, label)[0] if network.further_encoders else network, None


def part_with(network: EcgFm, label: str | None) -> tuple[EcgFm, int]:
    """The part of the network (`EcgFm.parts`) that has a label, named `LABEL` or `HEAD LABEL`, and the column of its
    logits; its only label where it has one and none is named.

    Raises NoHead where there is no such label, or where several heads have one of that name.
    """
    known = _labels(network)
    asked = [own for own in known if label in (own[3], f"{own[2]} {own[3]}") or (label is None and len(known) == 1)]
    if len(asked) != 1:
        offered = [f"{head} {one}" for _, _, head, one in asked] or network.labels
        raise NoHead(f"say which label to explain; this model has: {', '.join(offered) or 'none'}")
    return asked[0][0], asked[0][1]


def _labels(network: EcgFm) -> list[tuple[EcgFm, int, str, str]]:
    """Each label of the network: the part that has it, its column there, its head and its name."""
    found = []
    for part in network.parts:
        names = [(spec.name, label) for spec in part.specs for label in spec.labels]
        found += [(part, column, head, label) for column, (head, label) in enumerate(names)]
    return found
