"""Recordings with a sign in them that a head can learn: they oscillate fast, or slowly."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ecgfm.finetuning.dataset import Example
from ecgfm.finetuning.embedding import embed
from ecgfm.finetuning.settings import FineTuning
from ecgfm.finetuning.split import Split
from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm
from ecgfm.records import Record

SPEC = HeadSpec(
    name="planted",
    labels=("fast", "never known in half"),
    target="The recording oscillates fast.",
    aggregation={"fast": "mean", "never known in half": "mean"},
)
QUICK = FineTuning(
    learning_rate=1e-3,
    batch_size=16,
    micro_batch=8,
    max_epochs=3,
    activation_dropout=0.1,
    device="cpu",
    seed=3,
    checkpoint_every=1,
)


def settings_of_one_epoch(*, devices: int) -> FineTuning:
    """Without dropout, whose draws differ from process to process."""
    return replace(QUICK, activation_dropout=0.0, max_epochs=1, devices=devices)


def record_of(key: str) -> Record:
    """A noisy sine: 14 Hz where the key is odd, 6 Hz where it is even."""
    number = int(key)
    stream = np.random.default_rng(number)
    t = np.arange(5000) / 500
    wave = np.sin(2 * np.pi * ((14 if number % 2 else 6) * t[None] + stream.random((12, 1))))
    return Record(signal=wave + 0.5 * stream.normal(size=(12, 5000)), sampling_rate=500.0)


def examples(numbers: Sequence[int]) -> list[Example]:
    return [
        Example(
            key=str(n),
            patient=f"p{n}",
            labels=(float(n % 2), float(n % 2) if n % 4 < 2 else float("nan")),
            segments=2,
        )
        for n in numbers
    ]


SPLIT = Split(train=examples(range(40)), validation=examples(range(100, 116)))
#: Three updates an epoch, for what needs many epochs and not what is learnt in them.
SMALL = Split(train=examples(range(20)), validation=examples(range(100, 108)))


def scores(network: EcgFm, of: Sequence[Example], cache: Path) -> NDArray[np.float64]:
    """Of each ECG and label: (ecgs, 2)."""
    rows = embed(network, of, record_of, cache=cache, device="cpu")
    with torch.inference_mode():
        return np.array([network.logits(torch.from_numpy(row))["planted"].sigmoid().mean(0).numpy() for row in rows])
