"""A small one-dimensional residual network (after He et al. 2016 and Ribeiro et al. 2020) for 12-lead segments."""

from itertools import pairwise

import torch
from torch import Tensor, nn

LEADS = 12
KERNEL = 7


class Block(nn.Module):
    """relu(x + convolutions(x)), at half the rate where `stride` is 2."""

    def __init__(self, before: int, after: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv1d(before, after, KERNEL, stride=stride, padding=KERNEL // 2, bias=False),
            nn.BatchNorm1d(after),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(after, after, KERNEL, padding=KERNEL // 2, bias=False),
            nn.BatchNorm1d(after),
        )
        self.short: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.short = nn.Sequential(nn.Conv1d(before, after, 1, stride=stride, bias=False), nn.BatchNorm1d(after))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.short(x))


class ConvolutionalNetwork(nn.Module):
    """Segments (B, 12, 2500), z-scored, 500 Hz -> logits (B, labels)."""

    def __init__(self, labels: int, *, width: int = 64, dropout: float = 0.1) -> None:
        """`width` channels at the entrance, eight times as many at the end; the default makes 5.5 million weights."""
        super().__init__()
        self.enter = nn.Sequential(
            nn.Conv1d(LEADS, width, 15, stride=4, padding=7, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        sizes = [width, 2 * width, 4 * width, 8 * width]
        blocks = [Block(width, width, 1, dropout)]
        blocks += [Block(before, after, 2, dropout) for before, after in pairwise(sizes)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(sizes[-1], labels)

    def forward(self, source: Tensor) -> Tensor:
        pooled = self.blocks(self.enter(source)).mean(dim=-1)
        logits: Tensor = self.head(pooled)
        return logits
