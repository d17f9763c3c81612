"""A small model with random weights for tests: the real code and the real bundle format, nothing learnt."""

import shutil
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.errors import RuntimeUnavailable
from ecgfm.heads import INTERPRETATION, REDUCED_LVEF, TROPONIN
from ecgfm.network import EcgFm
from ecgfm.provenance import Provenance
from tests.helpers import prepared

TINY = EncoderConfig(
    conv_layers=((16, 2, 2),) * 4, width=32, layers=2, ffn_width=64, heads=4, conv_pos_kernel=16, conv_pos_groups=4
)


def tiny_network(*, seed: int = 0, config: EncoderConfig = TINY) -> EcgFm:
    """A seeded network with the reduced-LVEF, troponin and interpretation heads; leaves torch's own seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EcgFm(config, (REDUCED_LVEF, TROPONIN, INTERPRETATION))
        for parameter in network.parameters():  # biases and norms too, or a dropped one would go unnoticed
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return network


def tiny_network_of_two(*, seed: int = 0) -> EcgFm:
    """A seeded network of two encoders, of a layer each: reduced LVEF and interpretation on the first, troponin on the
    second.
    """
    config = replace(TINY, layers=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        specs = (REDUCED_LVEF, replace(TROPONIN, encoder=1), INTERPRETATION)
        network = EcgFm(config, specs, further=(config,))
        for parameter in network.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return network


def write_tiny_bundle(folder: str | Path, *, seed: int = 0, demo: bool = True) -> Bundle:
    """Write a bundle of `tiny_network(seed=seed)`; the same seed gives the same model_id."""
    return Bundle.write(
        folder,
        tiny_network(seed=seed),
        name=f"tiny-random-{seed}",
        version="1",
        demo=demo,
        provenance=Provenance(origin={"training": "none: random weights for tests"}),
    )


@cache
def _tiny_bundle() -> Path:
    write_tiny_bundle(prepared.own_folder() / "tiny")
    return prepared.own_folder() / "tiny"


def copy_tiny_bundle(folder: Path) -> None:
    """As `write_tiny_bundle(folder)` writes it; it is written once a process."""
    shutil.copytree(_tiny_bundle(), folder, copy_function=shutil.copy)


def copy_prepared_tiny(factory: pytest.TempPathFactory, folder: Path) -> None:
    """Where a runtime looks for what is prepared of `write_tiny_bundle(folder)`: its ONNX file, exported once for all
    workers; nothing where exporting is not installed.
    """
    shutil.copytree(prepared.once_for_all_workers(factory, "tiny-prepared", _export_tiny) / "prepared", folder)


def _export_tiny(folder: Path) -> None:
    from ecgfm.runtimes import preparation

    (folder / "prepared").mkdir()
    with suppress(RuntimeUnavailable):
        preparation.onnx_file(write_tiny_bundle(folder / "tiny"), folder / "prepared")


def encoder_table(layers: int = 1) -> str:
    """The table `[encoder]` of a pretraining recipe for a network as small as these; more keys may follow."""
    return f"""[encoder]
conv_layers = [[8, 2, 2], [8, 2, 2], [8, 2, 2], [8, 2, 2]]
width = 16
layers = {layers}
ffn_width = 32
heads = 4
conv_pos_kernel = 16
conv_pos_groups = 4
"""
