"""How a threshold is to be chosen.

Kept apart from the choosing, so that settings can hold rules without loading SciPy; what a key means stands in its
metadata, from which commented settings are written.
"""

from dataclasses import dataclass, field
from typing import Literal

Rule = Literal["sensitivity", "specificity", "ppv"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingRule:
    """How a threshold is chosen: the most useful one at which `what` is at least `at_least`.

    Raises ValueError where a PPV is asked for without the prevalence it is meant for, or a number is no share.
    """

    what: Rule = field(
        default="sensitivity", metadata={"description": "sensitivity, specificity, or ppv with its prevalence"}
    )
    at_least: float = field(
        default=0.9,
        metadata={"description": "the threshold is the highest (for specificity and ppv the lowest) that reaches this"},
    )
    prevalence: float | None = field(
        default=None,
        metadata={
            "description": "for ppv only: among the people who will be scored, not in the sample",
            "example": 0.05,
        },
    )

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
