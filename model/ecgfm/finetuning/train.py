"""Fine-tune one head together with the encoder, or with thin matrices beside it.

    full    every weight but the convolution stack, with the settings of the released ECG-FM classifier (the defaults of
            `FineTuning`); the epoch with the best validation AUPRC is kept.
    lora    as full, but the encoder's weights stay and thin matrices beside the attention projections learn.

Both give a network with one head. A killed run goes on from its last checkpoint and ends, on CPU, where it would have
ended: order, dropout and initialisation are functions of seed, epoch and update, never of how often it was started.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ecgfm.devices import device_of, keep_device, training_device
from ecgfm.errors import RuntimeUnavailable, TrainingError
from ecgfm.finetuning.checkpoint import Checkpoint, checkpoint_to_go_on_from, run_identity
from ecgfm.finetuning.dataset import (
    Draw,
    Reader,
    SegmentLoader,
    Segments,
    ahead,
    all_draws,
    epoch_batches,
    label_matrix,
    positive_weights,
)
from ecgfm.finetuning.lowrank import add_adapters, merge_adapters
from ecgfm.finetuning.ranking import macro_ranking
from ecgfm.finetuning.settings import FineTuning
from ecgfm.finetuning.split import Split, check_split
from ecgfm.finetuning.trained import Trained, with_head
from ecgfm.float32 import exact_float32
from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm
from ecgfm.provenance import Notes
from ecgfm.training.cpu_layers import described, speed_up_cpu
from ecgfm.training.gpu_layers import speed_up_gpu
from ecgfm.training.journal import Journal, has_tensorboard
from ecgfm.training.later import Later
from ecgfm.training.team import Team

JOURNAL = "training.csv"
_COLUMNS = ("epoch", "update", "loss", "validation_auprc", "validation_auroc")
Progress = Callable[[int, int, str], None]  #: (updates done, updates in all, what is going on)


def fine_tune(
    base: EcgFm,
    spec: HeadSpec,
    split: Split,
    read: Reader,
    settings: FineTuning,
    *,
    folder: Path,
    team: Team | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Fine-tune in `folder`, which holds the checkpoint and the journal; call again to go on after a kill.

    `team` is the processes that came together already; launched by the settings where it is None. Raises TrainingError:
    a label without both classes, a checkpoint of another run in the folder, a full disk, a loss that is not finite.
    RuntimeUnavailable: a device that is not here, or another one than the run began on where none was named.
    """
    check_split(split, spec.labels)
    if team is None:
        team = launch(replace(settings, device=training_device(settings.device, folder)))
    began = device_of(folder)
    if settings.device == "auto" and began not in (None, team.device.type):
        raise RuntimeUnavailable(
            f"the run in {folder} began on {began} and would go on on {team.device.type}; name the device to go on with"
        )
    run = _Run(base, spec, split, read, settings, folder, team, progress)
    return run.to_the_end()


