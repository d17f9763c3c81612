"""Convert a fairseq-signals checkpoint into a bundle, with where it came from."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ecgfm.checkpoint import Bundle
from ecgfm.digest import sha256
from ecgfm.fairseq.reading import build
from ecgfm.heads import INTERPRETATION
from ecgfm.network import EcgFm


def import_checkpoint(
    file: Path,
    folder: Path,
    *,
    name: str = "",
    version: str = "1",
    labels: Sequence[str] | None = None,
    heads: int | None = None,
    pre_norm: bool | None = None,
    at: datetime,
) -> Bundle:
    """Read `file` as `ecgfm.load` does and write a new bundle; `at` (aware) is the time of the import.

    Imported sigmoids are uncalibrated (the published ones were trained with pos_weight) and have no operating points:
    none were published. Raises `CheckpointError`, one of its kinds, or `BundleError`.
    """
    network = build(file, labels=labels, heads=heads, pre_norm=pre_norm)
    provenance = {
        "imported_from": file.name,
        "source_sha256": sha256(file),
        "source_bytes": file.stat().st_size,
        "imported_at": at.isoformat(timespec="seconds"),
        "labels": _labels_from(network, labels),
        "calibration": "none: raw sigmoids",
    }
    return Bundle.write(folder, network, name=name or file.stem, version=version, demo=False, provenance=provenance)


def _labels_from(network: EcgFm, given: Sequence[str] | None) -> str:
    if not network.specs:
        return "none: no head"
    if given:
        return "given on import"
    return "published ECG-FM labels" if network.specs == (INTERPRETATION,) else "unknown: numbered by logit"
