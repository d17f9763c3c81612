"""Prior shift: a head scores people among whom its outcome is more common, or rarer, than among those it learnt from.

Where only that share differs, and an ECG of either kind looks as it did (label shift), the odds of each ECG are to be
multiplied by the ratio of the prior odds (Saerens, Latinne and Decaestecker 2002, equation 2.4). No outcome of the new
people is needed, only the share that is to be expected. Who is positive stays the same: the threshold moves along.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorShift:
    """Of one label. Raises `ValueError` where a share is not between 0 and 1."""

    learnt: float  #: share of positive ECGs among those on which the probabilities were calibrated
    stated: float  #: share that is to be expected among the ECGs that are scored

    def __post_init__(self) -> None:
        for share in (self.learnt, self.stated):
            if not 0 < share < 1:
                raise ValueError(f"a prevalence of {share:g} is no share between 0 and 1")

    @property
    def log_odds(self) -> float:
        """What is added to the log-odds of each ECG."""
        return logit(self.stated) - logit(self.learnt)

    def probability(self, before: float) -> float:
        """The probability, or the threshold, among the people who are scored; 0 stays 0 and 1 stays 1."""
        positive = before * (self.stated / self.learnt)
        negative = (1 - before) * ((1 - self.stated) / (1 - self.learnt))
        return positive / (positive + negative)

    def corrected(self, log_odds: float) -> "PriorShift":
        """With so much more added to the log-odds."""
        return PriorShift(learnt=self.learnt, stated=1 / (1 + math.exp(-(logit(self.stated) + log_odds))))


def logit(share: float) -> float:
    """Log-odds of a share between 0 and 1."""
    return math.log(share) - math.log1p(-share)
