"""The shipped recordings are clean 10 s sinus ECGs, and the beat finder finds their beats."""

import numpy as np
import pytest

from ecgfm_clinical.ecg.beats import heart_rate, r_peaks
from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.ecg import LEADS

pytestmark = pytest.mark.slow

EVERY = range(28)


def test_there_are_twenty_eight_and_the_file_is_small() -> None:
    assert recordings.count() == len(EVERY)
    assert recordings.FILE.stat().st_size < 2_500_000
    with pytest.raises(IndexError):
        recordings.load(len(EVERY))


@pytest.mark.parametrize("index", EVERY)
def test_each_is_a_plausible_12_lead_ecg_in_millivolts(index: int) -> None:
    signal = recordings.load(index)
    assert signal.shape == (len(LEADS), 5000)
    assert 0.5 < np.ptp(signal) < 6.0
    assert np.all(signal.std(axis=1) > 0.02)
    one, two, three, avr, avl, avf = signal[:6]
    np.testing.assert_allclose(three, two - one, atol=1e-9)
    np.testing.assert_allclose(avr + avl + avf, 0, atol=1e-9)
    np.testing.assert_allclose(avl, (one - three) / 2, atol=1e-9)


def test_no_two_are_alike() -> None:
    signals = [recordings.load(index) for index in EVERY]
    for index, signal in enumerate(signals):
        for other in signals[index + 1 :]:
            assert abs(np.corrcoef(signal[7], other[7])[0, 1]) < 0.9


@pytest.mark.parametrize("index", EVERY)
def test_beats_lie_on_the_complexes_and_are_regular(index: int) -> None:
    signal = recordings.load(index)
    peaks = r_peaks(signal, 500.0)
    assert 50 <= heart_rate(signal, 500.0) <= 105
    spacing = np.diff(peaks)
    assert np.all(np.abs(spacing / np.median(spacing) - 1) < 0.2)
    steepness = np.abs(np.diff(signal, axis=1)).sum(axis=0)
    near = np.concatenate([steepness[max(0, peak - 20) : peak + 20] for peak in peaks])
    assert near.mean() > 4 * np.median(steepness)


def test_beats_are_found_at_another_sampling_rate_and_in_volts_too_small_to_see() -> None:
    signal = recordings.load(0)
    expected = len(r_peaks(signal, 500.0))
    assert len(r_peaks(signal[:, ::2], 250.0)) == expected
    assert len(r_peaks(signal / 1000, 500.0)) == expected


def test_a_flat_line_has_no_beats_and_no_rate() -> None:
    assert r_peaks(np.zeros((12, 5000)), 500.0).size == 0
    assert np.isnan(heart_rate(np.zeros((12, 5000)), 500.0))
