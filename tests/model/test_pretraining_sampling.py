"""Span masks, negatives and augmentations equal the draws recorded from fairseq-signals, seed for seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgfm.pretraining.augment import (
    AUGMENTATIONS,
    Augmentations,
    BaselineShift,
    RandomLeadMasking,
    read_augmentations,
)
from ecgfm.pretraining.masking import SpanMasking, draw_negatives, draw_span_mask
from ecgfm.signal import derive_limb_leads

pytestmark = pytest.mark.slow

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
RECORDED = np.load(REFERENCE / "sampling_aug_ref.npz")
META = json.loads((REFERENCE / "sampling_aug_meta.json").read_text())

#: our setting -> the reference's
SPELLINGS = {
    "lead_probability": "mask_leads_prob",
    "min_amplitude": "min_amplitude",
    "max_amplitude": "max_amplitude",
    "sampling_rate": "freq",
    "dependent_leads": "dependency",
    "shift_ratio": "shift_ratio",
    "stretches": "num_segment",
    "min_frequency": "min_freq",
    "max_frequency": "max_freq",
    "waves": "k",
}
REFERENCE_NAMES = {name: name for name in AUGMENTATIONS} | {"random_lead_masking": "random_leads_masking"}


@pytest.mark.parametrize("case", META["mask_cases"], ids=lambda case: f"case{case['i']}")
def test_span_masks_equal_the_recorded_draws(case: dict[str, Any]) -> None:
    masking = SpanMasking(probability=case["mask_prob"], length=case["mask_length"], minimum_spans=case["min_masks"])
    padding = RECORDED[f"mask{case['i']}.pad"] if case["padlens"] else None
    rows, frames = case["shape"]
    drawn = draw_span_mask(masking, rows, frames, np.random.RandomState(case["np_seed"]), padding)
    np.testing.assert_array_equal(drawn, RECORDED[f"mask{case['i']}.out"])


def test_span_masks_follow_the_recorded_distribution() -> None:
    """A frame near the end is masked more rarely: no span starts in the last ten frames."""
    stream = np.random.RandomState(0)
    rates = np.mean([draw_span_mask(SpanMasking(), 1, 156, stream)[0] for _ in range(4000)], axis=0)
    recorded = RECORDED["dist156.mask_rate_by_frame"]
    assert np.abs(rates - recorded).max() < 0.05
    assert abs(rates.mean() - recorded.mean()) < 0.01


def test_keep_holds_the_intended_share_where_the_batch_minimum_loses_it() -> None:
    cut = draw_span_mask(SpanMasking(), 128, 156, np.random.RandomState(3))
    kept = draw_span_mask(SpanMasking(equalise="keep"), 128, 156, np.random.RandomState(3))
    assert len(set(cut.sum(axis=1))) == 1
    assert len(set(kept.sum(axis=1))) > 1
    assert cut.mean() < 0.40
    assert 0.47 < kept.mean() < 0.52


def test_a_row_too_short_for_its_spans_is_refused() -> None:
    with pytest.raises(ValueError, match="12 frames are too few"):
        draw_span_mask(SpanMasking(minimum_spans=3), 2, 12, np.random.RandomState(0))


def test_negatives_equal_the_recorded_draw() -> None:
    torch.manual_seed(9)
    drawn = draw_negatives(torch.full((3,), 50), 15)
    flat = (drawn + 50 * torch.arange(3)[:, None, None]).reshape(3, -1)
    np.testing.assert_array_equal(flat.numpy(), RECORDED["neg.idx_B3_M50_N15_seed9"])


@pytest.mark.parametrize("counts", [[50, 50], [50, 31, 2]])
def test_negatives_are_other_masked_frames_of_the_same_row(counts: list[int]) -> None:
    drawn = draw_negatives(torch.tensor(counts), 40, torch.Generator().manual_seed(1))
    for row, count in enumerate(counts):
        own = torch.arange(count)[:, None]
        assert (drawn[row, :count] != own).all()
        assert drawn[row, :count].max() == count - 1
        assert drawn[row, :count].min() == 0


def test_a_row_with_one_masked_frame_has_no_negatives() -> None:
    with pytest.raises(ValueError, match="fewer than two masked frames"):
        draw_negatives(torch.tensor([5, 1]), 4)


def _settings(name: str, source: dict[str, Any]) -> dict[str, Any]:
    fields = AUGMENTATIONS[name].__dataclass_fields__  # type: ignore[attr-defined]  # each value is a dataclass
    return {ours: source[theirs] for ours, theirs in SPELLINGS.items() if ours in fields and theirs in source}


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("defaults", ["task", "class_default"])
def test_augmentations_equal_the_recorded_ones(name: str, defaults: str) -> None:
    theirs = REFERENCE_NAMES[name]
    source = META["task_kwargs"] if defaults == "task" else META["class_defaults"][theirs]
    settings = _settings(name, source)
    signal = RECORDED["aug.input"]
    for seed in (0, 1):
        augmented = AUGMENTATIONS[name](**settings)(signal, np.random.RandomState(seed))
        assert augmented.dtype == np.float32
        np.testing.assert_allclose(augmented, RECORDED[f"aug.{theirs}.{defaults}.seed{seed}"], rtol=0, atol=1e-6)
    stream = np.random.RandomState(7)
    half = AUGMENTATIONS[name](**settings | {"p": 0.5})
    thrice = np.stack([half(signal, stream) for _ in range(3)])
    np.testing.assert_allclose(thrice, RECORDED[f"aug.{theirs}.{defaults}.p0.5.three_calls_seed7"], rtol=0, atol=1e-6)


def test_the_intended_baseline_shift_stays_within_its_amplitude() -> None:
    signal = np.zeros((12, 2500), np.float32)
    published = BaselineShift(variant="published")(signal, np.random.RandomState(5))
    intended = BaselineShift(variant="intended")(signal, np.random.RandomState(5))
    assert np.abs(published).max() > 0.7
    assert 0 < np.abs(intended).max() <= 0.25
    np.testing.assert_array_equal(published != 0, intended != 0)


def test_augmentations_run_in_order_and_leave_their_input_alone() -> None:
    signal = RECORDED["aug.input"].copy()
    augmentations = read_augmentations(
        [{"name": "emg_noise", "max_amplitude": 0.1}, {"name": "random_lead_masking", "lead_probability": 0.5}]
    )
    augmented = augmentations(signal, np.random.RandomState(2))
    silent = ~augmented.any(axis=1)
    assert 0 < silent.sum() < 12
    np.testing.assert_array_equal(signal, RECORDED["aug.input"])
    assert Augmentations().steps == (RandomLeadMasking(),)


def test_limb_leads_obey_einthoven() -> None:
    signal = np.random.RandomState(0).normal(size=(12, 10))
    derive_limb_leads(signal)
    np.testing.assert_allclose(signal[3] + signal[4] + signal[5], 0, atol=1e-12)
    np.testing.assert_allclose(signal[0] + signal[2], signal[1])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "hum"}, "unknown augmentation 'hum'"),
        ({"name": "emg_noise", "amplitude": 1}, "unknown setting 'amplitude'"),
        ({"name": "emg_noise", "min_amplitude": 2.0}, "minimum <= maximum"),
        ({"name": "baseline_shift", "variant": "other"}, "published or intended"),
    ],
)
def test_a_recipe_naming_what_does_not_exist_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_augmentations([table])
