"""How far an answer is from the other one, in words."""

from ecgfm_clinical.staging.records import Score
from ecgfm_clinical.wording import Say, in_english


def distance(score: Score, say: Say = in_english) -> str:
    """One sentence; empty where there is no probability."""
    if score.probability is None:
        return ""
    if score.threshold is None:
        return say("no operating point: a number without a yes or no")
    apart = abs(score.probability - score.threshold)
    figures = {"probability": score.probability, "apart": apart, "threshold": score.threshold}
    if score.positive:
        return say(
            "positive: %(probability).4f is %(apart).4f above the threshold of %(threshold).4f; it would be negative "
            "at any threshold above %(probability).4f",
            **figures,
        )
    return say(
        "negative: %(probability).4f is %(apart).4f below the threshold of %(threshold).4f; it would be positive at a "
        "threshold of %(probability).4f or less",
        **figures,
    )
