"""Adam as fairseq-signals steps it: epsilon is not bias-corrected, weight decay is decoupled."""

import math
from collections.abc import Callable
from typing import Any, overload  # Any: torch's groups of parameters

from torch.optim import AdamW


class ReferenceAdam(AdamW):
    """torch's AdamW with the epsilon that makes it the reference's Adam, so its fused and foreach kernels serve.

    The reference divides by sqrt(v) + eps and multiplies by sqrt(1 - beta2^t) / (1 - beta1^t); AdamW divides by
    sqrt(v) / sqrt(1 - beta2^t) + eps'. The two are equal for eps' = eps / sqrt(1 - beta2^t). Parameters of a group must
    share their number of steps, which they do where every parameter receives a gradient at every step.
    """

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update; the groups' own `eps` is left as set."""
        given = [group["eps"] for group in self.param_groups]
        for group in self.param_groups:
            steps = self._steps(group) + 1
            group["eps"] = group["eps"] / math.sqrt(1 - group["betas"][1] ** steps)
        try:
            return super().step(closure)  # type: ignore[no-any-return]  # torch leaves step untyped
        finally:
            for group, eps in zip(self.param_groups, given, strict=True):
                group["eps"] = eps

    def _steps(self, group: dict[str, Any]) -> int:
        """Steps done so far; kept as a plain number in the group, because the state's tensors may lie on a GPU."""
        if "steps" not in group:
            states = (self.state.get(parameter) for parameter in group["params"])
            found = next((int(state["step"]) for state in states if state), 0)
            group["steps"] = found
        done: int = group["steps"]
        group["steps"] = done + 1
        return done
