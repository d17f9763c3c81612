"""Does a saliency map say anything of this model and this ECG? Three checks that a map must pass to be looked at.

*Randomised weights* (Adebayo et al. 2018, arXiv 1810.03292): a map that stays the same when the weights are replaced
by random ones describes the ECG, not the model. *Deletion and insertion* (Petsiuk et al. 2018, arXiv 1806.07421):
flattening what the map calls important first must change the answer sooner than flattening in random order, and
restoring it first must bring the answer back sooner. *Segments*: no 5 s segment may be painted as a whole.

On three of the recordings that ship, the demo model's gradient × input kept a rank correlation of 0.58 to 0.84 with
that of a wholly random network, and none of its orders beat chance both ways: multiplied by the input, it draws the
ECG. Its attention fell to −0.41 to 0.25.

A passed check does not make a map an explanation: it shows where the output depends on the signal, not why, not whether
what was found there is disease, and nothing of what a cardiologist would look at.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgfm.explain import Method, explain, part_with
from ecgfm.network import EcgFm
from ecgfm.signal import SAMPLING_RATE, SEGMENT_SAMPLES, Signal, prepare, segment_starts

Floats = NDArray[np.float64]
STEP = SAMPLING_RATE // 25  #: samples of a piece that is flattened: 40 ms
FRACTIONS = tuple(round(0.1 * step, 1) for step in range(11))
RANDOM_ORDERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """One map of one ECG, checked."""

    method: Method
    label: str
    #: what was replaced by random weights, from the output downwards -> rank correlation with the model's own map
    randomised: Mapping[str, float]
    deletion: float  #: mean |change of the logit| while the most important pieces are flattened first
    deletion_random: float  #: the same in random order, mean over `RANDOM_ORDERS`
    insertion: float  #: mean |distance to the logit of the whole ECG| while they are restored first
    insertion_random: float
    segments: tuple[float, ...]  #: mean weight of each 5 s segment, 0 to 1

    @property
    def depends_on_the_weights(self) -> bool:
        """Whether the map of a wholly random network is another one (rank correlation below 0.5)."""
        return list(self.randomised.values())[-1] < 0.5

    @property
    def is_faithful(self) -> bool:
        """Whether its order is better than chance both ways."""
        return self.deletion > self.deletion_random and self.insertion < self.insertion_random


def check(network: EcgFm, signal: Signal, sampling_rate: float, *, method: Method, label: str, seed: int = 0) -> Checks:
    """`network` as `ecgfm.load` gives it, `label` as in `explain`. Raises SignalError, NoHead."""
    network, column = part_with(network, label)
    own = explain(network, signal, sampling_rate, method=method, label=label).weights
    randomised = {}
    for name, other in _randomised(network, seed):
        randomised[name] = correlation(own, explain(other, signal, sampling_rate, method=method, label=label).weights)
    source = torch.from_numpy(prepare(signal, sampling_rate, network.preprocessing))
    starts = segment_starts(int(signal.shape[1] * SAMPLING_RATE / sampling_rate), network.preprocessing)
    weights = np.stack([own[start : start + SEGMENT_SAMPLES] for start in starts])
    pieces = weights.reshape(len(starts), -1, STEP).mean(axis=2)  # (S, 125)
    whole = _logit(network, source, column)
    stream = np.random.default_rng(seed)
    orders = [np.argsort(-pieces, axis=1, kind="stable")]
    every = np.tile(np.arange(pieces.shape[1]), (len(starts), 1))
    orders += [stream.permuted(every, axis=1) for _ in range(RANDOM_ORDERS)]
    deleted = [_mean_change(network, source, column, order, whole, delete=True) for order in orders]
    inserted = [_mean_change(network, source, column, order, whole, delete=False) for order in orders]
    return Checks(
        method=method,
        label=label,
        randomised=randomised,
        deletion=deleted[0],
        deletion_random=float(np.mean(deleted[1:])),
        insertion=inserted[0],
        insertion_random=float(np.mean(inserted[1:])),
        segments=tuple(float(part.mean()) for part in weights),
    )


def randomised(network: EcgFm, seed: int = 0) -> EcgFm:
    """The network with random weights in all of its parts, as `check` draws them last."""
    return _randomised(network, seed)[-1][1]


def correlation(one: Floats, other: Floats) -> float:
    """Spearman's, of two maps of one ECG at 40 ms; 0 where one of them is flat."""
    length = len(one) // STEP * STEP
    ranks = [_ranks(part[:length].reshape(-1, STEP).mean(axis=1)) for part in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Floats) -> Floats:
    found: Floats = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    return found if np.ptp(values) > 0 else np.zeros(len(values))


def _randomised(network: EcgFm, seed: int) -> Sequence[tuple[str, EcgFm]]:
    """The network with random weights in more and more of its parts, from the output downwards."""
    layers = network.encoder.encoder.layers
    parts = [("heads", network.heads), *((f"layer {at}", layers[at]) for at in range(len(layers) - 1, -1, -1))]
    parts.append(("all", network))
    found, current = [], copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    names = {id(part): name for name, part in network.named_modules()}
    for name, part in parts:
        _shuffle(dict(current.named_modules())[names[id(part)]], generator)
        found.append((name if name == "all" else f"{name} and above", copy.deepcopy(current)))
    return found


def _shuffle(part: torch.nn.Module, generator: torch.Generator) -> None:
    """Random weights of the same mean and spread, tensor by tensor: sizes of activations stay those of the model."""
    with torch.no_grad():
        for parameter in part.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32).to(parameter)
            spread = parameter.std(unbiased=False) if parameter.numel() > 1 else parameter.abs().mean()
            parameter.copy_(parameter.mean() + spread * noise)


def _mean_change(
    network: EcgFm, source: Tensor, column: int, order: NDArray[np.intp], whole: float, *, delete: bool
) -> float:
    """Mean over `FRACTIONS` of |logit − logit of the whole ECG|, with that share of the pieces flattened (or, where not
    `delete`, all others flattened). A flattened piece is 0, the lead's own mean.
    """
    changes = []
    for fraction in FRACTIONS:
        count = round(fraction * order.shape[1])
        keep = torch.ones(len(source), order.shape[1]) if delete else torch.zeros(len(source), order.shape[1])
        rows = torch.arange(len(source))[:, None]
        keep[rows, torch.from_numpy(order[:, :count].copy())] = 0.0 if delete else 1.0
        masked = source * keep.repeat_interleave(STEP, dim=1)[:, None, :]
        changes.append(abs(_logit(network, masked, column) - whole))
    return float(np.mean(changes))


def _logit(network: EcgFm, source: Tensor, column: int) -> float:
    with torch.no_grad():
        return float(network(source.to(next(iter(network.parameters())).device))[:, column].mean())
