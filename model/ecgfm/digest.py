"""The digests by which a file of weights and the manifest of a bundle are known."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_manifest(told: Mapping[str, object]) -> str:
    """Hex digest of a manifest's words, however they are laid out in its file."""
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
