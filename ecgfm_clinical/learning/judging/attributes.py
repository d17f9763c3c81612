"""Into which subgroups a test ECG falls: who the patient is, where and how it was recorded,
how fast and in what rhythm.
"""

from collections.abc import Sequence

import numpy as np

from ecgfm_clinical.ecg.beats import heart_rate
from ecgfm_clinical.ecg.labels import AF, PACED, SINUS
from ecgfm_clinical.learning.cohort.members import Member
from ecgfm_clinical.learning.cohort.sources import EcgSource
from ecgfm_clinical.learning.cohort.statements import Statements as _Statements
from ecgfm_clinical.learning.cohort.statements import from_statements
from ecgfm_connectors.ecg import Ecg

UNKNOWN = "not known"
AGES = ((50, "below 50"), (65, "50 to 64"), (80, "65 to 79"), (1000, "80 and older"))
RATES = ((60, "below 60/min"), (100.0001, "60 to 100/min"), (1000, "above 100/min"))
_COLUMN = {label: column for column, label in enumerate(_Statements().labels)}


def subgroups(members: Sequence[Member], source: EcgSource) -> dict[str, list[str]]:
    """Attribute -> its value for each member. Attributes with one value only say nothing and are left out."""
    values = {
        "age": [_band(member.row.age, AGES) for member in members],
        "sex": [member.row.sex if member.row.sex in ("M", "F") else UNKNOWN for member in members],
        "device": [member.row.device or UNKNOWN for member in members],
        "site": [member.row.site or UNKNOWN for member in members],
        "rate": [_rate(one) for one in source.ecgs([member.example.key for member in members])],
        "rhythm": [_rhythm(member) for member in members],
        "outcome": [_order(member) for member in members],
    }
    return {name: own for name, own in values.items() if len(set(own)) > 1}


def _band(value: float | None, bands: Sequence[tuple[float, str]]) -> str:
    if value is None or not np.isfinite(value):
        return UNKNOWN
    return next((name for below, name in bands if value < below), UNKNOWN)


def _rate(ecg: Ecg) -> str:
    if ecg.signal.shape[1] < ecg.sampling_rate:
        return UNKNOWN
    return _band(heart_rate(ecg.signal.astype(np.float64), ecg.sampling_rate), RATES)


def _rhythm(member: Member) -> str:
    found = from_statements(member.row.codes, member.row.statements)
    if found is None:
        return UNKNOWN
    for label, name in ((PACED, "paced"), (AF, "atrial fibrillation"), (SINUS, "sinus")):
        if found[_COLUMN[label]] == 1:
            return name
    return "other"


def _order(member: Member) -> str:
    if member.labelled.outcome_at is None:
        return UNKNOWN
    return "known before the ECG" if member.labelled.outcome_first else "measured after the ECG"
