"""What the computer has that a pretraining run may use, and the processes that share the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ecgfm.errors import TrainingError
from ecgfm.pretraining.recipe import Recipe
from ecgfm.training.team import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the computer has; none of it changes what is learnt, up to rounding."""

    accelerator: str = "auto"  #: cpu, cuda or auto: where the run began, CUDA where present for a new one
    processes: int = 1  #: on all machines together, as started by torchrun
    local_processes: int = 1  #: on this machine
    workers: int = 0  #: processes that read ahead, for each training process
    fsdp: bool = False  #: share weights and moments out over the processes (`ecgfm.training.sharding`)
    tensorboard: bool = False

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str],
        *,
        accelerator: str = "auto",
        workers: int = 0,
        fsdp: bool = False,
        tensorboard: bool = False,
    ) -> Self:
        """The processes that torchrun announces in WORLD_SIZE and LOCAL_WORLD_SIZE; one process without it."""
        processes = int(environment.get("WORLD_SIZE", "1"))
        return cls(
            accelerator=accelerator,
            processes=processes,
            local_processes=int(environment.get("LOCAL_WORLD_SIZE", processes)),
            workers=workers,
            fsdp=fsdp,
            tensorboard=tensorboard,
        )


def launch(recipe: Recipe, machine: Machine) -> Team:
    """Meet the other processes of the run. Raises TrainingError where they cannot share an update evenly,
    and as `Team.launch`.
    """
    per_update = recipe.training.micro_batches_per_update
    if per_update % machine.processes:
        raise TrainingError(
            f"{machine.processes} processes cannot share the {per_update} micro-batches of an update evenly; start a "
            f"number of processes that divides {per_update}"
        )
    return Team.launch(
        "pretraining",
        device=machine.accelerator,
        devices=machine.local_processes,
        nodes=machine.processes // machine.local_processes,
        precision=recipe.training.precision,
        sharded=machine.fsdp,
    )
