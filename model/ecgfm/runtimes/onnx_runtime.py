"""Run an exported ONNX file with ONNX Runtime: CPU, or TensorRT and CUDA where its package has them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import BundleError, RuntimeUnavailable

EMBEDDING = "embedding"
_PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),  # the first that is present
}


class OnnxRuntime:
    """One ONNX Runtime session."""

    one_record_a_call = True

    def __init__(
        self, path: Path, *, device: str = "auto", threads: int | None = None, batch: int | None = None
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeUnavailable(
                "ONNX Runtime is not installed: pip install 'ecgfm-clinical[onnx]', or choose runtime 'torch'"
            ) from error
        provider = choose_provider(device, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only: its warnings are about its own optimiser
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # its exceptions derive from Exception only
            raise BundleError(f"{path} cannot be opened by ONNX Runtime; export it again") from error
        self._names = [output.name for output in self._session.get_outputs()]
        self.batch = batch or 2
        self.name = f"onnxruntime-{provider.removesuffix('ExecutionProvider').lower()}-fp32"

    def outputs(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(B, 12, 2500) -> every output of the file by its name, `embedding` among them."""
        values = self._session.run(self._names, {"source": np.ascontiguousarray(segments)})
        return dict(zip(self._names, values, strict=True))

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {name: values for name, values in self.outputs(segments).items() if name != EMBEDDING}

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.outputs(segments)[EMBEDDING]


def choose_provider(device: str, available: list[str]) -> str:
    """The execution provider for `auto`, `cpu` or `cuda`; raises `RuntimeUnavailable`."""
    kinds = {"auto": ("cuda", "cpu"), "cuda": ("cuda",), "cpu": ("cpu",)}.get(device.split(":")[0])
    if kinds is None:
        raise RuntimeUnavailable(f"{device!r} is no device; use 'auto', 'cpu' or 'cuda'")
    for kind in kinds:
        for provider in _PROVIDERS[kind]:
            if provider in available:
                return provider
    raise RuntimeUnavailable(
        f"this ONNX Runtime has no provider for device {device!r} (it has {', '.join(available)}); "
        "install onnxruntime-gpu, or use device 'cpu'"
    )
