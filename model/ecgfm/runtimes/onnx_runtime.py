"""Run an exported ONNX file with ONNX Runtime: CPU, or TensorRT and CUDA where its package has them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any  # Any: ONNX Runtime, which has no types

import numpy as np
from numpy.typing import NDArray

from ecgfm.devices import cuda_present
from ecgfm.errors import BundleError, RuntimeUnavailable
from ecgfm.runtimes.engines import EngineName
from ecgfm.runtimes.failures import device_errors, translated
from ecgfm.runtimes.processors import card, driver_version
from ecgfm.runtimes.runtime import EMBEDDING

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


class OnnxRuntime:
    """One ONNX Runtime session: on a CPU or by CUDA, exactly; by TensorRT, which may use TF32, where asked."""

    one_record_a_call = True

    def __init__(
        self,
        path: Path,
        *,
        device: str = "auto",
        threads: int | None = None,
        batch: int | None = None,
        tensorrt: bool = False,
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeUnavailable(
                "ONNX Runtime is not installed: pip install 'ecgfm-clinical[onnx]', or choose runtime 'torch'"
            ) from error
        provider = choose_provider(device, onnxruntime.get_available_providers(), tensorrt=tensorrt)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: its warnings are about its own optimiser
        if threads is not None:
            options.intra_op_num_threads = threads
        self._on_gpu = provider != CPU
        self._card = gpu_and_driver(device) if self._on_gpu else ""
        self.batch = batch or 2
        with self._guarded():
            self._session = _session(onnxruntime, path, options, provider, device)
        self._names = [output.name for output in self._session.get_outputs()]
        self.name = str(
            EngineName(
                engine="onnxruntime",
                device={CPU: "cpu", CUDA: "cuda", TENSORRT: "tensorrt"}[provider],
                precision="fp32",
                shape=self.batch if self._on_gpu else None,
                card=self._card,
            )
        )

    def _guarded(self) -> AbstractContextManager[None]:
        return device_errors(self._card, self.batch) if self._on_gpu else nullcontext()

    def outputs(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(B, 12, 2500) -> every output of the file by its name, `embedding` among them."""
        with self._guarded():
            values = self._session.run(self._names, {"source": np.ascontiguousarray(segments)})
        return dict(zip(self._names, values, strict=True))

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {name: values for name, values in self.outputs(segments).items() if name != EMBEDDING}

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.outputs(segments)[EMBEDDING]


def _session(onnxruntime: Any, path: Path, options: Any, provider: str, device: str) -> Any:
    """A session on that provider and no other. Raises BundleError, RuntimeUnavailable."""
    given = [(provider, provider_options(provider, path.parent, device))]
    if provider == TENSORRT:  # what TensorRT does not take runs by CUDA
        given.append((CUDA, provider_options(CUDA, path.parent, device)))
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=given)
    except Exception as error:  # its exceptions derive from Exception only
        if (failure := translated(error, provider, 0)) is not None:
            raise failure from error
        raise BundleError(f"{path} cannot be opened by ONNX Runtime; export it again") from error
    if session.get_providers()[0] != provider:
        raise RuntimeUnavailable(
            f"ONNX Runtime did not take {provider} and would compute on the CPU without a word: the CUDA, cuDNN or "
            "TensorRT that this onnxruntime-gpu was built for is not installed; use runtime 'torch'"
        )
    return session


def provider_options(provider: str, folder: Path, device: str) -> dict[str, str]:
    """What a provider is told: the device, no TF32, and for TensorRT where compiled engines are kept."""
    if provider == CPU:
        return {}
    index = device.partition(":")[2] or "0"
    if provider == CUDA:
        return {"device_id": index, "use_tf32": "0"}  # on by default
    engines = folder / "tensorrt"
    return {
        "device_id": index,
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(engines),
    }


def gpu_and_driver(device: str) -> str:
    """GPU and driver for the name; torch knows the GPU's name only where it is a build for CUDA."""
    index = int(device.partition(":")[2] or 0)
    return card(index) if cuda_present() else f"gpu{index}/{driver_version()}"


def choose_provider(device: str, available: Sequence[str], *, tensorrt: bool = False) -> str:
    """The execution provider for `auto`, `cpu`, `cuda` or `cuda:N`; raises `RuntimeUnavailable`."""
    gpu = TENSORRT if tensorrt else CUDA
    wanted = {"auto": (gpu,) if tensorrt else (gpu, CPU), "cuda": (gpu,), "cpu": () if tensorrt else (CPU,)}
    if (kind := device.partition(":")[0]) not in wanted:
        raise RuntimeUnavailable(f"{device!r} is no device; use 'auto', 'cpu' or 'cuda'")
    for provider in wanted[kind]:
        if provider in available:
            return provider
    raise RuntimeUnavailable(
        f"this ONNX Runtime has no provider for {'TensorRT' if tensorrt else 'device'} on {device!r} (it has "
        f"{', '.join(available)}); install onnxruntime-gpu, or use device 'cpu'"
    )
