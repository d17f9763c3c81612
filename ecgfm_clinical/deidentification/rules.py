"""What leaves the house with a cohort, and in which form."""

from dataclasses import dataclass, field
from typing import Literal

Form = Literal["wfdb", "parquet", "hdf5"]

#: A person of so many years or more is "90 or older" (45 CFR 164.514(b)(2)(i)(C)).
GROUPED_FROM = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Every choice of one export; the key makes pseudonyms and shifts, and stays here."""

    form: Form = "wfdb"
    dates: Literal["shifted", "dropped"] = "shifted"
    device: Literal["dropped", "model"] = "dropped"
    site: Literal["dropped", "keyed"] = "dropped"
    statements: Literal["dropped", "codes", "text"] = "dropped"
    fewest: int = 10  #: people who must share a device, a code or a sentence, or it is left out
    key: bytes = field(repr=False)
