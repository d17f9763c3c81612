"""A bundle of ECG-FM's published size with random weights, for benchmarks: speed does not depend on what was learnt."""

from pathlib import Path

import torch

from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.heads import INTERPRETATION, REDUCED_LVEF, TROPONIN
from ecgfm.network import EcgFm
from ecgfm.provenance import Provenance


def write_full_bundle(folder: Path) -> Bundle:
    """90.4 M parameters, three heads, seeded weights of about a trained network's spread (0.04)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = EcgFm(EncoderConfig(), (REDUCED_LVEF, TROPONIN, INTERPRETATION))
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1:
                parameter.data.add_(0.1 * torch.randn_like(parameter))
            elif ".layers." in name:
                parameter.data.mul_(2)
    return Bundle.write(folder, network, name="full-random", version="1", demo=True, provenance=Provenance())
