"""From shards to micro-batches of segment pairs, each a pure function of its number, so that a run can go on anywhere.

Micro-batch 17 of a run is the same whichever process makes it, on however many GPUs, after however many restarts.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.random import RandomState, SeedSequence
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from ecgfm.errors import DataError
from ecgfm.pretraining.augment import Augmentations
from ecgfm.pretraining.masking import draw_span_mask
from ecgfm.pretraining.objective import Batch
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.shards import UNKNOWN_PATIENT, ShardSet
from ecgfm.signal import SEGMENT_SAMPLES

_SHUFFLE, _DRAW, _VALIDATE = range(3)  #: separate random streams of one seed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of rows of a shard set; equal `identities` are positives of each other in CMSC."""

    rows: NDArray[np.int64]  #: (pairs, 2)
    identities: NDArray[np.int64]  #: (pairs,)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: NDArray[np.int64]) -> "Pairs":
        """These pairs, in this order."""
        return Pairs(rows=self.rows[chosen], identities=self.identities[chosen])


def split_rows(index: NDArray[np.void], validation: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers for training and for validation; a patient is whole in one of them, and stays there as data grow."""
    person = _persons(index)
    mixed = person.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # multiplicative hash, wraps on purpose
    mixed ^= mixed >> np.uint64(32)
    held_out = (mixed * np.uint64(0xD6E8FEB86659FD93)) / 2**64 < validation
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def pair_up(
    index: NDArray[np.void], rows: NDArray[np.int64], pairing: Literal["record", "patient"], stream: RandomState
) -> Pairs:
    """`record`: segments 0 and 1 of each recording that has both. `patient`: any two segments of one patient, drawn
    anew by `stream`, each segment at most once; a recording without a known patient is a patient of its own.
    """
    entries = index[rows]
    if pairing == "record":
        by_segment = [rows[entries["segment"] == segment] for segment in (0, 1)]
        records, first, second = np.intersect1d(*(index["record"][found] for found in by_segment), return_indices=True)
        return Pairs(rows=np.stack([by_segment[0][first], by_segment[1][second]], axis=1), identities=records)
    shuffled = stream.permutation(rows)
    person = _persons(index)[shuffled]
    order = np.argsort(person, kind="stable")
    shuffled, person = shuffled[order], person[order]
    starts = np.flatnonzero(np.r_[True, person[1:] != person[:-1]])
    place = np.arange(len(person)) - np.repeat(starts, np.diff(np.r_[starts, len(person)]))
    first = np.flatnonzero((place[:-1] % 2 == 0) & (person[:-1] == person[1:]))
    return Pairs(rows=np.stack([shuffled[first], shuffled[first + 1]], axis=1), identities=person[first])


def _persons(index: NDArray[np.void]) -> NDArray[np.int64]:
    """Patient numbers; unknown patients get negative numbers of their own, one a recording."""
    return np.where(index["patient"] == UNKNOWN_PATIENT, -2 - index["record"], index["patient"]).astype(np.int64)


class TrainingBatches(Dataset[Batch]):
    """All micro-batches of a run, numbered from 0.
    Pairs are shuffled each epoch; what does not fill an update is left out.

    Raises:
        DataError: fewer pairs than one update needs.
    """

    def __init__(self, shards: ShardSet, recipe: Recipe) -> None:
        self.shards, self.recipe = shards, recipe
        self._kept: tuple[int, Pairs] | None = None
        training = recipe.training
        self.rows, _ = split_rows(shards.index, recipe.data.validation)
        pairs = len(self._pairs_of(0))
        per_update = training.pairs_per_micro_batch * training.micro_batches_per_update
        self.updates_per_epoch = pairs // per_update
        if self.updates_per_epoch == 0:
            raise DataError(
                f"{shards.folder} gives {pairs} pairs by {recipe.data.pairing} for training, one update of the recipe "
                f"needs {per_update}; prepare more recordings or lower pairs_per_micro_batch or "
                "micro_batches_per_update"
            )
        self.per_epoch = self.updates_per_epoch * training.micro_batches_per_update

    def __len__(self) -> int:
        return self.per_epoch * self.recipe.training.epochs

    def __getitem__(self, number: int) -> Batch:
        epoch, place = divmod(number, self.per_epoch)
        size = self.recipe.training.pairs_per_micro_batch
        pairs = self._pairs_of(epoch)
        chosen = pairs.take(np.arange(place * size, (place + 1) * size))
        seed = SeedSequence((self.recipe.training.seed, _DRAW, number))
        return make_batch(self.shards, chosen, self.recipe, seed, self.recipe.augmentations)

    def _pairs_of(self, epoch: int) -> Pairs:
        """The epoch's pairs in its order; kept, because every micro-batch of the epoch asks for them."""
        if self._kept is None or self._kept[0] != epoch:
            stream = _stream(SeedSequence((self.recipe.training.seed, _SHUFFLE, epoch)))
            pairs = pair_up(self.shards.index, self.rows, self.recipe.data.pairing, stream)
            self._kept = (epoch, pairs.take(stream.permutation(len(pairs))))
        return self._kept[1]


class ValidationBatches(Dataset[Batch]):
    """Held-out pairs, the same at every validation: no augmentation, fixed masks and negatives."""

    def __init__(self, shards: ShardSet, recipe: Recipe) -> None:
        self.shards, self.recipe = shards, recipe
        seed = SeedSequence((recipe.training.seed, _VALIDATE))
        _, rows = split_rows(shards.index, recipe.data.validation)
        self.pairs = pair_up(shards.index, rows, recipe.data.pairing, _stream(seed))

    def __len__(self) -> int:
        size = self.recipe.training.pairs_per_micro_batch
        return (len(self.pairs) + size - 1) // size

    def __getitem__(self, number: int) -> Batch:
        size = self.recipe.training.pairs_per_micro_batch
        chosen = self.pairs.take(np.arange(number * size, min((number + 1) * size, len(self.pairs))))
        seed = SeedSequence((self.recipe.training.seed, _VALIDATE, number))
        return make_batch(self.shards, chosen, self.recipe, seed, Augmentations(steps=()))


def make_batch(
    shards: ShardSet, pairs: Pairs, recipe: Recipe, seed: SeedSequence, augmentations: Augmentations
) -> Batch:
    """Read, augment and mask these pairs; every draw comes from `seed`."""
    stream = _stream(seed)
    rows = pairs.rows.T.ravel()  # all first segments, then all second ones
    source = np.stack([augmentations(shards.read(int(row)), stream) for row in rows])
    frames = recipe.encoder.frames(SEGMENT_SAMPLES)
    mask = draw_span_mask(recipe.objective.masking, len(rows), frames, stream)
    generator = torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
    identities = torch.from_numpy(np.tile(pairs.identities, 2))
    return Batch.build(torch.from_numpy(source), identities, mask, recipe.objective.negatives, generator)


def one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; a thread makes the next one while the network learns from this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="next-batch") as thread:
        following = thread.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = thread.submit(next, batches, None)
            yield batch


def torch_seed(seed: int, number: int) -> int:
    """Seed of dropout and Gumbel noise in micro-batch `number`."""
    return int(SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> 1)


def _stream(seed: SeedSequence) -> RandomState:
    return RandomState(np.random.MT19937(seed))


class ShareOf(Sampler[int]):
    """The micro-batches of one process: of each update every `processes`-th, beginning with its own rank."""

    def __init__(self, *, first_update: int, last_update: int, per_update: int, rank: int, processes: int) -> None:
        self.updates = range(first_update, last_update)
        self.own = range(rank, per_update, processes)
        self.per_update = per_update

    def __iter__(self) -> Iterator[int]:
        return (update * self.per_update + place for update in self.updates for place in self.own)

    def __len__(self) -> int:
        return len(self.updates) * len(self.own)
