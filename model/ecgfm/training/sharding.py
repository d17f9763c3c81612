"""Fully sharded data parallelism: each process keeps a share of weights, gradients and moments,
and gathers a layer when it runs.

torch's `fully_shard` (Zhao et al. 2023, arXiv 2304.11277) does the work, through Lightning Fabric. A checkpoint holds
the whole weights under the same names and numbers as without it, so a run may go on with or without sharding.
"""

from typing import TYPE_CHECKING, Any  # Any: torch's meshes and states

from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import fully_shard
from torch.optim import Optimizer

from ecgfm.encoder import TransformerLayer

if TYPE_CHECKING:
    from lightning.fabric.strategies.model_parallel import ModelParallelStrategy

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def sharded_strategy(processes: int) -> "ModelParallelStrategy":
    """Fabric's strategy that shards a `Pretraining` over all processes, transformer layer by transformer layer."""
    from lightning.fabric.strategies.model_parallel import ModelParallelStrategy

    return ModelParallelStrategy(
        parallelize_fn=_shard, data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False
    )


def _shard(model: nn.Module, mesh: Any) -> nn.Module:
    for module in model.modules():
        if isinstance(module, TransformerLayer):
            fully_shard(module, mesh=mesh["data_parallel"])
    fully_shard(model, mesh=mesh["data_parallel"])  # what belongs to no layer
    return model


def whole_state(model: nn.Module, optimiser: Optimizer) -> tuple[dict[str, Any], dict[str, Any]]:
    """Unsharded state dicts of model and optimiser on the CPU; empty but on the first process.

    Every process must call it.
    """
    weights = get_model_state_dict(model, options=_WHOLE)
    named: dict[str, Any] = get_optimizer_state_dict(model, optimiser, options=_WHOLE)
    if not weights:
        return {}, {}
    numbers = {name: number for number, (name, _) in enumerate(model.named_parameters())}
    return weights, {
        "state": {numbers[name]: moments for name, moments in named["state"].items()},
        "param_groups": [
            {**group, "params": [numbers[name] for name in group["params"]]} for group in named["param_groups"]
        ],
    }


def load_whole_optimiser(model: nn.Module, optimiser: Optimizer, state: dict[str, Any]) -> None:
    """The inverse of `whole_state` for the optimiser; every process gives the whole state and keeps its share."""
    names = [name for name, _ in model.named_parameters()]
    named: dict[str, Any] = {
        "state": {names[number]: moments for number, moments in state["state"].items()},
        "param_groups": [
            {**group, "params": [names[number] for number in group["params"]]} for group in state["param_groups"]
        ],
    }
    set_optimizer_state_dict(model, optimiser, named, options=_WHOLE)
