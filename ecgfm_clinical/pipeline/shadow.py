"""The shadow model's scores of live ECGs, compared with the live model's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.staging.model_records import ModelRow
from ecgfm_clinical.staging.shadow_answers import ShadowAnswers


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCompared:
    """One label of both models, on the ECGs that both gave a probability; NaN where there are none."""

    head: str
    label: str
    pairs: int
    mean_live: float
    mean_shadow: float
    correlation: float
    largest: float  #: difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a model answered in the shadow, beside the live one."""

    model: str  #: name and version
    model_id: str
    ecgs: int
    labels: tuple[LabelCompared, ...]


def compared(answers: ShadowAnswers, row: ModelRow) -> Compared:
    """Per label of both models: how many ECGs, mean probabilities, correlation (Pearson), largest difference."""
    labels = []
    for head, label in answers.labels(row.model_id):
        pairs = answers.pairs(row.model_id, head, label)
        live = np.array([one for _, one, _ in pairs])
        shadow = np.array([one for _, _, one in pairs])
        labels.append(LabelCompared(head=head, label=label, pairs=len(pairs), **_figures(live, shadow)))
    return Compared(
        model=f"{row.name} {row.version}",
        model_id=row.model_id,
        ecgs=answers.count(row.model_id),
        labels=tuple(labels),
    )


def _figures(live: NDArray[np.float64], shadow: NDArray[np.float64]) -> dict[str, float]:
    if not len(live):
        return {"mean_live": float("nan"), "mean_shadow": float("nan"), "correlation": float("nan"), "largest": 0.0}
    varied = len(live) > 1 and live.std() > 0 and shadow.std() > 0
    return {
        "mean_live": float(live.mean()),
        "mean_shadow": float(shadow.mean()),
        "correlation": float(np.corrcoef(live, shadow)[0, 1]) if varied else float("nan"),
        "largest": float(np.abs(live - shadow).max()),
    }
