"""A network from its sizes, its heads and its tensors, wherever those were read from."""

from collections.abc import Mapping, Sequence
from typing import Any  # Any: torch's override of functions

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ecgfm.config import EncoderConfig
from ecgfm.errors import CheckpointError
from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm


def assemble(
    config: EncoderConfig,
    specs: Sequence[HeadSpec],
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    further: Sequence[EncoderConfig] = (),
) -> EcgFm:
    """A network of this shape, `further` encoders included, holding float32 copies of these tensors;
    raises `CheckpointError` where they do not fit.
    """
    with _NoDraws():
        network = EcgFm(config, specs, further=further)
    wanted = network.state_dict()
    missing, unknown = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing or unknown:
        raise CheckpointError(f"{source}: tensors missing {missing[:3]}, unknown {unknown[:3]}")
    wrong = [name for name in wanted if tensors[name].shape != wanted[name].shape]
    if wrong:
        name = wrong[0]
        raise CheckpointError(
            f"{source}: {name} has shape {tuple(tensors[name].shape)}, not {tuple(wanted[name].shape)}"
        )
    copies = {name: tensor.detach().to(torch.float32, copy=True) for name, tensor in tensors.items()}
    network.load_state_dict(copies, assign=True)
    return network.requires_grad_(True)


class _NoDraws(TorchFunctionMode):
    """Initial weights that are about to be replaced are not drawn, so their memory is never touched.

    The meta device would do the same, but weight normalisation on it imports torch's compiler, seconds of work.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init" or getattr(func, "__name__", "") in (
            "normal_",
            "uniform_",
        ):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
