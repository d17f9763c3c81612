"""Run an exported ONNX file with OpenVINO on the CPU: weights packed once when it opens, in float32 or bfloat16."""

import os
from functools import cache
from pathlib import Path
from typing import Any  # Any: OpenVINO, which has no types

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import BundleError, RuntimeUnavailable
from ecgfm.signal import LEADS, SEGMENT_SAMPLES

EMBEDDING = "embedding"


class OpenVinoRuntime:
    """One compiled network for one segment, run by several streams at a time.

    The segments of a call are shared out among streams of equally many threads instead of computed together by all
    threads: as fast on an idle machine, much faster on a busy one, where threads that work together wait for each other
    at every operation. Each segment is computed alone, so its bits depend on no other.
    """

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
        _check_environment()
        core = _core()
        threads = threads or os.cpu_count() or 1
        streams = min(self.batch, threads)
        # Its own default precision is bfloat16 on CPUs that have it, silently: always say which.
        properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads // streams * streams,
        }
        try:
            model = core.read_model(str(path))
            model.reshape([1, len(LEADS), SEGMENT_SAMPLES])
            compiled = core.compile_model(model, "CPU", properties)
        except RuntimeError as error:
            raise BundleError(f"{path} cannot be opened by OpenVINO; export it again") from error
        used = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        if used != precision:
            raise RuntimeUnavailable(f"this CPU runs OpenVINO in {used}, not in {precision}; choose another runtime")
        self._requests: list[Any] = [compiled.create_infer_request() for _ in range(streams)]
        self._names = [output.get_any_name() for output in compiled.outputs]
        self.name = f"openvino-cpu-{'fp32' if precision == 'f32' else precision}"

    def outputs(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 12, 2500) -> every output of the file by its name, `embedding` among them."""
        rows = [
            row for start in range(0, len(segments), len(self._requests)) for row in self._together(segments, start)
        ]
        return {name: np.concatenate([row[index] for row in rows]) for index, name in enumerate(self._names)}

    def _together(self, segments: NDArray[np.float32], start: int) -> list[list[NDArray[np.float32]]]:
        """One segment a stream, from `start` on -> per segment every output, (1, …)."""
        parts = [np.ascontiguousarray(segments[index : index + 1]) for index in range(start, len(segments))]
        busy = list(zip(self._requests, parts, strict=False))
        for request, part in busy:
            request.start_async([part])
        for request, _ in busy:
            request.wait()
        return [
            [request.get_output_tensor(index).data.copy() for index in range(len(self._names))] for request, _ in busy
        ]

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        return {name: values for name, values in self.outputs(segments).items() if name != EMBEDDING}

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.outputs(segments)[EMBEDDING]


def _check_environment() -> None:
    """Raises RuntimeUnavailable where oneDNN is told to see less than the processor has:
    OpenVINO then crashes the process.

    OpenVINO looks at the processor itself and asks the oneDNN inside it for kernels that oneDNN was forbidden to make.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "DEFAULT")
    if limit.upper() not in ("DEFAULT", "ALL"):
        raise RuntimeUnavailable(
            f"the environment sets ONEDNN_MAX_CPU_ISA={limit}, which OpenVINO does not bear; unset it, or choose "
            "runtime 'torch' or 'onnx'"
        )


@cache
def _core() -> Any:
    """The one `openvino.Core` of this process, kept until it ends.

    Each Core gives the thread that first compiles with it a signal stack, and takes it away when it goes. Where two go
    in the order they came, the thread is left with the first one's, which is freed memory: the next signal, such as
    SIGTERM to a service that has changed models, then kills the process instead of reaching its handler.
    """
    try:
        import openvino
    except ImportError as error:
        raise RuntimeUnavailable(
            "OpenVINO is not installed: pip install 'ecgfm-clinical[openvino]', or choose runtime 'torch' or 'onnx'"
        ) from error
    return openvino.Core()
