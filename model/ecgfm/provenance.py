"""What a bundle records of where its weights come from: frozen values in the program, JSON at the disk alone.

They stand in `bundle.json` under `provenance`, whose format is that of the manifest (`format_version`). Whoever trains
heads adds to it what was learnt from whom; the network's own part is here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ecgfm.pretraining.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Weights taken over from a published checkpoint, with no calibration: none was published."""

    file: str  #: its name
    sha256: str
    size: int  #: bytes
    at: datetime  #: aware
    labels: str  #: where the names of the logits come from, in words

    def to_json(self) -> dict[str, Any]:  # JSON: what goes to the disk
        """At the top of the provenance."""
        return {
            "imported_from": self.file,
            "source_sha256": self.sha256,
            "source_bytes": self.size,
            "imported_at": self.at.isoformat(timespec="seconds"),
            "labels": self.labels,
            "calibration": "none: raw sigmoids",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """An encoder that this program pretrained without labels."""

    recipe: Recipe
    updates: int
    shards_sha256: str  #: `ShardSet.digest` of what it was trained on
    more: Mapping[str, str] = field(default_factory=dict)  #: what the caller adds, such as the checkpoint's name

    def to_json(self) -> dict[str, Any]:  # JSON: what goes to the disk
        """At the top of the provenance."""
        return {
            "training": "pretraining: wav2vec 2.0 + CMSC",
            "recipe": self.recipe.to_json(),
            "updates": self.updates,
            "shards_sha256": self.shards_sha256,
            **self.more,
        }
