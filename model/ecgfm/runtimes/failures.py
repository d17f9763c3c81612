"""What a GPU fails with, in one sentence each: the ECG is not at fault, and what the GPU computed is not used.

torch says all of it by RuntimeError and a text of CUDA's; the texts are CUDA's own (cudaGetErrorString), unchanged
for years.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ecgfm.errors import DeviceLost, DeviceMemory, EcgFmError, RuntimeUnavailable

_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "Failed to allocate memory")
_KERNELS = ("no kernel image is available", "is not compatible with the current PyTorch installation")
_DRIVER = ("driver on your system is too old", "driver version is insufficient", "forward compatibility was attempted")
_LOST = (
    "CUDA error",
    "CUDA failure",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "GPU is lost",
    "fallen off the bus",
    "NVML",
    "Xid",
)


@contextmanager
def device_errors(card: str, shape: int) -> Iterator[None]:
    """Raise what the GPU fails with inside as one of ours; `card` and `shape` (segments a call) stand in the
    sentence.
    """
    try:
        yield
    except EcgFmError:
        raise
    except Exception as error:  # ONNX Runtime's derive from no other class
        ours = translated(error, card, shape)
        if ours is None:
            raise
        raise ours from error


def translated(error: BaseException, card: str, shape: int) -> EcgFmError | None:
    """The sentence for a failure of the GPU; None for any other error."""
    said = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(one in said for one in _MEMORY):
        return DeviceMemory(
            f"the GPU ({card}) has too little free memory for calls of {shape} segments: set model.shape lower, or end "
            "the other programs that hold its memory (nvidia-smi names them)"
        )
    if any(one in said for one in _DRIVER):
        return RuntimeUnavailable(
            f"the NVIDIA driver is too old for this torch ({torch.__version__}, CUDA {torch.version.cuda}): update the "
            "driver, or install a torch built for an older CUDA; until then use device 'cpu'"
        )
    if any(one in said for one in _KERNELS):
        return RuntimeUnavailable(
            f"this torch ({torch.__version__}) has no kernels for the GPU ({card}): install a build that serves this "
            "card; until then use device 'cpu'"
        )
    if any(one in said for one in _LOST):
        return DeviceLost(
            f"the GPU ({card}) failed ({_cause(said)}) and what it computed is not used: the kernel's log names the "
            "Xid (dmesg), and the process must be started again"
        )
    return None


def _cause(said: str) -> str:
    """CUDA's own words in a text of torch's, without its advice on debugging."""
    line = next((one for one in said.splitlines() if any(known in one for known in _LOST)), said)
    return line.strip().removeprefix("CUDA error: ")[:120]
