"""What one reported number means: an ejection fraction against a threshold, a troponin against its own assay's limit.

One rule serves single values, ranges, comparators and words turned into ranges: a value is an interval, and an interval
is decided where all of it lies on one side of the threshold, or, if it is at most ten percentage points wide, by its
middle.
"""

import math
from collections.abc import Sequence

from ecgfm_clinical.rules import AssayLimit
from ecgfm_clinical.staging.cohort_rows import OutcomeRow
from ecgfm_connectors.patient import Sex

NARROW = 10.0  #: percentage points: a range such as 35–40 % is read by its middle, one such as 20–55 % is not

#: ng/L per unit. Conventional assays report ng/mL = µg/L, high-sensitivity assays ng/L = pg/mL.
NG_PER_L = {"ng/l": 1.0, "pg/ml": 1.0, "ng/ml": 1000.0, "ug/l": 1000.0, "µg/l": 1000.0, "μg/l": 1000.0, "mcg/l": 1000.0}
PERCENT = {"%": 1.0, "percent": 1.0, "pct": 1.0}


class Unusable(ValueError):
    """A reported value that cannot be a label: a stable code, and a sentence for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def interval(row: OutcomeRow, scale: float, *, top: float = math.inf) -> tuple[float, float]:
    """The reported value as [low, high] in the scaled unit; `top` ends an open range such as > 55 %."""
    low = high = row.value * scale
    if row.upper_value is not None:
        high = row.upper_value * scale
    if row.comparator in ("<", "<="):
        low = 0.0
    elif row.comparator in (">", ">="):
        high = top
    if not low <= high:
        raise Unusable("range-reversed", "the lower end of the range is above its upper end")
    return low, high


def lvef(row: OutcomeRow) -> tuple[float, float]:
    """The ejection fraction in percent as [low, high]. Raises Unusable."""
    unit = row.unit.strip().lower()
    if not unit:
        raise Unusable("no-unit", "an ejection fraction without a unit may be a fraction or a percentage")
    scale = PERCENT.get(unit)
    if scale is None and unit in ("1", "ratio", "fraction"):
        scale = 100.0
    if scale is None:
        raise Unusable("unknown-unit", "an ejection fraction is reported in % or as a ratio")
    low, high = interval(row, scale, top=100.0)
    if low < 0 or not 0 < high <= 100:
        raise Unusable("implausible", "an ejection fraction lies between 0 and 100 %")
    return low, high


def reduced(row: OutcomeRow, threshold: float) -> bool:
    """Whether the ejection fraction is at or below `threshold` %. Raises Unusable, also where it cannot be told."""
    low, high = lvef(row)
    if not row.comparator and high - low <= NARROW:
        return (low + high) / 2 <= threshold
    if high <= threshold:
        return True
    if low > threshold or (low == threshold and row.comparator == ">"):
        return False
    raise Unusable("undecided", f"the reported range lies on both sides of {threshold:g} %")


def times_limit(row: OutcomeRow, sex: Sex, limits: Sequence[AssayLimit]) -> tuple[float, float]:
    """The troponin as [low, high] in multiples of its own assay's 99th percentile. Raises Unusable."""
    scale = NG_PER_L.get(row.unit.strip().lower().replace(" ", ""))
    if scale is None:
        code, text = (
            ("no-unit", "has no unit") if not row.unit.strip() else ("unknown-unit", "has a unit we do not know")
        )
        raise Unusable(code, f"a troponin that {text} cannot be compared with its limit")
    low, high = interval(row, scale)
    if low < 0 or not math.isfinite(low):
        raise Unusable("implausible", "a troponin is not negative")
    limit = row.upper_reference_limit * scale if row.upper_reference_limit else configured_limit(row, sex, limits)
    if limit is None or not limit > 0:
        raise Unusable("no-limit", "neither the report nor the settings give this assay's 99th percentile")
    return low / limit, high / limit


def at_bedside(row: OutcomeRow) -> bool:
    """Whether a troponin was measured at the point of care."""
    return row.assay.upper().endswith("POC")


def configured_limit(row: OutcomeRow, sex: Sex, limits: Sequence[AssayLimit]) -> float | None:
    """The limit in ng/L that the settings give for the row's assay;
    the one for this sex before the one for everyone.
    """
    names = {row.assay.strip().lower(), row.code.strip().lower(), row.code.rpartition("|")[2].strip().lower()} - {""}
    if at_bedside(row):  # under the laboratory's code it is another assay all the same
        names = {row.assay.strip().lower()}
    mine = [one for one in limits if one.assay.strip().lower() in names and one.sex in (None, sex)]
    if not mine:
        return None
    best = max(mine, key=lambda one: one.sex is not None)
    return best.limit * NG_PER_L[best.unit.strip().lower()]


def raised(row: OutcomeRow, sex: Sex, limits: Sequence[AssayLimit]) -> bool:
    """Whether the troponin is above its assay's 99th percentile. Raises Unusable, also where it cannot be told."""
    low, high = times_limit(row, sex, limits)
    if low > 1 or (low >= 1 and row.comparator == ">"):
        return True
    if high <= 1:
        return False
    raise Unusable("undecided", "the reported range lies on both sides of the limit")
