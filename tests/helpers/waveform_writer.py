"""Writes ECGs sample by sample into ORU messages: HL7 chapter 7 (NA or MA) and IHE PCD arrays; for tests and golden
files.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.leads import LEAD_NUMBERS
from ecgfm_connectors.testing import oru_writer

Form = Literal["NA", "MA", "MDC"]

INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
_STEP = 0.005  # mV of one unit of the samples


def write_ecg(ecg: Ecg, *, form: Form, control_id: str, sent_at: datetime, leads: Sequence[str] = INDEPENDENT) -> bytes:
    """ORU^W01 with these leads in steps of 5 µV: one OBX a lead (NA), all in one OBX (MA), or under MDC codes (MDC)."""
    envelope = oru_writer.write_message(
        [], patient=ecg.patient, order=ecg.order, control_id=control_id, sent_at=sent_at
    ).replace(b"ORU^R01^ORU_R01", b"ORU^W01^ORU_R01")
    write = {"NA": _one_by_one, "MA": _multiplexed, "MDC": _coded}[form]
    lines = [f"OBX|{number}|{line}\r" for number, line in enumerate(write(ecg, leads), start=1)]
    return envelope + "".join(lines).encode("ascii")


def _counts(ecg: Ecg, lead: str) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.rint(ecg.signal[LEADS.index(lead)] / _STEP).astype(np.int64)
    return counts


def _joined(samples: NDArray[np.int64]) -> str:
    return "^".join(map(str, samples.tolist()))


def started(ecg: Ecg) -> str:
    """When the recording starts, as the messages write it."""
    if ecg.acquired is None:
        return ""
    return f"{ecg.acquired.at:%Y%m%d%H%M%S}.{ecg.acquired.at.microsecond // 1000:03d}{ecg.acquired.at:%z}"


def _definition(ecg: Ecg, number: int, lead: str) -> str:
    """CD: number and name, source, sensitivity, calibration (factor, baseline, skew), rate, range."""
    return f"{number}&{lead}^{lead}^{_STEP}&mV^1&0&0^{ecg.sampling_rate:g}^-32768&32767"


def _one_by_one(ecg: Ecg, leads: Sequence[str]) -> list[str]:
    lines = [f"TS|93000&TIM^ECG^CPT|1|{started(ecg)}||||||F"]
    for number, lead in enumerate(leads, start=1):
        lines.append(f"CD|93000&CHN^ECG^CPT|{number}|{_definition(ecg, number, lead)}||||||F")
        lines.append(f"NA|93000&WAV^ECG^CPT|{number}|{_joined(_counts(ecg, lead))}||||||F")
    return lines


def _multiplexed(ecg: Ecg, leads: Sequence[str]) -> list[str]:
    """Only the first channel states scale and rate; they hold for the channels after it."""
    first, *others = leads
    definitions = [_definition(ecg, 1, first), *(f"{n}&{lead}^{lead}" for n, lead in enumerate(others, start=2))]
    instants = np.stack([_counts(ecg, lead) for lead in leads]).T
    return [
        f"TS|93000&TIM^ECG^CPT|1|{started(ecg)}||||||F",
        f"CD|93000&CHN^ECG^CPT|1|{'~'.join(definitions)}||||||F",
        f"MA|93000&WAV^ECG^CPT|1|{'~'.join(_joined(instant) for instant in instants)}||||||F",
    ]


def _coded(ecg: Ecg, leads: Sequence[str]) -> list[str]:
    lines = []
    for lead in leads:
        number = LEAD_NUMBERS[lead]
        place = f"1.7.6.{number}"
        name = f"{131328 + number}^MDC_ECG_ELEC_POTL_{lead.upper()}^MDC"
        lines += [
            f"NA|{name}|{place}|{_joined(_counts(ecg, lead))}|||||||||{started(ecg)}",
            f"NM|0^MDC_ATTR_SAMP_RATE^MDC|{place}.1|{ecg.sampling_rate:g}|264608^MDC_DIM_PER_SEC^MDC",
            f"NM|2327^MDC_ATTR_NU_MSMT_RES^MDC|{place}.2|{_STEP}|266418^MDC_DIM_MILLI_VOLT^MDC",
            f"NM|196660^MDC_EVT_INOP^MDC|{place}.3|-32768",
        ]
    return lines
