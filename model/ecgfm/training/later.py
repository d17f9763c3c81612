"""A figure that a GPU will have computed: fetched beside its work, read when it is needed, so that no step waits for
it.
"""

import torch
from torch import Tensor


class Later:
    """The values of a small tensor, on their way to the host since this was made; on a CPU they are there."""

    def __init__(self, values: Tensor) -> None:
        values = values.detach()
        self._arrived: torch.cuda.Event | None = None
        if values.is_cuda:
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self._arrived.record(torch.cuda.current_stream(values.device))
        else:
            self._host = values.clone()

    def value(self) -> Tensor:
        """The values on the CPU; waits for what was queued before this was made, and for nothing after."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host
