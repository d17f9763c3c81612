"""Run the network with torch on the CPU: float32, the runtime every other one is compared with, or bfloat16 by
autocast.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgfm.errors import RuntimeUnavailable
from ecgfm.network import EcgFm
from ecgfm.runtimes.engines import EngineName
from ecgfm.runtimes.processors import has_bf16_instructions, processor

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchRuntime:
    """A folded network in inference mode; reduced precision is autocast, which keeps norms and softmax in float32."""

    one_record_a_call = True

    def __init__(
        self, network: EcgFm, *, precision: str = "fp32", threads: int | None = None, batch: int | None = None
    ) -> None:
        if precision not in PRECISIONS:
            raise RuntimeUnavailable("float16 needs a CUDA device; choose runtime 'torch' or 'torch-bf16'")
        if precision == "bf16" and not has_bf16_instructions():
            raise RuntimeUnavailable(
                f"runtime 'torch-bf16' needs bfloat16 instructions, and this processor ({processor()}) has none, or is "
                "kept from using them: it would be several times slower than float32; choose runtime 'auto', 'torch' "
                "or 'openvino'"
            )
        if threads is not None:
            torch.set_num_threads(threads)
        self._precision = PRECISIONS[precision]
        self._parts = network.fold().eval().requires_grad_(False).parts
        if self._precision != torch.float32:
            for part in self._parts:
                _convert_matrices(part, self._precision)
        self.name = str(EngineName(engine="torch", device="cpu", precision=precision))
        self.batch = batch or 2

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            found = [part.logits(self._embedding(part, segments)) for part in self._parts]  # each encoder runs once
            return {head: values.numpy() for heads in found for head, values in heads.items()}

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(self._embedding(self._parts[0], segments).numpy())

    def _embedding(self, part: EcgFm, segments: NDArray[np.float32]) -> Tensor:
        """Pooled embeddings (B, width) in float32; the heads always run in float32."""
        # A copy, because torch aligns its own memory and a caller's slice may start anywhere.
        source = torch.from_numpy(segments).clone()
        with torch.autocast("cpu", dtype=self._precision, enabled=self._precision != torch.float32):
            return part.embed(source).float()


def _convert_matrices(network: EcgFm, precision: torch.dtype) -> None:
    """Convert the transformer's matrices once; autocast would convert them again in every call."""
    for module in network.encoder.encoder.layers.modules():
        if isinstance(module, torch.nn.Linear):
            module.to(precision)
