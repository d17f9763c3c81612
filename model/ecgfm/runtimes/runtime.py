"""An opened network, as everything that feeds one sees it."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

EMBEDDING = "embedding"  #: the name of the pooled embedding among the outputs, beside the heads'
Outputs: TypeAlias = dict[str, NDArray[np.float32]]  #: per output (batch, columns)


class Runtime(Protocol):
    """One opened network. Calls have one fixed shape, so the bits of a result do not depend on who else is in it."""

    name: str  #: as written into each score: engine, device and precision
    batch: int  #: segments in one call
    one_record_a_call: bool  #: True where rows of a batch may differ in the last bit by their position

    def logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """(batch, 12, 2500) -> per head (batch, labels)."""

    def embed(self, segments: NDArray[np.float32]) -> NDArray[np.float32]:
        """(batch, 12, 2500) -> pooled embeddings (batch, width) of the first encoder."""


@runtime_checkable
class Streaming(Protocol):
    """A runtime that takes the next call while it computes the one before: a GPU must never wait for its host."""

    def stream(self, calls: Iterable[NDArray[np.float32]]) -> Iterator[Outputs]:
        """Calls of (batch, 12, 2500) -> for each, in order, the embedding and every head's logits."""
