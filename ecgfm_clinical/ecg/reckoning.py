"""What is computed from the signal for whoever reads it: rate and axis from its beats, pacing spikes.

It stands beside what the device says and beside the callipers, and replaces neither.
"""

import math
from dataclasses import dataclass

import numpy as np

from ecgfm_clinical.ecg.axis import frontal_axis
from ecgfm_clinical.ecg.beats import heart_rate
from ecgfm_clinical.ecg.median_beat import median_beat
from ecgfm_clinical.ecg.pacing import LOWEST_RATE, pacing_spikes
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.statements.understanding import said_of, understood


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoned:
    """Figures of one recording."""

    rate: float | None  #: beats a minute, from the median RR interval
    axis: float | None  #: degrees; None where there is no median beat, a lead is missing or it points nowhere
    beats: int  #: of which the median beat is made
    spikes: int | None  #: pacing spikes in the signal; None where it is sampled too slowly to tell
    device_on_pacing: str | None  #: stated, possible or denied; None where the device says nothing of it


def reckoned(ecg: Ecg) -> Reckoned:
    """Needs the extra `score`."""
    beat = median_beat(ecg.signal, ecg.sampling_rate)
    rate = heart_rate(ecg.signal.astype(np.float64), ecg.sampling_rate)
    too_slow = ecg.sampling_rate < LOWEST_RATE
    return Reckoned(
        rate=None if math.isnan(rate) else rate,
        axis=None if beat is None else frontal_axis(beat),
        beats=0 if beat is None else beat.beats,
        spikes=None if too_slow else len(pacing_spikes(ecg.signal, ecg.sampling_rate)),
        device_on_pacing=said_of("paced", understood(ecg)),
    )
