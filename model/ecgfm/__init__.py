"""The ECG-FM network (arXiv 2408.05178): pretrain, fine-tune, predict, explain. No patient, no wire, no SQL."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgfm.checkpoint import Bundle as Bundle
    from ecgfm.demo import demo_bundle as demo_bundle
    from ecgfm.loading import load as load
    from ecgfm.predictor import Predictor as Predictor
    from ecgfm.records import Record as Record

__version__: str

__all__ = ["Bundle", "Predictor", "Record", "__version__", "demo_bundle", "load"]

_HOMES = {
    "Bundle": "ecgfm.checkpoint",
    "demo_bundle": "ecgfm.demo",
    "load": "ecgfm.loading",
    "Predictor": "ecgfm.predictor",
    "Record": "ecgfm.records",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used, so that a part without torch never loads it."""
    if name == "__version__":
        from ecgfm.version import version

        return version()
    if name not in _HOMES:
        raise AttributeError(f"module 'ecgfm' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
