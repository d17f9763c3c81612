"""Where the bundle lies that the settings name, and what its manifest says without torch."""

import json
from pathlib import Path

from ecgfm.demo import DEMO, demo_bundle
from ecgfm.digest import of_manifest
from ecgfm_clinical.errors import ModelError
from ecgfm_clinical.settings import Settings


def bundle_path(settings: Settings, bundle: str | None = None) -> Path:
    """The folder of the bundle that scores; `demo` is the one inside the package.

    Raises ModelError where it is missing.
    """
    named = bundle or settings.model.bundle
    if named == DEMO:
        return demo_bundle()
    path = settings.resolve(Path(named))
    if not (path / "bundle.json").is_file():
        raise ModelError(
            f"no model bundle at {path}: it needs a bundle.json; `ecgfm-clinical model import` writes one from a "
            "checkpoint"
        )
    return path


def encoders_of(settings: Settings, bundle: str, model_id: str) -> int | None:
    """How many encoders a registered model has, and so how many passes an ECG takes; None where this host cannot read
    its bundle, or another one lies in its place.
    """
    try:
        told = json.loads((bundle_path(settings, bundle) / "bundle.json").read_text(encoding="utf-8"))
    except (ModelError, OSError, ValueError):
        return None
    if not isinstance(told, dict) or of_manifest(told) != model_id:
        return None
    return 1 + len(told.get("further_encoders", ()))
