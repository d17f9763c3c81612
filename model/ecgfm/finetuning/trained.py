"""A network with the base's encoder and one head of its own: as training begins, and what training made of it."""

from dataclasses import dataclass, field, replace

import torch

from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm
from ecgfm.provenance import Notes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A trained network with its one head, and how it came about."""

    network: EcgFm = field(repr=False)
    record: Notes  #: method, settings, seed, selection: for the bundle's provenance


def with_head(base: EcgFm, spec: HeadSpec, *, activation_dropout: float | None = None, seed: int = 1) -> EcgFm:
    """A new network with the weights of the base's first encoder and one fresh head (Xavier weights, bias 0).

    With `activation_dropout` it gets the regularisers of fine-tuning: all other dropout off, convolutions frozen.
    """
    config = base.config
    if activation_dropout is not None:
        config = replace(
            config,
            dropout=0.0,
            attention_dropout=0.0,
            dropout_input=0.0,
            activation_dropout=activation_dropout,
            feature_grad_mult=0.0,
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EcgFm(config, (replace(spec, encoder=0),), base.preprocessing)  # wherever it stood in its bundle
    network.encoder.load_state_dict(base.encoder.state_dict())
    return network
