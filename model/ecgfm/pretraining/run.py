"""The pretraining run: micro-batches, gradient accumulation, Adam, checkpoints and metrics, on one process or many.

Lightning Fabric (the optional extra `train`) brings the processes of torchrun together, moves data and casts to bf16.
All randomness is a function of seed and micro-batch number, so a run gives the same losses on any number of processes
that divides `micro_batches_per_update`, and goes on after a restart as if it had not stopped.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast  # Any: torch's states

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ecgfm.devices import keep_device, training_device
from ecgfm.errors import TrainingError
from ecgfm.float32 import exact_float32
from ecgfm.pretraining.batches import ShareOf, TrainingBatches, ValidationBatches, one_ahead, torch_seed
from ecgfm.pretraining.checkpoint import (
    BEST,
    CHECKPOINTS,
    Checkpoint,
    checkpoint_path,
    checkpoint_to_go_on_from,
    forget_older,
)
from ecgfm.pretraining.figures import COLUMNS, FRAMES, METRICS, Progress, metrics_of, no_sums, summed
from ecgfm.pretraining.machine import Machine, launch
from ecgfm.pretraining.objective import Batch, Losses, Pretraining
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.shards import ShardSet
from ecgfm.training.cpu_layers import described, speed_up_cpu
from ecgfm.training.gpu_layers import speed_up_gpu
from ecgfm.training.journal import Journal
from ecgfm.training.optimiser import ReferenceAdam
from ecgfm.training.team import Team

if TYPE_CHECKING:
    from lightning.fabric.wrappers import _FabricOptimizer


def pretrain(
    recipe: Recipe,
    shards: ShardSet,
    folder: Path,
    *,
    machine: Machine | None = None,
    max_updates: int | None = None,
    report: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    start: Mapping[str, Tensor] | None = None,
) -> Path:
    """Train in `folder`, going on from its newest checkpoint if there is one, and return the last checkpoint's path.

    `max_updates` ends the run early; `stop` is asked after every update and ends it with a checkpoint (SIGTERM).
    A new run begins with the encoder weights `start`, or with random ones.

    Raises:
        DataError: the shards do not fill one update.
        RuntimeUnavailable: lightning is missing, or the device is, on which the run began.
        TrainingError: a loss is not finite, the disk is full, or the folder belongs to another recipe or other data.
    """
    machine = machine or Machine()
    machine = replace(machine, accelerator=training_device(machine.accelerator, folder))
    run = _Run(launch(recipe, machine), recipe, shards, folder, machine, report, start)
    return run.train(min(max_updates or run.updates, run.updates), stop)


class _Run:
    """One training run in one process."""

    def __init__(
        self,
        team: Team,
        recipe: Recipe,
        shards: ShardSet,
        folder: Path,
        machine: Machine,
        report: Callable[[Progress], None] | None,
        start: Mapping[str, Tensor] | None,
    ) -> None:
        self.team, self.recipe, self.folder, self.machine, self.report = team, recipe, folder, machine, report
        self.fabric = team.fabric
        self.data = shards.digest
        self.batches, self.validation = TrainingBatches(shards, recipe), ValidationBatches(shards, recipe)
        self.updates = self.batches.updates_per_epoch * recipe.training.epochs
        torch.manual_seed(recipe.training.seed)
        self.model = Pretraining(recipe.encoder, recipe.objective)
        if start is not None:
            self.model.encoder.load_state_dict(start)
        self.update, self.best = 0, math.inf
        #: Of the updates since the last report, where they were computed.
        self.sums = no_sums(team.device)
        self.since = 0  #: the number of those updates
        resumed = self._resume()
        if team.first:
            keep_device(folder, team.device.type)
        if not recipe.training.compile:
            (speed_up_cpu if team.device.type == "cpu" else speed_up_gpu)(self.model)
        network = torch.compile(self.model, dynamic=True) if recipe.training.compile else self.model
        self.wrapped = self.fabric.setup_module(cast("torch.nn.Module", network))
        self.optimiser = new_optimiser(self.model, recipe)  # after setup: it steps the weights where they lie now
        self.stepper = cast("_FabricOptimizer", self.fabric.setup_optimizers(self.optimiser))
        if resumed is not None:
            self._load_optimiser(resumed.optimiser)
        self.journal = Journal(
            folder / METRICS, COLUMNS, updates=self.update, curves=machine.tensorboard, write=team.first
        )

    def train(self, last: int, stop: Callable[[], bool]) -> Path:
        """Updates `self.update` … `last` - 1."""
        with self.journal, exact_float32():
            self._train(last, stop)
        return checkpoint_path(self.folder, self.update)

    def _train(self, last: int, stop: Callable[[], bool]) -> None:
        training = self.recipe.training
        loader = self._loader(last)
        began, saved = time.perf_counter(), -1
        while self.update < last:
            self.sums += self._one_update(loader).to(self.sums.device)
            self.update, self.since = self.update + 1, self.since + 1
            if self.update % (training.log_every or self.updates) == 0 or self.update == self.updates:
                micro_batches = self.since * training.micro_batches_per_update
                self._tell("training", self.sums, micro_batches, time.perf_counter() - began)
                self.sums, self.since, began = torch.zeros_like(self.sums), 0, time.perf_counter()
            if training.validate_every and self.update % training.validate_every == 0:
                self._validate()
            stopping = self.team.any(stop())
            if stopping or self.update == last or self.update % (training.checkpoint_every or last) == 0:
                saved = self._save()
            if stopping:
                break
        if saved != self.update:
            self._save()

    def _loader(self, last: int) -> Iterator[Batch]:
        share = ShareOf(
            first_update=self.update,
            last_update=last,
            per_update=self.recipe.training.micro_batches_per_update,
            rank=self.team.rank,
            processes=self.team.processes,
        )
        batches = iter(self._data_loader(self.batches, share))
        return batches if self.machine.workers else one_ahead(batches)

    def _data_loader(self, batches: TrainingBatches | ValidationBatches, numbers: Iterable[int]) -> DataLoader[Batch]:
        return DataLoader(
            batches,
            sampler=numbers,
            batch_size=None,  # each item is a whole micro-batch
            num_workers=self.machine.workers,
            pin_memory=self.fabric.device.type == "cuda",
        )

    def _one_update(self, loader: Iterator[Batch]) -> Tensor:
        """Gradients of all micro-batches of the update, one step; the summed losses of all processes."""
        training = self.recipe.training
        own = training.micro_batches_per_update // self.team.processes
        temperature = self.recipe.objective.gumbel_temperature(self.update)
        self.wrapped.train()
        sums = no_sums(self.fabric.device)
        for turn in range(own):
            batch = self.fabric.to_device(next(loader))
            number = (self.update * own + turn) * self.team.processes + self.team.rank
            torch.manual_seed(torch_seed(training.seed, number))
            with self.fabric.no_backward_sync(self.wrapped, enabled=turn < own - 1):
                losses: Losses = self.wrapped(batch, temperature)
                self.fabric.backward(losses.total)
            sums += summed(losses)
        totals = self.team.summed(sums)
        if totals.device.type == "cpu":
            self._refuse_infinite(totals)  # a GPU is not waited for in a step: there the sums are looked at later
        # The gradient of the summed loss, averaged over processes by DDP, becomes the gradient per masked frame.
        scale = self.team.processes / totals[FRAMES]
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        # Sharded gradients take plain numbers only.
        torch._foreach_mul_(gradients, float(scale) if self.team.sharded else scale.float())
        if self.recipe.optimiser.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.optimiser.clip_norm)
        rate = self.recipe.learning_rate(self.update, self.epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)
        return totals

    def _refuse_infinite(self, sums: Tensor) -> None:
        """Before anything is reported or kept of updates whose loss was no number."""
        if not bool(sums.isfinite().all()):
            raise TrainingError(
                f"update {self.update + 1}, or one shortly before: a loss is not finite; look at the data or lower the "
                f"learning rate. The last checkpoint in {self.folder / CHECKPOINTS} is sound"
            )

    @property
    def epoch(self) -> int:
        """Counted from 1."""
        return self.update // self.batches.updates_per_epoch + 1

    def _validate(self) -> None:
        if not len(self.validation):
            raise TrainingError("the recipe validates, but data.validation holds no patient back: set it, e.g. to 0.05")
        batches, processes = len(self.validation), self.team.processes
        # Every process makes as many passes, since sharded weights are gathered in each; what is beyond the last batch
        # is not counted.
        own = range(self.team.rank, -(-batches // processes) * processes, processes)
        loader = self._data_loader(self.validation, [min(number, batches - 1) for number in own])
        sums = no_sums(self.fabric.device)
        began = time.perf_counter()
        self.wrapped.eval()
        with torch.no_grad():
            for number, batch in zip(own, loader, strict=True):
                losses = self.wrapped(
                    self.fabric.to_device(batch), self.recipe.objective.gumbel_temperature(self.update)
                )
                sums += summed(losses) * (number < batches)
        totals = self.team.summed(sums).cpu()
        metrics = self._tell("validation", totals, len(self.validation), time.perf_counter() - began)
        if metrics["loss"] < self.best:
            self.best = metrics["loss"]
            self._write(self.folder / CHECKPOINTS / BEST)

    def _tell(self, split: str, sums: Tensor, micro_batches: int, seconds: float) -> dict[str, float]:
        """Means of summed losses, logged and reported by the first process."""
        self._refuse_infinite(sums)
        epoch = (self.update - 1) // self.batches.updates_per_epoch + 1
        metrics = metrics_of(
            self.recipe, sums, update=self.update, epoch=epoch, micro_batches=micro_batches, seconds=seconds
        )
        self.journal.write(self.update, epoch, metrics, split=split)
        if self.report is not None and self.team.first:
            device = described(self.team.device.type, self.recipe.training.precision)
            self.report(
                Progress(
                    update=self.update, updates=self.updates, epoch=epoch, split=split, metrics=metrics, device=device
                )
            )
        return metrics

    def _save(self) -> int:
        path = checkpoint_path(self.folder, self.update)
        self._write(path)
        if self.team.first:
            forget_older(self.folder, keep=self.recipe.training.keep_checkpoints)
        self.fabric.barrier()
        return self.update

    def _write(self, path: Path) -> None:
        """The figures so far are on disk before the checkpoint is."""
        self._refuse_infinite(self.sums)
        self.journal.sync()
        weights, moments = self._state()
        if not self.team.first:
            return
        Checkpoint(
            recipe=self.recipe,
            data=self.data,
            update=self.update,
            best=self.best,
            sums=self.sums.cpu(),
            since=self.since,
            model=weights,
            optimiser=moments,
        ).write(path)

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of model and optimiser, whole, as the first process writes it;
        all processes take part where the weights are sharded.
        """
        if self.team.sharded:
            from ecgfm.training.sharding import whole_state  # loads for a second, which only sharded runs need

            return whole_state(self.model, self.optimiser)
        return self.model.state_dict(), self.optimiser.state_dict()

    def _load_optimiser(self, state: dict[str, Any]) -> None:
        if self.team.sharded:
            from ecgfm.training.sharding import load_whole_optimiser  # as above

            load_whole_optimiser(self.model, self.optimiser, state)
        else:
            self.optimiser.load_state_dict(state)

    def _resume(self) -> Checkpoint | None:
        """Load the newest checkpoint of the folder, if it belongs to this recipe and these data."""
        found = checkpoint_to_go_on_from(self.folder, self.recipe, self.data)
        if found is None:
            return None
        self.model.load_state_dict(found.model)
        self.update, self.best, self.since = found.update, found.best, found.since
        self.sums = found.sums.to(self.sums.device)
        return found


def new_optimiser(model: Pretraining, recipe: Recipe) -> ReferenceAdam:
    """The recipe's Adam over all parameters; the reference decays all of them alike, biases and norms included."""
    settings = recipe.optimiser
    return ReferenceAdam(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )
