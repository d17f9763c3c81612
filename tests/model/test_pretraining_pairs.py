"""Pairs of segments, their order in an epoch, and the patients held back for validation."""

import numpy as np
import torch

from ecgfm.pretraining.batches import ShareOf, TrainingBatches, ValidationBatches, pair_up, split_rows
from ecgfm.pretraining.recipe import Recipe
from ecgfm.pretraining.shards import ShardSet
from tests.helpers.tiny_pretraining import changed


def test_pairs_by_patient_mix_recordings_and_pairs_by_record_do_not(shards: ShardSet) -> None:
    rows = np.arange(len(shards.index))
    by_record = pair_up(shards.index, rows, "record", np.random.RandomState(0))
    assert len(by_record) == 48
    assert (np.diff(shards.index["record"][by_record.rows], axis=1) == 0).all()
    np.testing.assert_array_equal(shards.index["segment"][by_record.rows], [[0, 1]] * 48)
    by_patient = pair_up(shards.index, rows, "patient", np.random.RandomState(0))
    assert len(by_patient) == 48
    assert (np.diff(shards.index["patient"][by_patient.rows], axis=1) == 0).all()
    assert (np.diff(shards.index["record"][by_patient.rows], axis=1) != 0).any()
    assert len(np.unique(by_patient.rows)) == 96
    again = pair_up(shards.index, rows, "patient", np.random.RandomState(1))
    assert not np.array_equal(again.rows, by_patient.rows)


def test_no_patient_is_in_training_and_validation(recipe: Recipe, shards: ShardSet) -> None:
    training, validation = split_rows(shards.index, 0.2)
    patients = [set(shards.index["patient"][rows].tolist()) for rows in (training, validation)]
    assert patients[1]
    assert not patients[0] & patients[1]
    assert len(patients[0] | patients[1]) == 16
    batch = ValidationBatches(shards, recipe)[0]
    np.testing.assert_array_equal(batch.source[0], shards.read(int(ValidationBatches(shards, recipe).pairs.rows[0, 0])))


def test_each_epoch_sees_each_pair_once_in_another_order(recipe: Recipe, shards: ShardSet) -> None:
    batches = TrainingBatches(shards, changed(recipe, pairs_per_micro_batch=1, micro_batches_per_update=1))
    epochs = [
        [
            int(batches[number].identities[0])
            for number in range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        ]
        for epoch in (0, 1)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(set(epochs[0]))
    assert epochs[0] != epochs[1]


def test_half_the_processes_go_on_with_a_run_of_twice_as_many(recipe: Recipe, shards: ShardSet) -> None:
    """What a process trains on depends on the update's number only, so a checkpoint carries no world size at all."""
    batches = TrainingBatches(shards, recipe)

    def numbers(processes: int, first: int, last: int) -> set[int]:
        shares = (
            ShareOf(first_update=first, last_update=last, per_update=4, rank=rank, processes=processes)
            for rank in range(processes)
        )
        return {number for share in shares for number in share}

    assert numbers(4, 0, 6) == numbers(2, 0, 3) | numbers(1, 3, 6) == set(range(24))
    assert torch.equal(batches[3].source, TrainingBatches(shards, recipe)[3].source)
