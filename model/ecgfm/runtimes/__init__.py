"""The engines that run a bundle's network, behind one small interface, and the one function that opens them.

| name          | engine                                | needs                         | precision        |
|---------------|---------------------------------------|-------------------------------|------------------|
| torch         | torch, CPU or CUDA                    | nothing more                  | float32 (exact)  |
| torch-bf16    | torch with autocast                   | a CPU or GPU with bfloat16    | bfloat16         |
| torch-fp16    | torch with autocast                   | CUDA                          | float16          |
| onnx          | ONNX Runtime: CPU, CUDA, TensorRT     | the `onnx` extra              | float32 (exact)  |
| openvino      | OpenVINO, weights packed when opened  | the `openvino` extra          | float32 (exact)  |
| openvino-bf16 | the same                              | and a CPU with bfloat16       | bfloat16         |
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgfm.checkpoint import Bundle
from ecgfm.errors import RuntimeUnavailable
from ecgfm.runtimes import preparation

NAMES = ("torch", *preparation.LIMITS)


class Runtime(Protocol):
    """One opened network. Calls have one fixed shape, so the bits of a result do not depend on who else is in it."""

    name: str  #: as written into each score: engine, device and precision
    batch: int  #: segments in one call
    one_record_a_call: bool  #: True where rows of a batch may differ in the last bit by their position

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 12, 2500) -> per head (batch, labels)."""

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """(batch, 12, 2500) -> pooled embeddings (batch, width)."""


def open(  # the module's one verb: runtimes.open(...)
    bundle: Bundle,
    name: str = "torch",
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
    recordings: Callable[[], preparation.Recordings] | None = None,
) -> Runtime:
    """Open a bundle with the runtime of that name (`NAMES`).

    `device` is `auto` (CUDA where present), `cpu` or `cuda`; `threads` limits CPU threads. A runtime other than torch
    float32 is exported and measured against it when it first meets this model, on the ECGs that `recordings` gives, unless
    `prepare` has measured it before; what is prepared is kept in `cache`, by default the folder `BUNDLE.runtimes` beside
    the bundle.
    Raises `RuntimeUnavailable`, `RuntimeTooInexact` or `BundleError`.
    """
    runtime = engine(bundle, name, device, threads, cache)
    if name == "torch":
        return runtime
    known = preparation.earlier(bundle, name, cache)
    if known is not None:
        preparation.accept(known)
    elif bundle.heads:  # a model without heads has no probability to change
        if recordings is None:
            raise RuntimeUnavailable(
                f"how far runtime {name!r} is from float32 torch was never measured for {bundle.path} on this machine; measure "
                f"it on real ECGs with `ecgfm-clinical model prepare`, or give `recordings`"
            )
        _measure(bundle, name, runtime, recordings(), threads, cache)
    return runtime


def prepare(
    bundle: Bundle,
    name: str,
    recordings: preparation.Recordings,
    *,
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
) -> preparation.Measurement:
    """Measure a runtime on the caller's own recordings and keep the record; raises as `open` does."""
    return _measure(bundle, name, engine(bundle, name, device, threads, cache), recordings, threads, cache)


def _measure(
    bundle: Bundle,
    name: str,
    runtime: Runtime,
    recordings: preparation.Recordings,
    threads: int | None,
    cache: Path | None,
) -> preparation.Measurement:
    reference = engine(bundle, "torch", "cpu", threads, cache)
    return preparation.measure(bundle, name, runtime, reference, recordings, cache=cache)


def engine(
    bundle: Bundle, name: str, device: str, threads: int | None, cache: Path | None, batch: int | None = None
) -> Runtime:
    """The runtime of that name without a look at its measurement: for `prepare` and benchmarks. `batch` in segments."""
    kind, _, precision = name.partition("-")
    if name not in NAMES:
        raise RuntimeUnavailable(f"there is no runtime {name!r}; choose one of {', '.join(NAMES)}")
    if kind == "torch":
        from ecgfm.runtimes.torch_runtime import TorchRuntime

        network = bundle.network()
        return TorchRuntime(network, precision=precision or "fp32", device=device, threads=threads, batch=batch)
    if kind == "onnx":
        from ecgfm.runtimes.onnx_runtime import OnnxRuntime

        return OnnxRuntime(preparation.onnx_file(bundle, cache), device=device, threads=threads, batch=batch)
    from ecgfm.runtimes.openvino_runtime import OpenVinoRuntime

    path = preparation.onnx_file(bundle, cache)
    return OpenVinoRuntime(path, precision=precision or "f32", device=device, threads=threads, batch=batch)
