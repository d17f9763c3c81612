"""The network as it is arranged for a GPU is the same function, and the same in any company."""

import copy

import pytest
import torch

from ecgfm.config import EncoderConfig
from ecgfm.network import EcgFm
from ecgfm.runtimes.lean_network import LeanNetwork, Positions
from tests.helpers.tiny_models import tiny_network

SOURCE = torch.randn(5, 12, 2500, generator=torch.Generator().manual_seed(3))


def folded(network: EcgFm) -> EcgFm:
    return copy.deepcopy(network).fold().eval().requires_grad_(False)


def embedded(network: torch.nn.Module, source: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network(source)
        return found


@pytest.mark.parametrize("positions", ["banded", "convolution"])
def test_float32_is_the_network_itself(positions: Positions) -> None:
    network = folded(tiny_network())
    with torch.inference_mode():
        expected = network.embed(SOURCE)
    found = embedded(LeanNetwork(folded(tiny_network()), positions=positions), SOURCE)
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_float64_leaves_nothing_but_rounding(pre_norm: bool) -> None:
    config = EncoderConfig(
        **{**tiny_network().config.to_json(), "pre_norm": pre_norm, "conv_layers": ((32, 3, 2), (32, 2, 2), (32, 4, 4))}
    )
    torch.manual_seed(0)
    network = folded(EcgFm(config)).double()
    with torch.inference_mode():
        expected = network.embed(SOURCE.double())
    lean = LeanNetwork(copy.deepcopy(network), torch.float64)
    # Norms and pooling are computed in float32 by design: no less, whatever the precision is.
    torch.testing.assert_close(embedded(lean, SOURCE.double()).double(), expected, rtol=0, atol=1e-5)


def test_bfloat16_stays_near() -> None:
    network = folded(tiny_network())
    with torch.inference_mode():
        expected = network.embed(SOURCE)
    found = embedded(LeanNetwork(folded(tiny_network()), torch.bfloat16), SOURCE)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() <= 0.1 * expected.abs().max()
