"""Take single values out of an archive's answer; a value that is absent or broken counts as absent."""

import math

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue


def text(dataset: Dataset, keyword: str) -> str:
    """The element as stripped text; several values joined with a backslash; empty where absent or broken."""
    value = _value(dataset, keyword)
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, MultiValue):
        return "\\".join(str(item) for item in value).strip()
    return str(value).replace("\0", "").strip()


def number(dataset: Dataset, keyword: str) -> float | None:
    """The element as a finite number; None where absent, empty, broken or multi-valued."""
    value = _value(dataset, keyword)
    try:
        parsed = float(value)  # type: ignore[arg-type]  # anything that float refuses is "no number"
    except (TypeError, ValueError):
        return None
    return parsed if math.isfinite(parsed) else None


def _value(dataset: Dataset, keyword: str) -> object | None:
    try:
        value: object = dataset.get(keyword)
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError, OverflowError, LookupError):
        # Values are converted on access: this one does not convert, which for an optional element means absent.
        return None
    return value
