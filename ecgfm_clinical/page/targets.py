"""What the bundle of a model says that a positive label of each head means."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ecgfm_clinical.bundles import bundle_path
from ecgfm_clinical.errors import ModelError, NotFound

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.store import Store


def targets_of(settings: "Settings", store: "Store", model_id: str) -> Mapping[str, str]:
    """Head -> sentence, by the manifest of the registered bundle; empty where it is not at hand, or is another by now.

    The digest of a model is that of its manifest, so that a sentence is never another model's.
    """
    try:
        manifest = json.loads((bundle_path(settings, store.models.find(model_id).path) / "bundle.json").read_bytes())
        canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if hashlib.sha256(canonical.encode()).hexdigest() != model_id:
            return {}
        return {head["name"]: str(head["target"]) for head in manifest["heads"]}
    except (NotFound, ModelError, OSError, ValueError, KeyError, TypeError):
        return {}
