"""The processes that train together, as torchrun starts them: on one GPU each, on CPUs, or one process alone.

Lightning Fabric (the optional extra `train`) brings them together and knows devices and precision.
"""

import atexit
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import torch
from torch import Tensor

from ecgfm.errors import RuntimeUnavailable, TrainingError

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from lightning.fabric.strategies.model_parallel import ModelParallelStrategy

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Value = TypeVar("Value")


def _part() -> None:
    """Leave the others before this process ends: a process whose threads still talk then may end by SIGABRT."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@dataclass(frozen=True, slots=True)
class Team:
    """One process's view of them all."""

    fabric: "Fabric"
    sharded: bool = False  #: weights and moments are shared out over the processes (`ecgfm.training.sharding`)

    @classmethod
    def launch(
        cls, work: str, *, device: str, devices: int, nodes: int, precision: Precision, sharded: bool = False
    ) -> Self:
        """Meet the others, `devices` on each of `nodes` machines. `work` is what they meet for, in an error's words.

        Raises RuntimeUnavailable without lightning, TrainingError where another number of processes was started.
        """
        try:
            from lightning.fabric import Fabric
        except ImportError as error:
            raise RuntimeUnavailable(f"{work} needs the library lightning; install ecgfm-clinical[train]") from error
        processes = devices * nodes
        sharded = sharded and processes > 1
        fabric = Fabric(
            accelerator=device,
            devices=devices,
            num_nodes=nodes,
            strategy=_strategy(processes, sharded),
            precision=precision,
        )
        fabric.launch()
        atexit.register(_part)
        if fabric.world_size != processes:
            raise TrainingError(
                f"{processes} processes were expected, {fabric.world_size} came together; start them with "
                f"`torchrun --nproc-per-node={devices}`"
            )
        return cls(fabric, sharded)

    @property
    def first(self) -> bool:
        """True in the one process that writes files and speaks."""
        return bool(self.fabric.is_global_zero)

    @property
    def processes(self) -> int:
        """How many they are."""
        return self.fabric.world_size

    @property
    def rank(self) -> int:
        """This process's number among them, from 0."""
        return self.fabric.global_rank

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.fabric.device

    def share(self, make: Callable[[], Value]) -> Value:
        """What the first process makes, in all of them."""
        return self.fabric.broadcast(make() if self.first else None)  # type: ignore[return-value]  # only the first one's counts

    def summed(self, value: Tensor) -> Tensor:
        """The sum of all processes' `value`, on this process's device where there are several."""
        if self.processes == 1:
            return value
        total = self.fabric.all_reduce(value.to(self.device), reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    def any(self, asked: bool) -> bool:
        """True in all processes where it is true in one: they must stop at the same update."""
        return bool(self.summed(torch.tensor([float(asked)])) > 0)


def _strategy(processes: int, sharded: bool) -> "str | ModelParallelStrategy":
    if not sharded:
        return "ddp" if processes > 1 else "auto"
    from ecgfm.training.sharding import sharded_strategy

    return sharded_strategy(processes)
