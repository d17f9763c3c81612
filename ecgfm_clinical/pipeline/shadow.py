"""The shadow model's scores of live ECGs, compared with the live model's."""

from typing import Any

import numpy as np

from ecgfm_clinical.staging.model_records import ModelRow
from ecgfm_clinical.staging.registry import Registry


def compared(registry: Registry, row: ModelRow) -> dict[str, Any]:
    """Per label of both models: how many ECGs, mean probabilities, rank correlation, largest difference."""
    labels = []
    for head, label in registry.labels_of_shadow(row.model_id):
        pairs = registry.shadow_pairs(row.model_id, head, label)
        live = np.array([one for _, one, _ in pairs])
        shadow = np.array([one for _, _, one in pairs])
        labels.append({"head": head, "label": label, "pairs": len(pairs), **_figures(live, shadow)})
    return {
        "model": f"{row.name} {row.version}",
        "model_id": row.model_id,
        "ecgs": registry.shadow_count(row.model_id),
        "labels": labels,
    }


def _figures(live: np.ndarray[Any, Any], shadow: np.ndarray[Any, Any]) -> dict[str, float]:
    if not len(live):
        return {"mean_live": float("nan"), "mean_shadow": float("nan"), "correlation": float("nan"), "largest": 0.0}
    varied = len(live) > 1 and live.std() > 0 and shadow.std() > 0
    return {
        "mean_live": float(live.mean()),
        "mean_shadow": float(shadow.mean()),
        "correlation": float(np.corrcoef(live, shadow)[0, 1]) if varied else float("nan"),
        "largest": float(np.abs(live - shadow).max()),
    }
