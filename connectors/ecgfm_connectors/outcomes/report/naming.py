"""Puts the name of an ejection fraction before its number where a report writes it behind: `40% ejection fraction`."""

from ecgfm_connectors.outcomes.report.items import Item


def named_first(found: list[Item]) -> list[Item]:
    """The items, the name first where a clause begins with the only percentage and its name follows directly."""
    found = _from_brackets(found)
    percentages = [at for at, one in enumerate(found) if one.value is not None and one.value.percent]
    if len(percentages) != 1 or sum(one.cue in ("mention", "left-mention") for one in found) != 1:
        return found
    at = percentages[0]
    begins = at == 0 or found[at - 1].kind == "mark"
    if not begins or at + 1 == len(found) or found[at + 1].cue not in ("mention", "left-mention"):
        return found
    return [*found[:at], found[at + 1], found[at], *found[at + 2 :]]


def _from_brackets(found: list[Item]) -> list[Item]:
    """`Linksventrikelfunktion beträgt 44 % (EF, biplan)`: the only name stands in brackets behind the only
    percentage."""
    names = [at for at, one in enumerate(found) if one.cue in ("mention", "left-mention", "other-mention")]
    percentages = [at for at, one in enumerate(found) if one.value is not None and one.value.percent]
    if len(names) != 1 or len(percentages) != 1 or found[names[0]].cue == "other-mention":
        return found
    at = percentages[0]
    before = found[:at]
    if names[0] != at + 2 or found[at + 1].word != "(" or not any(one.cue == "left" for one in before):
        return found
    if any(one.kind in ("mark", "value") or one.cue in ("measure", "other-chamber", "noun") for one in before):
        return found
    return [*before, found[at + 2], found[at], found[at + 1], *found[at + 3 :]]
