"""What of a map lies in each beat and lead: by a planted map, on a generated ECG of known beats, and on paper."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfm_clinical.ecg.beat_weights import beat_weights, lead_shares
from ecgfm_clinical.ecg.beats import r_peaks
from ecgfm_clinical.ecg.layouts import View
from ecgfm_clinical.ecg.overlays import LeadWeights
from ecgfm_clinical.ecg.sheet import START, compose, footer
from ecgfm_clinical.ecg.svg import drawing
from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.ecg import LEADS

RATE, STEPS = recordings.SAMPLING_RATE, 25
V2 = LEADS.index("V2")


@pytest.fixture(scope="module")
def signal() -> NDArray[np.float64]:
    return np.asarray(recordings.load(0), dtype=np.float64)


@pytest.fixture(scope="module")
def peaks(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    found = r_peaks(signal, RATE) / RATE
    assert len(found) > 6
    return found


def planted(*places: tuple[int, float]) -> LeadWeights:
    """One step of weight at (lead, seconds) each."""
    weights = np.zeros((len(LEADS), 10 * STEPS))
    for lead, at in places:
        weights[lead, int(at * STEPS)] += 1
    return LeadWeights(weights=weights, per_second=STEPS)


@pytest.mark.parametrize("after", [-0.2, 0.0, 0.3])
def test_a_beat_holds_its_p_wave_its_qrs_and_its_t(
    signal: NDArray[np.float64], peaks: NDArray[np.float64], after: float
) -> None:
    looked = planted((V2, peaks[3] + after), (V2, peaks[5]), (0, peaks[5]), (0, peaks[5]))
    beats = beat_weights(signal, RATE, looked)
    assert [round(one.at, 3) for one in beats] == [round(at, 3) for at in peaks.tolist()]
    assert [round(one.share, 3) for one in beats] == [
        {3: 0.25, 5: 0.75}.get(number, 0.0) for number in range(len(peaks))
    ]
    assert beats[5].leads[V2] == pytest.approx(0.25)
    assert beats[5].leads[0] == pytest.approx(0.5)
    assert lead_shares(looked)[V2] == pytest.approx(0.5)


def test_what_lies_in_no_beat_is_given_to_none(signal: NDArray[np.float64], peaks: NDArray[np.float64]) -> None:
    """The sampling rate of the signal and the steps of the map are two things."""
    slow = signal[:, ::2]
    looked = planted((V2, peaks[2]), (V2, 9.99))
    late = beat_weights(slow[:, : int(8 * RATE / 2)], RATE / 2, looked)
    assert sum(one.share for one in late) == pytest.approx(0.5)
    assert late[2].share == pytest.approx(0.5)


def test_without_beats_or_weights_there_is_nothing_to_say(signal: NDArray[np.float64]) -> None:
    assert beat_weights(np.zeros((12, 5000)), RATE, planted((V2, 1.0))) == ()
    assert beat_weights(signal, RATE, planted()) == ()
    assert set(lead_shares(planted())) == {0.0}


def test_each_beat_on_the_paper_bears_its_percent(signal: NDArray[np.float64], peaks: NDArray[np.float64]) -> None:
    looked = planted((V2, peaks[4]), (0, peaks[4]), (0, peaks[6]), (0, peaks[6]))
    beats = beat_weights(signal, RATE, looked)
    sheet = compose(signal, RATE, looked=looked, beats=beats)
    assert [x for x, _ in sheet.beats] == pytest.approx([START + 25 * at for at in peaks.tolist()])
    assert [words for _, words in sheet.beats] == ["50" if n in (4, 6) else "0" for n in range(len(peaks))]
    shown = re.findall(r'<text class="beat" [^>]*>(\d+)</text>', drawing(sheet, title=""))
    assert shown == [words for _, words in sheet.beats]
    assert "percent of the yellow in each beat" in footer(sheet, 10.0)
    later = compose(signal, RATE, View(speed=50, start=5), looked=looked, beats=beats)
    assert [x for x, _ in later.beats] == pytest.approx([START + 50 * (at - 5) for at in peaks.tolist() if at >= 5])
    plain = compose(signal, RATE, looked=looked)
    assert "percent" not in footer(plain, 10.0)
