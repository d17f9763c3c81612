"""What a reader of the picture must know of the recording: a narrow band, leads that are missing, derived or apart."""

from dataclasses import dataclass

import numpy as np

from ecgfm_connectors.ecg import LEADS, Ecg

#: Hz. What AHA/ACCF/HRS 2007 (doi:10.1161/CIRCULATIONAHA.106.180200) asks of a diagnostic recording of an adult.
LOWEST, HIGHEST = 0.05, 150.0
#: Hz. A rate below it cannot hold the band whatever the filters (two samples a period, and room for the filter's edge).
LEAST_RATE = 2.5 * HIGHEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One sentence beside the picture."""

    text: str
    is_warning: bool = True


def remarks(ecg: Ecg) -> tuple[Remark, ...]:
    """Warnings first, then what is merely good to know."""
    found = [Remark(text=text) for text in (*_band(ecg), *_leads(ecg), *(one.text for one in ecg.findings if one.text))]
    return (*found, *(Remark(text=text, is_warning=False) for text in _notes(ecg)))


def _band(ecg: Ecg) -> list[str]:
    low, high = ecg.filters.high_pass, ecg.filters.low_pass
    found = []
    if low is not None and low > LOWEST:
        found.append(
            f"recorded from {low:g} Hz up, not from {LOWEST:g} Hz: ST segments and T waves may be distorted, unless "
            "the device's filter keeps phases"
        )
    if high is not None and high < HIGHEST:
        found.append(f"recorded up to {high:g} Hz, not {HIGHEST:g} Hz: Q waves, notches and pacing spikes may be lost")
    elif ecg.sampling_rate < LEAST_RATE:
        found.append(
            f"sampled at {ecg.sampling_rate:g} Hz, too slowly for {HIGHEST:g} Hz: Q waves, notches and pacing spikes "
            "may be lost"
        )
    return found


def _leads(ecg: Ecg) -> list[str]:
    present = np.isfinite(ecg.signal)
    missing = [lead for lead, row in zip(LEADS, present, strict=True) if not row.any()]
    found = [f"no signal in {', '.join(missing)}"] if missing else []
    held = present[[lead not in missing for lead in LEADS]]
    if held.size and not (held == held[0]).all() and not held.all(axis=0).any():
        found.append("the leads were not recorded at the same time: each stands where it was recorded")
    return found


def _notes(ecg: Ecg) -> list[str]:
    found = [f"computed from I and II: {', '.join(ecg.derived_leads)}"] if ecg.derived_leads else []
    if ecg.filters.high_pass is None and ecg.filters.low_pass is None:
        found.append("the file does not say which filters the device had applied")
    if ecg.filters.notch is not None:
        found.append(f"mains filter at {ecg.filters.notch:g} Hz")
    return found
