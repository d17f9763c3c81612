"""How a threshold is to be chosen.

Kept apart from the choosing, so that settings can hold rules without loading SciPy.
"""

from dataclasses import dataclass
from typing import Literal

Rule = Literal["sensitivity", "specificity", "ppv"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingRule:
    """How a threshold is chosen: the most useful one at which `what` is at least `at_least`.

    Raises ValueError where a PPV is asked for without the prevalence it is meant for, or a number is no share.
    """

    what: Rule = "sensitivity"
    at_least: float = 0.9
    prevalence: float | None = None  #: for `ppv`: of the people who will be scored, not of the sample

    def __post_init__(self) -> None:
        if not 0 < self.at_least <= 1:
            raise ValueError(f"{self.what} of at least {self.at_least} is no share between 0 and 1")
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise ValueError(f"a prevalence of {self.prevalence} is no share between 0 and 1")
        if self.what == "ppv" and self.prevalence is None:
            raise ValueError("a rule on ppv needs the prevalence it is meant for")

    def __str__(self) -> str:
        prevalence = f" at prevalence {self.prevalence:g}" if self.what == "ppv" else ""
        return f"{self.what} >= {self.at_least:g}{prevalence}"
