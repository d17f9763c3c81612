"""Run the network with torch: float32 on CPU, the runtime every other one is compared with; CUDA where present."""

import numpy as np
import torch
from numpy.typing import NDArray

from ecgfm.errors import RuntimeUnavailable
from ecgfm.network import EcgFm


class TorchRuntime:
    """A folded network in inference mode."""

    def __init__(self, network: EcgFm, *, device: str = "auto", threads: int | None = None) -> None:
        self._device = choose_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        self._network = network.fold().eval().requires_grad_(False).to(self._device)
        cuda = self._device.type == "cuda"
        self.name = "torch-cuda-fp32" if cuda else "torch-cpu-fp32"
        self.batch = 64 if cuda else 2
        self.one_record_a_call = not cuda

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            embedding = self._network.embed(self._tensor(segments))
            return {head: values.cpu().numpy() for head, values in self._network.logits(embedding).items()}

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(self._network.embed(self._tensor(segments)).cpu().numpy())

    def _tensor(self, segments: NDArray[np.float32]) -> torch.Tensor:
        # A copy, because torch aligns its own memory and a caller's slice may start anywhere.
        return torch.from_numpy(segments).clone().to(self._device)


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` -> the device; raises `RuntimeUnavailable`."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeUnavailable(
            f"device {name!r} was asked for, but torch sees no CUDA device; use device 'cpu' or 'auto'"
        )
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise RuntimeUnavailable(f"{name!r} is no device; use 'auto', 'cpu' or 'cuda'") from error
