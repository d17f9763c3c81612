"""Opens a bundle with the runtime of a name, after it was measured against float32 torch."""

from collections.abc import Callable
from pathlib import Path

from ecgfm.checkpoint import Bundle
from ecgfm.devices import choose_device
from ecgfm.errors import EcgFmError, RuntimeTooInexact, RuntimeUnavailable
from ecgfm.records import Recordings
from ecgfm.runtimes import LIMITS, NAMES, preparation
from ecgfm.runtimes.runtime import Runtime


def open_runtime(
    bundle: Bundle,
    name: str = "torch",
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
    recordings: Callable[[], Recordings] | None = None,
    shape: int | None = None,
) -> Runtime:
    """Open a bundle with the runtime of that name (`NAMES`).

    `device` is `auto` (CUDA where present), `cpu` or `cuda`; `threads` limits CPU threads; `shape` is how many
    segments a call on a GPU holds (on a CPU that is fixed). A runtime other than torch float32 is exported and
    measured against it when it first meets this model, on the ECGs that `recordings` gives, unless `prepare` has
    measured it before; what is prepared is kept in `cache`, by default the folder `BUNDLE.runtimes` beside the
    bundle. Raises `RuntimeUnavailable`, `RuntimeTooInexact` or `BundleError`.
    """
    batch = shape if shape is not None and choose_device(device).type == "cuda" else None
    runtime = engine(bundle, name, device, threads, cache, batch)
    if name == "torch":
        return runtime
    known = preparation.earlier(bundle, name, cache)
    if known is not None:
        preparation.accept(known)
    elif bundle.heads:  # a model without heads has no probability to change
        if recordings is None:
            raise RuntimeUnavailable(
                f"how far runtime {name!r} is from float32 torch was never measured for {bundle.path} on this machine; "
                f"measure it on real ECGs with `ecgfm-clinical model prepare`, or give `recordings`"
            )
        _measure(bundle, name, runtime, recordings(), threads, cache)
    return runtime


def prepare(
    bundle: Bundle,
    name: str,
    recordings: Recordings,
    *,
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
) -> preparation.Measurement:
    """Measure a runtime on the caller's own recordings and keep the record; raises as `open_runtime` does."""
    if name not in LIMITS:
        raise RuntimeUnavailable(
            f"runtime {name!r} cannot be measured against float32 torch on the CPU; choose one of {', '.join(LIMITS)}"
        )
    return _measure(bundle, name, engine(bundle, name, device, threads, cache), recordings, threads, cache)


def prepare_reduced(
    bundle: Bundle,
    recordings: Recordings,
    *,
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
) -> list[preparation.Measurement]:
    """Measure torch in float16 and in bfloat16, those that run here, and keep the records; the nearest to float32
    first.

    Both are as fast on a GPU, so the nearer one is the better. Raises RuntimeUnavailable where neither runs,
    RuntimeTooInexact where neither is within its limit.
    """
    found: list[preparation.Measurement] = []
    refused: list[EcgFmError] = []
    for name in ("torch-fp16", "torch-bf16"):
        try:
            found.append(prepare(bundle, name, recordings, device=device, threads=threads, cache=cache))
        except (RuntimeUnavailable, RuntimeTooInexact) as error:
            refused.append(error)
    if not found:
        raise next((one for one in refused if isinstance(one, RuntimeTooInexact)), refused[0])
    return sorted(found, key=lambda one: one.largest_probability_change)


def _measure(
    bundle: Bundle,
    name: str,
    runtime: Runtime,
    recordings: Recordings,
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
        chosen, precision = choose_device(device), precision or "fp32"
        if chosen.type == "cuda":
            from ecgfm.runtimes.gpu_runtime import GpuRuntime

            return GpuRuntime(bundle.network(), precision=precision, device=chosen, shape=batch)
        from ecgfm.runtimes.torch_runtime import TorchRuntime

        return TorchRuntime(bundle.network(), precision=precision, threads=threads, batch=batch)
    if kind in ("onnx", "tensorrt"):
        from ecgfm.runtimes.onnx_runtime import OnnxRuntime

        path = preparation.onnx_file(bundle, cache)
        return OnnxRuntime(path, device=device, threads=threads, batch=batch, tensorrt=kind == "tensorrt")
    from ecgfm.runtimes.openvino_runtime import OpenVinoRuntime

    path = preparation.onnx_file(bundle, cache)
    return OpenVinoRuntime(path, precision=precision or "f32", device=device, threads=threads, batch=batch)
