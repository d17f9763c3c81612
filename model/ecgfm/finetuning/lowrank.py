"""Low-rank adapters (LoRA; Hu et al. 2021, arXiv:2106.09685): train two thin matrices beside each frozen projection.

An adapter is a parametrisation of the weight, so the encoder's code does not know of it; merging it leaves plain
weights, and a bundle trained this way is a bundle like any other.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ecgfm.network import EcgFm


class LowRank(nn.Module):
    """weight -> weight + alpha / rank * up @ down; `up` starts at zero, so training starts from the weight itself."""

    def __init__(
        self, out_features: int, in_features: int, *, rank: int, alpha: float, stream: torch.Generator
    ) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, in_features, generator=stream) / rank**0.5)
        self.up = nn.Parameter(torch.zeros(out_features, rank))
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:  # (out, in) -> (out, in)
        return weight + self.scale * (self.up @ self.down)


def adapted(network: EcgFm) -> list[nn.Linear]:
    """The projections that get an adapter: query, key, value and output of every attention layer."""
    return [
        module
        for name, module in network.encoder.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in ("q_proj", "k_proj", "v_proj", "out_proj")
    ]


def add_adapters(network: EcgFm, *, rank: int, alpha: float, seed: int) -> None:
    """Freeze the encoder and give its attention projections adapters, in place."""
    stream = torch.Generator().manual_seed(seed)
    network.encoder.requires_grad_(False)
    for linear in adapted(network):
        adapter = LowRank(linear.out_features, linear.in_features, rank=rank, alpha=alpha, stream=stream)
        parametrize.register_parametrization(linear, "weight", adapter)


def merge_adapters(network: EcgFm) -> None:
    """Fold the adapters into plain weights, in place: same outputs up to rounding."""
    for linear in adapted(network):
        if parametrize.is_parametrized(linear, "weight"):
            parametrize.remove_parametrizations(linear, "weight")
