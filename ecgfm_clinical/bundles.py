"""Where the bundle lies that the settings name."""

from pathlib import Path

from ecgfm.demo import DEMO, demo_bundle
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
