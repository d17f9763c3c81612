"""Train a network from nothing on labelled ECGs, and score others with it: the same segments, patients and splits that
a head is trained on.

AdamW with a learning rate that falls along half a cosine; the epoch with the best validation loss is kept. Order and
initialisation are functions of the seed.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ecgfm.devices import choose_device
from ecgfm.errors import TrainingError
from ecgfm.finetuning.dataset import Example, Reader, SegmentLoader, ahead, all_draws, epoch_batches
from ecgfm.finetuning.split import Split, check_split
from ecgfm.rivals.convolutional import ConvolutionalNetwork
from ecgfm.rivals.s4d import S4dNetwork
from ecgfm.signal import PREPROCESSING

Network = nn.Module
Progress = Callable[[int, int], None]  #: (epochs done, epochs in all)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """How large a network is and how long it trains. Raises ValueError where a count is below 1."""

    s4d_width: int = 512
    s4d_depth: int = 4
    cnn_width: int = 64
    epochs: int = 20
    patience: int = 5  #: epochs without a better validation loss before stopping
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.s4d_width, self.s4d_depth, self.cnn_width, self.epochs, self.patience, self.batch_size) < 1:
            raise ValueError("widths, depth, epochs, patience and batch size are at least 1")


def s4d(labels: int, settings: Scratch) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return S4dNetwork(labels, width=settings.s4d_width, depth=settings.s4d_depth)


def convolutional(labels: int, settings: Scratch) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return ConvolutionalNetwork(labels, width=settings.cnn_width)


def train_from_scratch(
    network: nn.Module,
    labels: Sequence[str],
    split: Split,
    read: Reader,
    settings: Scratch,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> nn.Module:
    """The network, trained in place and in eval mode. Raises TrainingError where a label lacks a class."""
    check_split(split, labels)
    where = choose_device(device)
    network.to(where)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    loader = SegmentLoader(split.train, read, PREPROCESSING)
    held = SegmentLoader(split.validation, read, PREPROCESSING)
    best, best_epoch, kept = math.inf, 0, copy.deepcopy(network.state_dict())
    for epoch in range(settings.epochs):
        rate = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed * 1_000_003 + epoch)
            _train_epoch(network, optimiser, loader, split.train, settings, epoch, where)
        loss = _validation_loss(network, held, split.validation, settings.batch_size, where)
        if loss < best:
            best, best_epoch, kept = loss, epoch, copy.deepcopy(network.state_dict())
        if progress:
            progress(epoch + 1, settings.epochs)
        if epoch - best_epoch >= settings.patience:
            break
    network.load_state_dict(kept)
    return network.eval()


def score(
    network: nn.Module, labels: int, examples: Sequence[Example], read: Reader, *, batch: int = 32, device: str = "auto"
) -> NDArray[np.float64]:
    """(examples, labels): the mean of each ECG's segment probabilities."""
    where = choose_device(device)
    network.to(where).eval()
    draws = all_draws(examples)
    loader = SegmentLoader(examples, read, PREPROCESSING)
    sums = np.zeros((len(examples), labels))
    parts = [draws[start : start + batch] for start in range(0, len(draws), batch)]
    with torch.inference_mode():
        for part, (source, _) in zip(parts, ahead(loader.load, parts), strict=True):
            found = network(torch.from_numpy(source).to(where)).float().sigmoid().cpu().numpy()
            np.add.at(sums, [draw.example for draw in part], found)
    return np.asarray(sums / np.array([[example.segments] for example in examples]))


def keep(network: nn.Module, path: Path) -> None:
    """The weights as a file, whole or not at all. Raises TrainingError where the disk does not take it."""
    scratch = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: tensor.cpu() for name, tensor in network.state_dict().items()}, scratch)
        scratch.replace(path)
    except OSError as error:
        raise TrainingError(f"{path} cannot be written ({error.strerror}); free disk space and start again") from error


def read(network: nn.Module, path: Path) -> None:
    """Put weights that were kept into a network of the same sizes."""
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


def _train_epoch(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    loader: SegmentLoader,
    examples: Sequence[Example],
    settings: Scratch,
    epoch: int,
    where: torch.device,
) -> None:
    network.train()
    batches = epoch_batches(examples, settings.batch_size, seed=settings.seed, epoch=epoch)
    for source, labels in ahead(loader.load, batches):
        optimiser.zero_grad()
        total, known = _loss(network, source, labels, where)
        (total / known).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def _validation_loss(
    network: nn.Module, loader: SegmentLoader, examples: Sequence[Example], batch: int, where: torch.device
) -> float:
    network.eval()
    draws, losses, counts = all_draws(examples), 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(draws), batch):
            total, known = _loss(network, *loader.load(draws[start : start + batch]), where)
            losses, counts = losses + float(total), counts + known
    return losses / counts


def _loss(
    network: nn.Module, source: NDArray[np.float32], labels: NDArray[np.float32], where: torch.device
) -> tuple[Tensor, int]:
    """Summed over the known labels, and how many these are (at least 1)."""
    truth = torch.from_numpy(labels).to(where)
    known = torch.isfinite(truth)
    logits = network(torch.from_numpy(source).to(where)).float()
    losses = binary_cross_entropy_with_logits(logits, torch.where(known, truth, 0.0), reduction="none")
    return torch.where(known, losses, 0.0).sum(), max(1, int(known.sum()))
