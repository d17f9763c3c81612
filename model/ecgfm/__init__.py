"""The ECG-FM network (arXiv 2408.05178): pretrain, fine-tune, predict, explain. No patient, no wire, no SQL."""

from typing import TYPE_CHECKING, Any  # Any: the package's lazy names

if TYPE_CHECKING:
    from ecgfm.checkpoint import Bundle as Bundle
    from ecgfm.demo import demo_bundle as demo_bundle
    from ecgfm.embedder import EcgFmEmbedder as EcgFmEmbedder
    from ecgfm.loading import load as load
    from ecgfm.predictor import Predictor as Predictor
    from ecgfm.pretrained import from_pretrained as from_pretrained
    from ecgfm.pretrained import push_to_hub as push_to_hub
    from ecgfm.pretrained import save_pretrained as save_pretrained
    from ecgfm.recording_dataset import RecordingDataset as RecordingDataset
    from ecgfm.records import Record as Record

__version__: str

__all__ = [
    "Bundle",
    "EcgFmEmbedder",
    "Predictor",
    "Record",
    "RecordingDataset",
    "__version__",
    "demo_bundle",
    "from_pretrained",
    "load",
    "push_to_hub",
    "save_pretrained",
]

_HOMES = {
    "Bundle": "ecgfm.checkpoint",
    "demo_bundle": "ecgfm.demo",
    "EcgFmEmbedder": "ecgfm.embedder",
    "from_pretrained": "ecgfm.pretrained",
    "load": "ecgfm.loading",
    "Predictor": "ecgfm.predictor",
    "push_to_hub": "ecgfm.pretrained",
    "RecordingDataset": "ecgfm.recording_dataset",
    "save_pretrained": "ecgfm.pretrained",
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
