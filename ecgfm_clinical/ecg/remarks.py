"""What a reader of the picture must know of the recording: a narrow band, leads that are missing, derived or apart."""

from dataclasses import dataclass

import numpy as np

from ecgfm_clinical.wording import Say, in_english
from ecgfm_connectors.ecg import LEADS, Ecg, Filters

#: Hz. What AHA/ACCF/HRS 2007 (doi:10.1161/CIRCULATIONAHA.106.180200) asks of a diagnostic recording of an adult.
LOWEST, HIGHEST = 0.05, 150.0
#: Hz. A rate below it cannot hold the band whatever the filters (two samples a period, and room for the filter's edge).
LEAST_RATE = 2.5 * HIGHEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One sentence beside the picture."""

    text: str
    is_warning: bool = True


def remarks(ecg: Ecg, say: Say = in_english) -> tuple[Remark, ...]:
    """Warnings first, then what is merely good to know, in the language of `say`; findings as the reader says them."""
    found = [Remark(text=text) for text in (*_band(ecg, say), *_leads(ecg, say))]
    found += [Remark(text=one.text) for one in ecg.findings if one.text]
    return (*found, *(Remark(text=text, is_warning=False) for text in _notes(ecg, say)))


def band(filters: Filters, say: Say = in_english) -> str:
    """What a device let through before anybody saw the signal."""
    told = [
        say("from %(low)g Hz", low=filters.high_pass) if filters.high_pass is not None else "",
        say("to %(high)g Hz", high=filters.low_pass) if filters.low_pass is not None else "",
        say("mains filter %(notch)g Hz", notch=filters.notch) if filters.notch is not None else "",
    ]
    return ", ".join(filter(None, told)) or say("filters not stated")


def _band(ecg: Ecg, say: Say) -> list[str]:
    low, high = ecg.filters.high_pass, ecg.filters.low_pass
    found = []
    if low is not None and low > LOWEST:
        found.append(
            say(
                "recorded from %(low)g Hz up, not from %(lowest)g Hz: ST segments and T waves may be distorted, unless "
                "the device's filter keeps phases",
                low=low,
                lowest=LOWEST,
            )
        )
    if high is not None and high < HIGHEST:
        found.append(
            say(
                "recorded up to %(high)g Hz, not %(highest)g Hz: Q waves, notches and pacing spikes may be lost",
                high=high,
                highest=HIGHEST,
            )
        )
    elif ecg.sampling_rate < LEAST_RATE:
        found.append(
            say(
                "sampled at %(rate)g Hz, too slowly for %(highest)g Hz: Q waves, notches and pacing spikes may be lost",
                rate=ecg.sampling_rate,
                highest=HIGHEST,
            )
        )
    return found


def _leads(ecg: Ecg, say: Say) -> list[str]:
    present = np.isfinite(ecg.signal)
    missing = [lead for lead, row in zip(LEADS, present, strict=True) if not row.any()]
    found = [say("no signal in %(leads)s", leads=", ".join(missing))] if missing else []
    held = present[[lead not in missing for lead in LEADS]]
    if held.size and not (held == held[0]).all() and not held.all(axis=0).any():
        found.append(say("the leads were not recorded at the same time: each stands where it was recorded"))
    return found


def _notes(ecg: Ecg, say: Say) -> list[str]:
    found = []
    if ecg.derived_leads:
        found.append(say("computed from I and II: %(leads)s", leads=", ".join(ecg.derived_leads)))
    if ecg.filters.high_pass is None and ecg.filters.low_pass is None:
        found.append(say("the file does not say which filters the device had applied"))
    if ecg.filters.notch is not None:
        found.append(say("mains filter at %(notch)g Hz", notch=ecg.filters.notch))
    return found
