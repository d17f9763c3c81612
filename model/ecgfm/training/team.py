"""The processes that train one head together, as torchrun starts them: on one GPU each, on CPUs, or one process alone.

Lightning Fabric (the optional extra `train`) brings them together and knows devices and precision.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from ecgfm.errors import RuntimeUnavailable, TrainingError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Team:
    """One process's view of them all."""

    fabric: "Fabric"

    @classmethod
    def launch(cls, *, device: str, devices: int, nodes: int, precision: Precision) -> Self:
        """Meet the others, `devices` on each of `nodes` machines.

        Raises RuntimeUnavailable without lightning, TrainingError where another number of processes was started.
        """
        try:
            from lightning.fabric import Fabric
        except ImportError as error:
            raise RuntimeUnavailable(
                "fine-tuning needs the library lightning; install ecgfm-clinical[train], or use method linear"
            ) from error
        fabric = Fabric(
            accelerator=device,
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if devices * nodes > 1 else "auto",
            precision=precision,
        )
        fabric.launch()
        if fabric.world_size != devices * nodes:
            raise TrainingError(
                f"{devices * nodes} processes were expected, {fabric.world_size} came together; start them with "
                f"`torchrun --nproc-per-node={devices}`"
            )
        return cls(fabric)

    @property
    def first(self) -> bool:
        """True in the one process that writes files and speaks."""
        return bool(self.fabric.is_global_zero)

    def share(self, make: Callable[[], Value]) -> Value:
        """What the first process makes, in all of them."""
        return self.fabric.broadcast(make() if self.first else None)  # type: ignore[return-value]  # only the first one's counts
