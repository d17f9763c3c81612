"""A diagonal state space network (S4D; Gu, Gupta, Goel and Ré 2022, arXiv:2206.11893) for 12-lead segments.

Each channel is a linear system x' = A x + B u, y = C x with a diagonal complex A, discretised by zero-order hold; over
a whole segment it is one long convolution, computed by FFT. Of the encoders trained from nothing in the AI4Health
benchmark of 2026 (arXiv:2509.25095) its kind is the strongest.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, glu

LEADS = 12
DECIMATION = 5  #: 500 Hz -> 100 Hz, the mean of five samples: the rate at which the benchmark trains such networks


class StateSpace(nn.Module):
    """`width` independent systems of `states` complex states, run over the segment forwards and backwards."""

    def __init__(self, width: int, states: int = 32) -> None:
        super().__init__()
        self.log_step = nn.Parameter(torch.empty(width).uniform_(math.log(1e-3), math.log(1e-1)))
        self.log_decay = nn.Parameter(torch.full((width, states), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(states).float().repeat(width, 1))  # S4D-Lin
        self.output = nn.Parameter(torch.randn(2, width, states, 2) * 0.5**0.5)  # C: direction, real and imaginary
        self.direct = nn.Parameter(torch.randn(width))

    def discrete(self) -> tuple[Tensor, Tensor]:
        """(width, states) complex: by what a state is multiplied each sample, and C times what an input adds to it, as
        (2, width, states): forwards, backwards.
        """
        pole = torch.complex(-self.log_decay.exp(), self.frequency)
        step = self.log_step.exp()[:, None]
        multiplier = torch.exp(step * pole)
        return multiplier, torch.view_as_complex(self.output) * (multiplier - 1) / pole

    def kernels(self, length: int) -> Tensor:
        """(2, width, length): responses to one impulse, forwards and backwards."""
        pole = torch.complex(-self.log_decay.exp(), self.frequency)
        times = torch.arange(length, device=pole.device)
        powers = torch.exp((self.log_step.exp()[:, None] * pole)[..., None] * times)  # (width, states, length)
        _, gain = self.discrete()
        return 2 * torch.einsum("dhn,hnl->dhl", gain, powers).real

    def forward(self, u: Tensor) -> Tensor:  # (B, width, L) -> (B, width, L)
        length = u.shape[-1]
        forwards, backwards = self.kernels(length)
        # The backward response begins with the next sample, so that the present one counts once.
        kernel = torch.cat([forwards, torch.zeros_like(forwards[:, :1]), backwards[:, :-1].flip(-1)], dim=-1)
        y = torch.fft.irfft(torch.fft.rfft(u, n=2 * length) * torch.fft.rfft(kernel), n=2 * length)[..., :length]
        found: Tensor = y + u * self.direct[:, None]
        return found


class Block(nn.Module):
    """x + GLU(linear(GELU(state space(norm(x)))))."""

    def __init__(self, width: int, states: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.space = StateSpace(width, states)
        self.mix = nn.Linear(width, 2 * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (B, L, width) -> the same
        y = self.space(self.norm(x).transpose(1, 2)).transpose(1, 2)
        found: Tensor = x + self.dropout(glu(self.mix(nn.functional.gelu(y)), dim=-1))
        return found


class S4dNetwork(nn.Module):
    """Segments (B, 12, 2500), z-scored, 500 Hz -> logits (B, labels)."""

    def __init__(
        self, labels: int, *, width: int = 512, depth: int = 4, states: int = 32, dropout: float = 0.1
    ) -> None:
        """The defaults make 2.5 million weights."""
        super().__init__()
        self.enter = nn.Linear(LEADS, width)
        self.blocks = nn.Sequential(*(Block(width, states, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, labels)

    def forward(self, source: Tensor) -> Tensor:
        x = self.enter(avg_pool1d(source, DECIMATION).transpose(1, 2))
        pooled: Tensor = self.norm(self.blocks(x)).mean(dim=1)
        logits: Tensor = self.head(pooled)
        return logits
