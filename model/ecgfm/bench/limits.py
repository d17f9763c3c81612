"""What a device could do at best, measured in the same run: a plain matrix product, and the network's own ones alone.

A figure of segments a second tells nothing of why; beside these it does. The plain product is what the device gives to
anybody; the network's own products are smaller, so what they reach alone is the network's own limit.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ecgfm.banded_convolution import BLOCK
from ecgfm.config import EncoderConfig
from ecgfm.devices import settle
from ecgfm.float32 import exact_float32
from ecgfm.signal import SEGMENT_SAMPLES

GPU_SIDE = 8192  #: rows and columns of the plain product on a GPU
CPU_SIDE = 1024  #: the same on a CPU, where the larger one would take minutes
_ROUND = 2e10  #: operations of one round on a GPU at least, so that the clock can see it


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One kind of matrix product of the network at some batch."""

    calls: int  #: how often it is done
    batch: int  #: matrices in one call
    rows: int
    inner: int
    columns: int

    @property
    def flop(self) -> int:
        """Floating-point operations of all calls."""
        return self.calls * self.batch * 2 * self.rows * self.inner * self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one device reaches in one precision, in TFLOP/s and segments a second."""

    side: int  #: rows and columns of the plain product
    product_tflops: float  #: the plain product's rate
    at_product: float  #: segments/s, were every operation done at that rate
    at_own_products: float  #: segments/s, were nothing done but the network's own products, one by one
    batch: int  #: segments a call


def segment_flop(config: EncoderConfig) -> int:
    """Floating-point operations of one 5 s segment: 29.2 GFLOP at the published size. Norms and the like do not count.

    The positional convolution counts as what it is, not as the 1.3 times as many that its banded product takes.
    """
    frames = config.frames(SEGMENT_SAMPLES)
    group = config.width // config.conv_pos_groups
    positions = 2 * config.width * frames * group * config.conv_pos_kernel
    return positions + sum(one.flop for one in _products(config, 1))


def own_products(config: EncoderConfig, batch: int) -> list[Product]:
    """Every matrix product of the network for a call of `batch` segments, as the GPU runtime does them."""
    group, blocks = config.width // config.conv_pos_groups, -(-config.frames(SEGMENT_SAMPLES) // BLOCK)
    reach = BLOCK + config.conv_pos_kernel - 1
    positions = Product(
        calls=1, batch=config.conv_pos_groups, rows=batch * blocks, inner=reach * group, columns=BLOCK * group
    )
    return [*_products(config, batch), positions]


def _products(config: EncoderConfig, batch: int) -> list[Product]:
    """All but the positional convolution."""
    samples, channels, found = SEGMENT_SAMPLES, config.leads, []
    for out, kernel, stride in config.conv_layers:
        samples = (samples - kernel) // stride + 1
        found.append(Product(calls=1, batch=1, rows=batch * samples, inner=channels * kernel, columns=out))
        channels = out
    width, rows = config.width, batch * samples
    if channels != width:
        found.append(Product(calls=1, batch=1, rows=rows, inner=channels, columns=width))
    for inner, columns in ((width, 3 * width), (width, width), (width, config.ffn_width), (config.ffn_width, width)):
        found.append(Product(calls=config.layers, batch=1, rows=rows, inner=inner, columns=columns))
    heads, head = batch * config.heads, width // config.heads
    for inner, columns in ((head, samples), (samples, head)):
        found.append(Product(calls=config.layers, batch=heads, rows=samples, inner=inner, columns=columns))
    return found


def measure_limits(
    config: EncoderConfig,
    device: torch.device,
    precision: torch.dtype,
    batch: int,
    *,
    rounds: int = 5,
    side: int | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> Limits:
    """Both figures on one device: the best of the rounds, because other programs only ever slow a product down."""
    rate = measure_product(device, precision, side=side, rounds=rounds, timer=timer)
    with torch.inference_mode(), exact_float32():
        own = sum(one.calls * _seconds(one, device, precision, rounds, timer) for one in own_products(config, batch))
    return Limits(
        side=side or default_side(device),
        product_tflops=rate / 1e12,
        at_product=rate / segment_flop(config),
        at_own_products=batch / own,
        batch=batch,
    )


def measure_product(
    device: torch.device,
    precision: torch.dtype,
    *,
    side: int | None = None,
    rounds: int = 5,
    timer: Callable[[], float] = time.perf_counter,
) -> float:
    """FLOP/s of the plain product of `side` rows and columns: what the device gives to anybody."""
    side = side or default_side(device)
    plain = Product(calls=1, batch=1, rows=side, inner=side, columns=side)
    with torch.inference_mode(), exact_float32():
        return plain.flop / _seconds(plain, device, precision, rounds, timer)


def default_side(device: torch.device) -> int:
    """Rows and columns of the plain product on this kind of device."""
    return GPU_SIDE if device.type == "cuda" else CPU_SIDE


def _seconds(
    product: Product, device: torch.device, precision: torch.dtype, rounds: int, timer: Callable[[], float]
) -> float:
    """Of one call, the least of the rounds."""
    draw = torch.Generator(device).manual_seed(0)
    a = torch.randn(product.batch, product.rows, product.inner, device=device, generator=draw).to(precision)
    b = torch.randn(product.batch, product.columns, product.inner, device=device, generator=draw).to(precision)
    b = b.transpose(1, 2)
    repeats = max(1, math.ceil(_ROUND * product.calls / product.flop)) if device.type == "cuda" else 1
    best = math.inf
    for turn in range(rounds + 1):
        settle(device)
        start = timer()
        for _ in range(repeats):
            torch.bmm(a, b)
        settle(device)
        if turn:  # the first one chooses kernels and allocates
            best = min(best, (timer() - start) / repeats)
    return best
