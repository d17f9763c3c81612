"""How well probabilities rank the validation ECGs: what the kept epoch is chosen by."""

import numpy as np
import torch
from numpy.typing import NDArray


def macro_ranking(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[float, float]:
    """(average precision, AUROC) of probabilities (n, labels), means over the labels; NaN labels are left out."""
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    truth = torch.from_numpy(np.where(np.isfinite(labels), labels, -1)).long()
    columns = [(torch.from_numpy(scores[:, c]), truth[:, c]) for c in range(labels.shape[1])]
    precisions = [float(binary_average_precision(own, known, ignore_index=-1)) for own, known in columns]
    return float(np.mean(precisions)), float(np.mean([float(binary_auroc(*one, ignore_index=-1)) for one in columns]))
