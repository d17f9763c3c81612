"""Run the network with torch on a GPU: calls of one shape, recorded once as a CUDA graph, with copies beside them.

float32 is exact: no TF32, and cuDNN's own convolution for the positions. bfloat16 and float16 are the whole network
in that precision, with the positional convolution as banded products and norms, soft-max and pooling in float32.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgfm.devices import settle
from ecgfm.float32 import exact_float32
from ecgfm.network import EcgFm
from ecgfm.runtimes.engines import EngineName
from ecgfm.runtimes.failures import device_errors
from ecgfm.runtimes.lean_network import LeanNetwork, Positions
from ecgfm.runtimes.processors import card, processor
from ecgfm.runtimes.runtime import EMBEDDING, Outputs
from ecgfm.runtimes.transfers import Compute, CudaLane, HostLane, Lane, pipelined
from ecgfm.signal import LEADS, SEGMENT_SAMPLES

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SHAPE = 64  #: segments a call, where the settings name none
LANES = 2


class GpuRuntime:
    """A folded network on one GPU. One caller at a time; a process that drives several GPUs opens one of these on each.

    `device` may be the CPU: the same arrangement without graph and streams, which stands in for a GPU where there is
    none.
    """

    one_record_a_call = False

    def __init__(
        self, network: EcgFm, *, precision: str = "fp32", device: torch.device, shape: int | None = None
    ) -> None:
        self.batch = shape or SHAPE
        self._device = device
        on_gpu = device.type == "cuda"
        self._card = card(device.index) if on_gpu else processor()
        self.name = str(
            EngineName(
                engine="torch",
                device=device.type,
                precision=precision,
                shape=self.batch,
                card=self._card if on_gpu else "",
            )
        )
        with self._guarded(), torch.inference_mode():
            self._columns = _columns(network)
            self._network = _Scoring(network, precision).to(device)
            compute: Compute = _CudaGraph(self._compute, self.batch, device) if on_gpu else self._compute
            self._run = compute
            self._lanes = _lanes(compute, self.batch, sum(self._columns.values()), device)

    def logits(self, segments: NDArray[np.float32]) -> Outputs:
        """(batch, 12, 2500) -> per head (batch, labels)."""
        (found,) = self.stream([segments])
        return {name: values for name, values in found.items() if name != EMBEDDING}

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """(batch, 12, 2500) -> pooled embeddings (batch, width) of the first encoder."""
        (found,) = self.stream([segments])
        return found[EMBEDDING]

    def stream(self, calls: Iterable[NDArray[np.float32]]) -> Iterator[Outputs]:
        """Calls of (batch, 12, 2500) -> for each, in order, the embedding and every head's logits."""
        results = pipelined(self._lanes, calls)
        while True:
            # Only the GPU's own work stands under the guard: what the caller does between two results is the caller's.
            with self._guarded(), torch.inference_mode():
                found = next(results, None)
            if found is None:
                return
            yield self._split(found)

    def seconds_on_device(self, calls: int, timer: Callable[[], float]) -> float:
        """Seconds a call without transfers, over `calls` of them; for benchmarks."""
        source = torch.zeros(self.batch, len(LEADS), SEGMENT_SAMPLES, device=self._device)
        with self._guarded(), torch.inference_mode():
            settle(self._device)
            start = timer()
            for _ in range(calls):
                self._run(source)
            settle(self._device)
            return (timer() - start) / calls

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """The GPU's own work: on this device, whatever other one the thread has used, and its failures as ours."""
        here = torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()
        with device_errors(self._card, self.batch), here:
            yield

    def _compute(self, source: Tensor) -> Tensor:
        with exact_float32():
            found: Tensor = self._network(source)
        return found

    def _split(self, found: NDArray[np.float32]) -> Outputs:
        places = np.cumsum(list(self._columns.values()))[:-1]
        return dict(zip(self._columns, np.split(found, places, axis=1), strict=True))


class _Scoring(nn.Module):
    """(B, 12, 2500) -> (B, width + labels of every head): the first encoder's embedding, then the logits of each head,
    encoder after encoder, all in float32.
    """

    def __init__(self, network: EcgFm, precision: str) -> None:
        super().__init__()
        parts = network.fold().eval().requires_grad_(False).parts
        positions: Positions = "convolution" if precision == "fp32" else "banded"
        self.heads = nn.ModuleList(part.heads for part in parts)
        self.encoders = nn.ModuleList(LeanNetwork(part, PRECISIONS[precision], positions) for part in parts)

    def forward(self, source: Tensor) -> Tensor:
        embeddings = [encoder(source) for encoder in self.encoders]
        found = [embeddings[0]]
        for embedding, heads in zip(embeddings, self.heads, strict=True):
            found += [head(embedding) for head in cast("nn.ModuleDict", heads).values()]
        return torch.cat(found, dim=1)


def _columns(network: EcgFm) -> dict[str, int]:
    heads = {spec.name: len(spec.labels) for part in network.parts for spec in part.specs}
    return {EMBEDDING: network.config.width} | heads


def _lanes(compute: Compute, shape: int, columns: int, device: torch.device) -> list[Lane]:
    if device.type != "cuda":
        return [HostLane(compute) for _ in range(LANES)]
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return [CudaLane(compute, shape, columns, copies) for _ in range(LANES)]


class _CudaGraph:
    """The launches recorded once at the fixed shape and replayed: no launch costs the host anything."""

    def __init__(self, compute: Compute, shape: int, device: torch.device) -> None:
        self._source = torch.zeros(shape, len(LEADS), SEGMENT_SAMPLES, device=device)
        warm_up = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        warm_up.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(warm_up):
            for _ in range(3):  # lets cuBLAS and cuDNN choose and allocate before anything is recorded
                compute(self._source)
        torch.cuda.current_stream(device).wait_stream(warm_up)
        self._graph = torch.cuda.CUDAGraph()
        # Only this thread's calls are recorded: another thread may use another GPU, or open another model.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._found = compute(self._source)

    def __call__(self, source: Tensor) -> Tensor:
        self._source.copy_(source)
        self._graph.replay()
        return self._found
