"""Run the network with torch: float32 on CPU, the runtime every other one is compared with; CUDA where present."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgfm.devices import choose_device
from ecgfm.errors import RuntimeUnavailable
from ecgfm.network import EcgFm
from ecgfm.runtimes.processors import has_bf16_instructions, processor
from ecgfm.signal import LEADS, SEGMENT_SAMPLES

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRuntime:
    """A folded network in inference mode; reduced precision is autocast, which keeps norms and softmax in float32."""

    def __init__(
        self,
        network: EcgFm,
        *,
        precision: str = "fp32",
        device: str = "auto",
        threads: int | None = None,
        batch: int | None = None,
    ) -> None:
        self._device = choose_device(device)
        cuda = self._device.type == "cuda"
        if precision == "fp16" and not cuda:
            raise RuntimeUnavailable("float16 needs a CUDA device; choose runtime 'torch' or 'torch-bf16'")
        if precision == "bf16" and not cuda and not has_bf16_instructions():
            raise RuntimeUnavailable(
                f"runtime 'torch-bf16' needs bfloat16 instructions, and this processor ({processor()}) has none, or is "
                "kept from using them: it would be several times slower than float32; choose runtime 'auto', 'torch' "
                "or 'openvino'"
            )
        if threads is not None:
            torch.set_num_threads(threads)
        self._precision = PRECISIONS[precision]
        self._network = network.fold().eval().requires_grad_(False).to(self._device)
        if self._precision != torch.float32:
            _convert_matrices(self._network, self._precision)
        self.name = f"torch-{self._device.type}-{precision}"
        self.batch = batch or (64 if cuda else 2)
        self.one_record_a_call = not cuda
        self._graph = _CudaGraph(self) if cuda else None

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            heads = self._network.logits(self._embedding(segments))
            return {head: values.cpu().numpy() for head, values in heads.items()}

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(self._embedding(segments).cpu().numpy())

    def _embedding(self, segments: NDArray[np.float32]) -> Tensor:
        source = torch.from_numpy(segments)
        if self._graph is not None:
            return self._graph.replay(source)
        # A copy, because torch aligns its own memory and a caller's slice may start anywhere.
        return self.encode(source.clone())

    def encode(self, source: Tensor) -> Tensor:
        """Pooled embeddings (B, width) in float32 of a tensor on this device; the heads always run in float32."""
        reduced = self._precision != torch.float32
        with _no_tf32(), torch.autocast(self._device.type, dtype=self._precision, enabled=reduced):
            return self._network.embed(source).float()


@contextmanager
def _no_tf32() -> Iterator[None]:
    """On a GPU float32 means float32: cuDNN would take TF32 for convolutions unasked and move a probability by 1e-4."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = False, False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


def _convert_matrices(network: EcgFm, precision: torch.dtype) -> None:
    """Convert the transformer's matrices once; autocast would convert them again in every call."""
    for module in network.encoder.encoder.layers.modules():
        if isinstance(module, torch.nn.Linear):
            module.to(precision)


class _CudaGraph:
    """The encoder's launches recorded once at the fixed shape and replayed: no launch overhead per kernel."""

    def __init__(self, runtime: TorchRuntime) -> None:
        self._source = torch.zeros(runtime.batch, len(LEADS), SEGMENT_SAMPLES, device=runtime._device)
        self._pinned = torch.zeros(self._source.shape).pin_memory()
        warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        with torch.inference_mode(), torch.cuda.stream(warm_up):
            for _ in range(3):  # lets cuBLAS and cuDNN choose and allocate before anything is recorded
                runtime.encode(self._source)
        torch.cuda.current_stream().wait_stream(warm_up)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._embedding = runtime.encode(self._source)

    def replay(self, source: Tensor) -> Tensor:
        self._pinned.copy_(source)
        self._source.copy_(self._pinned, non_blocking=True)
        self._graph.replay()
        return self._embedding
