"""Train one head as a linear probe: L2-regularised logistic regression on pooled, kept embeddings.

Its strength is chosen on validation. It takes minutes, is deterministic, and leaves the encoder as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from ecgfm.finetuning.blas import one_blas_thread
from ecgfm.finetuning.dataset import Example, label_matrix
from ecgfm.finetuning.embedding import Embedding
from ecgfm.finetuning.split import Split, check_split
from ecgfm.finetuning.trained import Trained, with_head
from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm
from ecgfm.provenance import Notes

#: Inverse strengths of the L2 penalty that a linear probe tries, on standardised embeddings.
PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0, 10.0, 100.0)


def train_linear(
    base: EcgFm,
    spec: HeadSpec,
    split: Split,
    embeddings: tuple[Sequence[Embedding], Sequence[Embedding]],
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Trained:
    """Fit the head on kept embeddings (training, validation) of the base's encoder; deterministic, no seed.

    Every ECG weighs one, however many segments it has. Raises TrainingError where a label lacks a class.
    """
    fitted = fit_probe(spec.labels, split, embeddings, penalties=penalties)
    network = with_head(base, spec)
    head = network.heads[spec.name]
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(fitted.weight))
        head.bias.copy_(torch.from_numpy(fitted.bias))
    record: Notes = {
        "method": "linear",
        "penalty_c": fitted.penalty,
        "validation_log_loss": fitted.loss,
        "tried": {f"{c:g}": round(own, 6) for c, own in fitted.tried.items()},
    }
    return Trained(network=network.eval(), record=record)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """A linear layer on embeddings, as they are."""

    weight: NDArray[np.float64]  #: (labels, width)
    bias: NDArray[np.float64]  #: (labels,)
    penalty: float  #: inverse strength of the L2 penalty
    loss: float  #: log loss on validation
    tried: Mapping[float, float]  #: penalty -> that loss

    def probabilities(self, embeddings: Sequence[Embedding]) -> NDArray[np.float64]:
        """(ECGs, labels): the mean of each ECG's segment probabilities."""
        return np.array([expit(own @ self.weight.T + self.bias).mean(axis=0) for own in embeddings])


def fit_probe(
    labels: Sequence[str],
    split: Split,
    embeddings: tuple[Sequence[Embedding], Sequence[Embedding]],
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Probe:
    """On any encoder's embeddings (training, validation). Raises TrainingError where a label lacks a class."""
    check_split(split, labels)
    x, y, weights = _rows(split.train, embeddings[0])
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation == 0] = 1.0
    held_x, held_y, held_weights = _rows(split.validation, embeddings[1])
    tried: list[tuple[float, float, NDArray[np.float64], NDArray[np.float64]]] = []
    for penalty in penalties:
        weight, bias = _logistic((x - mean) / deviation, y, weights, penalty)
        loss = _log_loss(((held_x - mean) / deviation) @ weight.T + bias, held_y, held_weights)
        tried.append((loss, penalty, weight, bias))
    loss, penalty, weight, bias = min(tried, key=lambda one: one[:2])
    return Probe(
        weight=weight / deviation,
        bias=bias - (weight / deviation) @ mean,
        penalty=penalty,
        loss=loss,
        tried={c: own for own, c, _, _ in tried},
    )


def _rows(
    examples: Sequence[Example], embeddings: Sequence[Embedding]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Segments as rows: embeddings, labels, and weights that sum to one per ECG."""
    counts = np.array([len(own) for own in embeddings])
    labels = np.repeat(label_matrix(examples), counts, axis=0)
    return np.concatenate(list(embeddings)).astype(np.float64), labels, np.repeat(1 / counts, counts)


def _logistic(
    x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64], penalty: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(labels, width) and (labels,) of one regression a label, each on the rows where the label is known."""
    from sklearn.linear_model import LogisticRegression  # the extra `train`: a machine that only scores goes without

    fitted = []
    with one_blas_thread():
        for column in y.T:
            known = np.isfinite(column)
            model = LogisticRegression(C=penalty, max_iter=5000)
            fitted.append(model.fit(x[known], column[known], sample_weight=weights[known]))
    return np.concatenate([one.coef_ for one in fitted]), np.concatenate([one.intercept_ for one in fitted])


def _log_loss(logits: NDArray[np.float64], labels: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    known = np.isfinite(labels)
    truth = np.where(known, labels, 0.0)
    loss = np.logaddexp(0, logits) - truth * logits
    weight = known * weights[:, None]
    return float((weight * loss).sum() / weight.sum())
