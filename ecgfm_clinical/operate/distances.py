"""How far an answer is from the other one, in words."""

from ecgfm_clinical.staging.records import Score


def distance(score: Score) -> str:
    """One sentence; empty where there is no probability."""
    if score.probability is None:
        return ""
    if score.threshold is None:
        return "no operating point: a number without a yes or no"
    apart = abs(score.probability - score.threshold)
    place = f"{score.probability:.4f} is {apart:.4f} {{}} the threshold of {score.threshold:.4f}"
    if score.positive:
        return f"positive: {place.format('above')}; it would be negative at any threshold above {score.probability:.4f}"
    return f"negative: {place.format('below')}; it would be positive at a threshold of {score.probability:.4f} or less"
