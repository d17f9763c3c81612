"""Convert a fairseq-signals checkpoint into a bundle, with where it came from."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ecgfm.checkpoint import Bundle
from ecgfm.digest import sha256
from ecgfm.fairseq.reading import build
from ecgfm.heads import INTERPRETATION
from ecgfm.network import EcgFm
from ecgfm.provenance import Imported, Provenance


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
    imported = Imported(
        file=file.name, sha256=sha256(file), size=file.stat().st_size, at=at, labels=_labels_from(network, labels)
    )
    return Bundle.write(
        folder,
        network,
        name=name or file.stem,
        version=version,
        demo=False,
        provenance=Provenance(origin=imported.notes),
    )


def _labels_from(network: EcgFm, given: Sequence[str] | None) -> str:
    if not network.specs:
        return "none: no head"
    if given:
        return "given on import"
    return "published ECG-FM labels" if network.specs == (INTERPRETATION,) else "unknown: numbered by logit"
