"""Puts the name of an ejection fraction before its number where a report writes it behind: `40% ejection fraction`."""

from ecgfm_connectors.outcomes.report.items import Item


def named_first(found: list[Item]) -> list[Item]:
    """The items, the name first where a clause begins with the only percentage and its name follows directly."""
    percentages = [at for at, one in enumerate(found) if one.value is not None and one.value.percent]
    if len(percentages) != 1 or sum(one.cue in ("mention", "left-mention") for one in found) != 1:
        return found
    at = percentages[0]
    begins = at == 0 or found[at - 1].kind == "mark"
    if not begins or at + 1 == len(found) or found[at + 1].cue not in ("mention", "left-mention"):
        return found
    return [*found[:at], found[at + 1], found[at], *found[at + 2 :]]
