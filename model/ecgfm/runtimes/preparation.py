"""Before a runtime other than torch may score: export once, measure how far its probabilities are from torch fp32.

What is prepared lies beside the bundle, never in it: `BUNDLE.runtimes/<first 16 of model_id>/model.onnx`, and one JSON
record per runtime with the largest change of a probability, on what it was measured and with which versions. A runtime
above its limit is refused, each time it is opened.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm.checkpoint import Bundle
from ecgfm.errors import BundleError, NoHead, RuntimeTooInexact
from ecgfm.heads import HeadSpec
from ecgfm.records import Recordings
from ecgfm.runtimes import LIMITS
from ecgfm.runtimes.batching import record_logits
from ecgfm.runtimes.processors import instruction_set
from ecgfm.runtimes.runtime import Runtime

_LIBRARIES = ("torch", "onnxruntime", "onnxruntime-gpu", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """How far one runtime's probabilities are from torch fp32, for one model, on this machine."""

    model_id: str
    runtime: str  #: as chosen in the settings: `onnx`, `openvino-bf16` …
    engine: str  #: as written into each score
    largest_probability_change: float
    limit: float
    segments: int
    measured_on: str  #: which recordings, in words
    inputs: tuple[str, ...]  #: `Record.digest` of each recording that was scored
    versions: dict[str, str]
    processor: str  #: instruction set: another one runs other kernels


def folder_for(bundle: Bundle, cache: Path | None) -> Path:
    """Where this bundle's prepared files lie."""
    root = cache if cache is not None else bundle.path.parent / f"{bundle.path.name}.runtimes"
    return root / bundle.model_id[:16]


def onnx_path(bundle: Bundle, cache: Path | None) -> Path:
    """Where the bundle's ONNX file lies, or will."""
    return folder_for(bundle, cache) / "model.onnx"


def onnx_file(bundle: Bundle, cache: Path | None) -> Path:
    """The bundle's ONNX file, exported now where it is not there yet; raises `BundleError` where nothing can be
    written.
    """
    path = onnx_path(bundle, cache)
    if not path.exists():
        from ecgfm.runtimes.onnx_export import export_onnx

        try:
            export_onnx(bundle, path)
        except OSError as error:
            raise _unwritable(path, error) from error
    return path


def measure(
    bundle: Bundle,
    name: str,
    runtime: Runtime,
    reference: Runtime,
    recordings: Recordings,
    *,
    cache: Path | None = None,
) -> Measurement:
    """Score the records with both, keep the record on disk, and raise `RuntimeTooInexact` above the limit."""
    bundle.check_preprocessing()
    if not bundle.heads:
        raise NoHead(f"{bundle.path} has no head, so it has no probability that a runtime could change")
    changes, segments, inputs = [0.0], 0, []
    ours = record_logits(runtime, bundle.heads, recordings.records, bundle.preprocessing)
    theirs = record_logits(reference, bundle.heads, recordings.records, bundle.preprocessing)
    for (record, found, reasons), (_, exact, _) in zip(ours, theirs, strict=True):
        if reasons:
            continue
        inputs.append(record.digest)
        segments += len(found[bundle.heads[0].name])
        for spec in bundle.heads:
            changes.append(_largest_change(spec, found[spec.name], exact[spec.name]))
    if not segments:
        raise BundleError(f"none of the recordings ({recordings.about}) can be scored, so nothing was measured")
    measurement = Measurement(
        model_id=bundle.model_id,
        runtime=name,
        engine=runtime.name,
        largest_probability_change=float(np.max(changes)),
        limit=LIMITS[name],
        segments=segments,
        measured_on=recordings.about,
        inputs=tuple(inputs),
        versions=versions(),
        processor=instruction_set(),
    )
    write(folder_for(bundle, cache) / f"{name}.json", asdict(measurement))
    return accept(measurement)


def _largest_change(spec: HeadSpec, found: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """Of a segment's calibrated probability, over the labels; logits are (segments, labels)."""
    pairs = [
        (spec.segment_probabilities(label, one[:, column].astype(np.float64)) for one in (found, exact))
        for column, label in enumerate(spec.labels)
    ]
    return max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)


def accept(measurement: Measurement) -> Measurement:
    """The measurement itself, or `RuntimeTooInexact` where it is above its limit (or not a number)."""
    if not measurement.largest_probability_change <= measurement.limit:
        raise RuntimeTooInexact(
            f"runtime {measurement.runtime!r} changes a probability of model {measurement.model_id[:12]} by "
            f"{measurement.largest_probability_change:.1e} ({measurement.measured_on}), more than the limit "
            f"{measurement.limit:.0e}; choose runtime 'torch' or another float32 one"
        )
    return measurement


def earlier(bundle: Bundle, name: str, cache: Path | None) -> Measurement | None:
    """The measurement on disk, if it is of this model with these library versions on this kind of processor."""
    path = folder_for(bundle, cache) / f"{name}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        found = Measurement(**kept | {"inputs": tuple(kept["inputs"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None  # absent, or of another version of this program: measured again
    fits = (found.model_id, found.versions, found.processor, found.limit)
    return found if fits == (bundle.model_id, versions(), instruction_set(), LIMITS[name]) else None


def versions() -> dict[str, str]:
    """The versions of the libraries that compute, those that are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def try_folder(bundle: Bundle, cache: Path | None) -> None:
    """Raises BundleError where nothing can be kept in the folder for prepared files."""
    folder = folder_for(bundle, cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return
    except OSError as error:
        raise _unwritable(folder, error) from error


def write(path: Path, record: Mapping[str, object]) -> None:
    """Keep a record as JSON, in one step. Raises BundleError where the place cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
            file.write("\n")
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> BundleError:
    return BundleError(f"{path} cannot be written ({error.strerror}); name another folder for prepared models")
