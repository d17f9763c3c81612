"""Limits of troponin assays that a laboratory does not report: `[[learning.troponin.assays]]` of the settings."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class AssayLimit:
    """The 99th percentile of one troponin assay, for reports that carry none (OBX-7 empty)."""

    assay: Annotated[str, Field(min_length=1)]  #: text of OBX-17 or code of OBX-3, compared without regard to case
    limit: Annotated[float, Field(gt=0)]
    unit: Literal["ng/L", "pg/mL", "ng/mL", "ug/L"] = "ng/L"
    sex: Literal["M", "F"] | None = None  #: for this sex only; for everyone where not set
