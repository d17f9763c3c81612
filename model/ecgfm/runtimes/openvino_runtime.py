"""Run an exported ONNX file with OpenVINO on the CPU: weights packed once when it opens, in float32 or bfloat16."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import BundleError, RuntimeUnavailable
from ecgfm.signal import LEADS, SEGMENT_SAMPLES

EMBEDDING = "embedding"


class OpenVinoRuntime:
    """One compiled network of fixed shape."""

    one_record_a_call = True

    def __init__(
        self,
        path: Path,
        *,
        precision: str = "f32",
        device: str = "auto",
        threads: int | None = None,
        batch: int | None = None,
    ) -> None:
        self.batch = batch or 2
        if device not in ("auto", "cpu"):
            raise RuntimeUnavailable(
                f"the openvino runtime is for CPUs; for device {device!r} choose 'torch' or 'onnx'"
            )
        core = _core()
        # Its own default precision is bfloat16 on CPUs that have it, silently: always say which.
        properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            properties["INFERENCE_NUM_THREADS"] = threads
        try:
            model = core.read_model(str(path))
            model.reshape([self.batch, len(LEADS), SEGMENT_SAMPLES])
            compiled = core.compile_model(model, "CPU", properties)
        except RuntimeError as error:
            raise BundleError(f"{path} cannot be opened by OpenVINO; export it again") from error
        used = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        if used != precision:
            raise RuntimeUnavailable(f"this CPU runs OpenVINO in {used}, not in {precision}; choose another runtime")
        self._request: Any = compiled.create_infer_request()
        self._names = [output.get_any_name() for output in compiled.outputs]
        self.name = f"openvino-cpu-{'fp32' if precision == 'f32' else precision}"

    def outputs(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 12, 2500) -> every output of the file by its name, `embedding` among them."""
        results = self._request.infer([np.ascontiguousarray(segments)])
        return {name: results[index].copy() for index, name in enumerate(self._names)}

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {name: values for name, values in self.outputs(segments).items() if name != EMBEDDING}

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.outputs(segments)[EMBEDDING]


@cache
def _core() -> Any:
    """The one `openvino.Core` of this process, kept until it ends.

    Each Core gives the thread that first compiles with it a signal stack, and takes it away when it goes. Where two go in the
    order they came, the thread is left with the first one's, which is freed memory: the next signal, such as SIGTERM to a
    service that has changed models, then kills the process instead of reaching its handler.
    """
    try:
        import openvino
    except ImportError as error:
        raise RuntimeUnavailable(
            "OpenVINO is not installed: pip install 'ecgfm-clinical[openvino]', or choose runtime 'torch' or 'onnx'"
        ) from error
    return openvino.Core()
