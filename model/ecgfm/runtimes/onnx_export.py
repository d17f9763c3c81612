"""Write a bundle's network as one ONNX file that a stranger can use (`model/ONNX.md`), checked against torch.

Input `source` (batch, 12, 2500) float32: leads I, II, III, aVR, aVL, aVF, V1 … V6 at 500 Hz, each z-scored over the
whole record (`ecgfm.signal.prepare`), never padded. Outputs: `embedding` (batch, width) of the first encoder, then one
(batch, labels) tensor of logits per head, named after it. Metadata (`metadata_props`): see `metadata`.
"""

import contextlib
import copy
import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ecgfm.checkpoint import Bundle
from ecgfm.errors import BundleError, RuntimeTooInexact, RuntimeUnavailable
from ecgfm.network import EcgFm
from ecgfm.runtimes.positional_dft import PositionalDft
from ecgfm.signal import LEADS, SAMPLING_RATE, SEGMENT_SAMPLES

OPSET = 20  #: the default of torch 2.13's exporter; every runtime we name reads it
EMBEDDING = "embedding"
LARGEST_DIFFERENCE = 1e-4  #: of a logit, against torch; more means the export is wrong, not just rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written, and how far its logits are from torch's on seeded random input."""

    path: Path
    model_id: str
    opset: int
    largest_logit_difference: float


class _Graph(nn.Module):
    """The network with named outputs: the first encoder's embedding, then each head's logits."""

    def __init__(self, network: EcgFm) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for encoder in self.network.encoders:
            encoder.conv_pos = PositionalDft(encoder.conv_pos, encoder.config.frames(SEGMENT_SAMPLES))  # type: ignore[assignment]  # same call

    def forward(self, source: Tensor) -> tuple[Tensor, ...]:
        return tuple(outputs(self.network, source).values())


def outputs(network: EcgFm, source: Tensor) -> dict[str, Tensor]:
    """What the file gives, by name, in its order."""
    parts = network.parts
    embeddings = [part.embed(source) for part in parts]
    found: dict[str, Tensor] = {}
    for part, embedding in zip(parts, embeddings, strict=True):
        found |= part.logits(embedding)
    return {EMBEDDING: embeddings[0]} | {spec.name: found[spec.name] for spec in network.specs}


def export_onnx(bundle: Bundle, path: Path, *, opset: int = OPSET) -> Exported:
    """Write `path` in one step, with a dynamic batch; raises `RuntimeTooInexact` where ONNX Runtime disagrees."""
    network = bundle.network().fold().eval().requires_grad_(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".onnx", dir=path.parent)
    os.close(descriptor)
    scratch = Path(name)
    try:
        _write(bundle, network, scratch, opset)
        difference = largest_difference(bundle, network, scratch)
        if not difference <= LARGEST_DIFFERENCE:
            raise RuntimeTooInexact(
                f"the ONNX file of {bundle.path} changes a logit by {difference:.1e}, more than "
                f"{LARGEST_DIFFERENCE:.0e}; nothing was written"
            )
        scratch.chmod(0o644)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return Exported(path=path, model_id=bundle.model_id, opset=opset, largest_logit_difference=difference)


def _write(bundle: Bundle, network: EcgFm, path: Path, opset: int) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter needs it and says so too late
    except ImportError as error:
        raise RuntimeUnavailable(
            f"{error.name}, which exporting to ONNX needs, is not installed: pip install 'ecgfm-clinical[onnx]'"
        ) from error
    heads = [spec.name for spec in bundle.heads]
    example = torch.zeros(2, len(LEADS), SEGMENT_SAMPLES)
    # The exporter talks to standard output and warns about its own internals; neither is for the user.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet("torch.onnx", "onnxscript"):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Graph(network),
            (example,),
            path,
            dynamo=True,
            opset_version=opset,
            input_names=["source"],
            output_names=[EMBEDDING, *heads],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, metadata(bundle))
    model.doc_string = __doc__ or ""
    onnx.checker.check_model(model)
    onnx.save(model, path)


def metadata(bundle: Bundle) -> dict[str, str]:
    """What the file says of itself; values that are not plain text are JSON."""
    return {
        "model_id": bundle.model_id,
        "name": bundle.name,
        "version": bundle.version,
        "demo": json.dumps(bundle.demo),
        "preprocessing": bundle.preprocessing,
        "leads": json.dumps(LEADS),
        "sampling_rate_hz": str(SAMPLING_RATE),
        "segment_samples": str(SEGMENT_SAMPLES),
        "heads": json.dumps([spec.to_json() for spec in bundle.heads], ensure_ascii=False),
        "weights_sha256": bundle.weights_sha256,
    }


def largest_difference(bundle: Bundle, network: EcgFm, path: Path) -> float:
    """The largest change of a logit or embedding value, ONNX Runtime against torch, on batches of 1 and 3."""
    from ecgfm.runtimes.onnx_runtime import OnnxRuntime

    session = OnnxRuntime(path, device="cpu")
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for batch in (1, 3):
        source = torch.randn(batch, len(LEADS), SEGMENT_SAMPLES, generator=generator)
        with torch.inference_mode():
            expected = outputs(network, source)
        found = session.outputs(source.numpy())
        for name, values in expected.items():
            largest = max(largest, float(np.abs(found[name] - values.numpy()).max()))
    return largest


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of an exported file; raises `BundleError` where it is not one of ours."""
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # onnx raises protobuf's errors, which are no part of its interface
        raise BundleError(f"{path} is not an ONNX file; export it again") from error
    found = {entry.key: entry.value for entry in model.metadata_props}
    if "model_id" not in found:
        raise BundleError(f"{path} was not exported by this program: it has no model_id in its metadata")
    return found
