"""What a device could do at best: the network's operations counted as published, and rates from a clock of the test's
own.
"""

from itertools import count

import pytest
import torch

from ecgfm.bench.limits import Product, measure_limits, own_products, segment_flop
from ecgfm.config import EncoderConfig
from tests.helpers.tiny_models import TINY


def test_a_segment_of_the_published_network_takes_29_gflop() -> None:
    """About 14.6 GMAC: layers 13.25, attention 0.45, positional convolution 0.74, convolution stack 0.15."""
    assert segment_flop(EncoderConfig()) == pytest.approx(29.2e9, rel=0.005)


def test_the_products_of_the_published_network() -> None:
    products = own_products(EncoderConfig(), 64)
    rows = 64 * 156
    assert Product(calls=12, batch=1, rows=rows, inner=768, columns=2304) in products
    assert Product(calls=12, batch=64 * 12, rows=156, inner=64, columns=156) in products
    assert Product(calls=1, batch=16, rows=64 * 4, inner=166 * 48, columns=39 * 48) in products
    assert sum(one.flop for one in products) == pytest.approx(64 * (29.2e9 + 0.3 * 1.5e9), rel=0.01)


def test_rates_are_operations_over_seconds() -> None:
    """Every look at the clock is a second after the last, so each product takes one."""
    ticks = count()

    def timer() -> float:
        return float(next(ticks))

    found = measure_limits(TINY, torch.device("cpu"), torch.float32, 2, rounds=2, side=64, timer=timer)
    assert found.product_tflops == pytest.approx(2 * 64**3 / 1e12)
    assert found.at_product == pytest.approx(2 * 64**3 / segment_flop(TINY))
    assert found.at_own_products == pytest.approx(2 / sum(one.calls for one in own_products(TINY, 2)))
    assert (found.side, found.batch) == (64, 2)
