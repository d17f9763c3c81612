"""The engines that run a bundle's network, behind one small interface, and the one function that opens them."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgfm.checkpoint import Bundle
from ecgfm.errors import RuntimeUnavailable

NAMES = ("torch",)


class Runtime(Protocol):
    """One opened network. Calls have one fixed shape, so the bits of a result do not depend on who else is in it."""

    name: str  #: as written into each score: engine, device and precision
    batch: int  #: segments in one call
    one_record_a_call: bool  #: True where rows of a batch may differ in the last bit by their position

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 12, 2500) -> per head (batch, labels)."""

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """(batch, 12, 2500) -> pooled embeddings (batch, width)."""


def open(  # the module's one verb: runtimes.open(...)
    bundle: Bundle,
    name: str = "torch",
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
) -> Runtime:
    """Open a bundle with the runtime of that name; raises `RuntimeUnavailable`.

    `device` is `auto` (CUDA where present), `cpu` or `cuda`; `threads` limits CPU threads; what a runtime has to prepare
    is kept in `cache`, by default a folder beside the bundle.
    """
    if name == "torch":
        from ecgfm.runtimes.torch_runtime import TorchRuntime

        return TorchRuntime(bundle.network(), device=device, threads=threads)
    raise RuntimeUnavailable(f"there is no runtime {name!r}; choose one of {', '.join(NAMES)}")
