"""Examples to learn from and examples to choose by, and what both sides need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgfm.errors import TrainingError
from ecgfm.finetuning.dataset import Example, label_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Examples to learn from and examples to choose by; no patient may be in both."""

    train: Sequence[Example]
    validation: Sequence[Example]


def check_split(split: Split, labels: Sequence[str]) -> None:
    """Raises TrainingError where a label lacks positives or negatives, or a patient is on both sides."""
    shared = {one.patient for one in split.train} & {one.patient for one in split.validation}
    if shared:
        raise TrainingError(f"{len(shared)} patients are both in training and in validation; split by patient")
    for name, part in (("training", split.train), ("validation", split.validation)):
        matrix = label_matrix(part).reshape(len(part), len(labels))
        for column, label in enumerate(labels):
            known = matrix[:, column][np.isfinite(matrix[:, column])] if len(part) else np.zeros(0)
            positives = int(known.sum())
            if not 0 < positives < len(known):
                raise TrainingError(
                    f"{label}: {positives} positive and {len(known) - positives} negative {name} ECGs; both kinds are "
                    "needed, collect more outcomes or widen the window"
                )
