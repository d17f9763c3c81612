"""Each alteration does what its description says, repeatably, and leaves Einthoven's law standing."""

import numpy as np
import pytest
from numpy.random import default_rng
from numpy.typing import NDArray

from ecgfm_clinical.demo import alterations
from ecgfm_clinical.ecg.beats import heart_rate, r_peaks
from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.ecg import LEADS

RATE = 500.0
Signal = NDArray[np.float64]


def altered(name: str, recording: int = 3, seed: int = 1) -> tuple[Signal, Signal]:
    before = recordings.load(recording)
    return before, alterations.RULES[name](before, RATE, default_rng(seed))


def mean_beat(signal: Signal, before: float = 0.1, after: float = 0.5) -> Signal:
    begin, end = round(before * RATE), round(after * RATE)
    peaks = [p for p in r_peaks(recordings.load(3), RATE) if p >= begin and p + end < signal.shape[1]]
    beats = np.stack([signal[:, p - begin : p + end] for p in peaks])
    return np.asarray(np.median(beats, axis=0), dtype=np.float64)


def lead(signal: Signal, name: str) -> Signal:
    return np.asarray(signal[LEADS.index(name)])


@pytest.mark.parametrize("name", alterations.RULES)
def test_the_same_seed_gives_the_same_ecg_and_the_original_is_left_alone(name: str) -> None:
    before = recordings.load(5)
    kept = before.copy()
    rule = alterations.RULES[name]
    first, second = (rule(before, RATE, default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(before, kept)
    assert first.shape != before.shape or not np.array_equal(first, before, equal_nan=True)


@pytest.mark.parametrize("name", ["paced", "wide QRS", "ST elevation", "atrial fibrillation", "noise"])
def test_einthoven_still_holds(name: str) -> None:
    _, signal = altered(name)
    np.testing.assert_allclose(lead(signal, "III"), lead(signal, "II") - lead(signal, "I"), atol=1e-9)
    np.testing.assert_allclose(lead(signal, "aVF"), lead(signal, "II") - lead(signal, "I") / 2, atol=1e-9)
    assert np.abs(signal).max() < 6


@pytest.mark.parametrize("name", ["wide QRS", "paced"])
def test_wide_complexes_last_longer_than_120_ms(name: str) -> None:
    before, signal = altered(name)

    def width(beats: Signal) -> float:
        """Time during which V2 is beyond a third of its QRS, s."""
        complex_ = np.abs(lead(beats, "V2")[25:150])
        return float(np.count_nonzero(complex_ > complex_.max() / 3)) / RATE

    assert width(mean_beat(before)) < 0.08 < width(mean_beat(signal))


def test_left_bundle_branch_block_points_down_in_v1_and_up_in_v6_with_opposite_t() -> None:
    _, signal = altered("wide QRS")
    beat = mean_beat(signal)
    qrs, t = slice(40, 100), slice(170, 230)
    assert lead(beat, "V1")[qrs].min() < -0.5
    assert lead(beat, "V1")[t].max() > 0.1
    assert lead(beat, "V6")[qrs].max() > 0.5
    assert lead(beat, "V6")[t].min() < -0.1


def test_pacing_shows_a_spike_before_each_complex_and_a_superior_axis() -> None:
    before, signal = altered("paced")
    spikes = np.flatnonzero(np.diff(lead(signal, "V4")) > 0.25)
    peaks = [p for p in r_peaks(before, RATE) if p > 50]
    for peak in peaks:
        assert np.any((spikes > peak - 40) & (spikes < peak - 20))
    assert lead(mean_beat(signal), "III")[40:120].min() < -0.5


def test_st_elevation_lifts_one_territory_and_lowers_the_opposite_one() -> None:
    seen = set()
    for seed in range(6):
        before, signal = altered("ST elevation", seed=seed)
        j_point = 50 + round(0.08 * RATE)
        shift = (mean_beat(signal) - mean_beat(before))[:, j_point]
        anterior = shift[LEADS.index("V3")] > 0.2
        seen.add(anterior)
        assert shift[LEADS.index("III" if not anterior else "V2")] >= 0.2
        assert shift[LEADS.index("aVL" if not anterior else "III")] <= -0.08
    assert seen == {True, False}


def irregularity(signal: Signal) -> float:
    """Coefficient of variation of the RR interval."""
    rr = np.diff(r_peaks(signal, RATE))
    return float(rr.std() / rr.mean())


def test_fibrillation_is_irregular_and_fast() -> None:
    signals = [altered("atrial fibrillation", seed=seed)[1] for seed in range(8)]
    assert irregularity(recordings.load(3)) < 0.06
    assert min(irregularity(signal) for signal in signals) > 0.1
    assert np.mean([irregularity(signal) for signal in signals]) > 0.17
    assert min(heart_rate(signal, RATE) for signal in signals) > 65


def test_fibrillation_has_no_p_wave_but_fine_waves_in_v1() -> None:
    _, signal = altered("atrial fibrillation")
    before_qrs = np.stack([lead(signal, "V1")[p - 90 : p - 28] for p in r_peaks(signal, RATE) if p > 90])
    assert 0.02 < before_qrs.std() < 0.2
    assert np.abs(before_qrs.mean(axis=0)).max() < before_qrs.std() * 1.5  # nothing that keeps its place, as P would


def test_swapped_arms_invert_i_and_exchange_the_others() -> None:
    before, signal = altered("arm leads swapped")
    np.testing.assert_array_equal(lead(signal, "I"), -lead(before, "I"))
    for one, other in (("II", "III"), ("III", "II"), ("aVR", "aVL"), ("aVL", "aVR"), ("aVF", "aVF"), ("V1", "V1")):
        np.testing.assert_array_equal(lead(signal, one), lead(before, other))
    np.testing.assert_allclose(lead(signal, "III"), lead(signal, "II") - lead(signal, "I"), atol=1e-9)


def test_one_chest_lead_is_flat_or_missing() -> None:
    _, flat = altered("lead off")
    _, missing = altered("lead missing")
    assert np.count_nonzero(flat.std(axis=1) == 0) == 1
    assert np.count_nonzero(np.isnan(missing).all(axis=1)) == 1
    assert np.isnan(missing).any(axis=1).sum() == 1


def test_noise_buries_the_baseline() -> None:
    before, signal = altered("noise")
    added = signal - before
    assert np.all(added.std(axis=1) > 0.1)
    assert np.all(np.diff(added, axis=1).std(axis=1) > 0.03)


def test_too_short_is_four_seconds() -> None:
    before, signal = altered("too short")
    np.testing.assert_array_equal(signal, before[:, :2000])


def test_rules_cope_with_a_recording_without_beats() -> None:
    for rule in alterations.RULES.values():
        assert rule(np.zeros((12, 5000)), RATE, default_rng(0)).shape[0] == 12