class _Run:
    """One fine-tuning run; everything a checkpoint must hold is an attribute set here."""

    def __init__(
        self,
        base: EcgFm,
        spec: HeadSpec,
        split: Split,
        read: Reader,
        settings: FineTuning,
        folder: Path,
        team: Team,
        progress: Progress | None,
    ) -> None:
        self.base, self.spec, self.split, self.settings, self.folder = base, spec, split, settings, folder
        self.progress = progress or (lambda done, total, text: None)
        self.team, self.fabric = team, team.fabric
        network = with_head(base, spec, activation_dropout=settings.activation_dropout, seed=settings.seed)
        network.encoder.feature_extractor.requires_grad_(False)
        if settings.method == "lora":
            add_adapters(network, rank=settings.rank, alpha=settings.alpha, seed=settings.seed)
        (speed_up_cpu if team.device.type == "cpu" else speed_up_gpu)(network)
        trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimiser = torch.optim.Adam(
            trainable,
            lr=settings.learning_rate,
            betas=settings.betas,
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            fused=True if team.device.type == "cuda" else None,
        )
        self.module, self.optimiser = self.fabric.setup(network, optimiser)
        self.network = network
        weights = positive_weights(split.train) if settings.weigh_positives else np.ones(len(spec.labels), np.float32)
        self.pos_weight = torch.from_numpy(weights).to(team.device)
        self.train_loader = SegmentLoader(split.train, read, base.preprocessing)
        self.validation_loader = SegmentLoader(split.validation, read, base.preprocessing)
        self.identity = run_identity(base, spec, split, settings)
        self.epoch, self.update_in_epoch, self.updates = 0, 0, 0
        self.best_auprc, self.best_epoch = -1.0, -1
        self.best_state: dict[str, Tensor] = {}
        segments = len(all_draws(split.train))
        self.updates_an_epoch = -(-segments // settings.batch_size)
        self.total = self.updates_an_epoch * settings.max_epochs

    def to_the_end(self) -> Trained:
        self._resume()
        if self.team.first:
            keep_device(self.folder, self.team.device.type)
        where = described(self.team.device.type, self.settings.precision)
        self.progress(self.updates, self.total, f"on {where}")
        with (
            exact_float32(),
            Journal(
                self.folder / JOURNAL,
                _COLUMNS,
                updates=self.updates,
                curves=self.team.first and has_tensorboard(),
                write=self.team.first,
            ) as journal,
        ):
            while self.epoch < self.settings.max_epochs and not self._out_of_patience():
                self._train_epoch(journal)
                self._validate(journal)
                self.epoch, self.update_in_epoch = self.epoch + 1, 0
                self._keep(journal)
        self.network.load_state_dict(self.best_state)
        merge_adapters(self.network.cpu())
        finished = with_head(self.base, self.spec)  # without the regularisers of training
        finished.load_state_dict(self.network.state_dict())
        return Trained(network=finished.eval(), record=self._record())

    def _train_epoch(self, journal: Journal) -> None:
        self.module.train()
        batches = epoch_batches(self.split.train, self.settings.batch_size, seed=self.settings.seed, epoch=self.epoch)
        left = list(enumerate(batches))[self.update_in_epoch :]  # the others were done before an interruption
        loaded = ahead(self.train_loader.load, (part for _, draws in left for part in self._micro_batches(draws)))
        told = self.updates
        waiting: deque[Later] = (
            deque()
        )  #: losses that were not told yet: a GPU is given the next update before it is asked
        for number, draws in left:
            waiting.append(self._update(draws, loaded))
            self.update_in_epoch, self.updates = number + 1, self.updates + 1
            keep = self.updates % self.settings.checkpoint_every == 0
            while len(waiting) > (0 if keep else self._behind):
                told = self._tell(journal, told + 1, waiting.popleft())
            if keep:
                self._keep(journal)
        while waiting:
            told = self._tell(journal, told + 1, waiting.popleft())

    @property
    def _behind(self) -> int:
        """Updates whose loss is not waited for."""
        return 1 if self.team.device.type == "cuda" else 0

    def _tell(self, journal: Journal, update: int, found: Later) -> int:
        """Report the loss of an update, whose number is given back. Raises TrainingError where it is no number."""
        loss = float(found.value())
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is not finite at update {update}; lower the learning rate or use precision 32-true"
            )
        journal.write(update, self.epoch, {"loss": loss})
        self.progress(update, self.total, f"epoch {self.epoch + 1} on {self.team.device.type}, loss {loss:.4f}")
        return update

    def _micro_batches(self, draws: Sequence[Draw]) -> list[Sequence[Draw]]:
        """This process's share of a batch, as much at once as the device holds."""
        # Fewer segments than devices: run one all the same, so that gradients can be shared.
        own = draws[self.team.rank :: self.team.processes] or draws[:1]
        size = self.settings.micro_batch
        return [own[start : start + size] for start in range(0, len(own), size)]

    def _update(self, draws: Sequence[Draw], loaded: Iterator[tuple[Segments, NDArray[np.float32]]]) -> Later:
        """One optimiser step; the loss is summed over known labels and divided by their number in the whole batch."""
        world, rank = self.team.processes, self.team.rank
        known = max(1, int(np.isfinite(self._labels(draws)).sum()))
        counts_for_nothing = not draws[rank::world]
        torch.manual_seed((self.settings.seed * 1_000_003 + self.updates) * 1009 + rank)
        self.optimiser.zero_grad()
        total = torch.zeros((), device=self.team.device)
        parts = len(self._micro_batches(draws))
        for number in range(parts):
            with self.fabric.no_backward_sync(self.module, enabled=number < parts - 1):
                loss = self._loss(*next(loaded)) * (0.0 if counts_for_nothing else world / known)
                self.fabric.backward(loss)
            total += loss.detach()
        self.optimiser.step()
        return Later(self.team.summed(total) / world)

    def _labels(self, draws: Sequence[Draw]) -> NDArray[np.float32]:
        return np.array([self.split.train[draw.example].labels for draw in draws], np.float32)

    def _loss(self, segments: Segments, known_labels: NDArray[np.float32]) -> Tensor:
        source, labels = (self._there(part) for part in (segments, known_labels))
        known = torch.isfinite(labels)
        logits = self.module(source).float()
        losses = binary_cross_entropy_with_logits(
            logits, torch.where(known, labels, 0.0), pos_weight=self.pos_weight, reduction="none"
        )
        return torch.where(known, losses, 0.0).sum()

    def _there(self, values: NDArray[np.float32]) -> Tensor:
        """On this process's device; a GPU takes it while it computes."""
        found = torch.from_numpy(values)
        if self.team.device.type != "cuda":
            return found
        return found.pin_memory().to(self.team.device, non_blocking=True)

    def _validate(self, journal: Journal) -> None:
        scores = self._validation_scores()
        found, auroc = macro_ranking(label_matrix(self.split.validation), scores)
        if found > self.best_auprc:
            self.best_auprc, self.best_epoch = found, self.epoch
            self.best_state = {
                name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()
            }
        journal.write(self.updates, self.epoch, {"validation_auprc": found, "validation_auroc": auroc})
        self.progress(self.updates, self.total, f"epoch {self.epoch + 1}, validation AUPRC {found:.4f}")

    def _validation_scores(self) -> NDArray[np.float64]:
        """Mean segment probability per validation ECG and label, gathered from all devices."""
        self.module.eval()
        draws = all_draws(self.split.validation)[self.team.rank :: self.team.processes]
        sums = np.zeros((len(self.split.validation), len(self.spec.labels)))
        with torch.inference_mode():
            for start in range(0, len(draws), self.settings.micro_batch):
                part = draws[start : start + self.settings.micro_batch]
                source, _ = self.validation_loader.load(part)
                logits = self.module(torch.from_numpy(source).to(self.team.device))
                probabilities = logits.float().sigmoid().cpu().numpy().astype(np.float64)
                np.add.at(sums, [draw.example for draw in part], probabilities)
        sums = self.team.summed(torch.from_numpy(sums)).cpu().numpy()
        return np.asarray(sums / np.array([[example.segments] for example in self.split.validation]))

    def _out_of_patience(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.epoch - self.best_epoch > patience and self.best_epoch >= 0

    def _keep(self, journal: Journal) -> None:
        """The figures so far are on disk before the checkpoint is."""
        journal.sync()
        kept = Checkpoint(
            identity=self.identity,
            epoch=self.epoch,
            update_in_epoch=self.update_in_epoch,
            updates=self.updates,
            best_auprc=self.best_auprc,
            best_epoch=self.best_epoch,
            best_state=self.best_state,
            network=self.network.state_dict(),
            optimiser=self.optimiser.state_dict(),
            precision=self.fabric.strategy.precision.state_dict(),
        )
        if self.team.first:
            kept.write(self.folder)
        self.fabric.barrier()

    def _resume(self) -> None:
        found = checkpoint_to_go_on_from(self.folder, self.identity)
        if found is None:
            return
        self.network.load_state_dict(found.network)
        self.optimiser.load_state_dict(found.optimiser)
        if found.precision:
            self.fabric.strategy.precision.load_state_dict(found.precision)
        self.epoch, self.update_in_epoch, self.updates = found.epoch, found.update_in_epoch, found.updates
        self.best_auprc, self.best_epoch, self.best_state = found.best_auprc, found.best_epoch, found.best_state

    def _record(self) -> Notes:
        return {
            **asdict(self.settings),
            "device": self.team.device.type,
            "pos_weight": [round(float(value), 6) for value in self.pos_weight.cpu()],
            "updates": self.updates,
            "best_epoch": self.best_epoch + 1,
            "validation_auprc": self.best_auprc,
            "torch": torch.__version__,
        }


def launch(settings: FineTuning) -> Team:
    """Devices, precision and, under torchrun, the other processes. Raises RuntimeUnavailable, TrainingError."""
    return Team.launch(
        "fine-tuning (but not method linear)",
        device=training_device(settings.device),
        devices=settings.devices,
        nodes=settings.nodes,
        precision=settings.precision,
    )
