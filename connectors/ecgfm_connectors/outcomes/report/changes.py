"""Whether a number beside an ejection fraction says how far it moved, and not how large it is."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from ecgfm_connectors.outcomes.report import said
from ecgfm_connectors.outcomes.report.items import Item, Value

_BESIDE = 12  #: characters
_ABOUT_A_TENTH = Decimal(20)  # percent: a change of more is rarer than a value


class Around(Protocol):
    """A number and what stands around it, as `surroundings.Surroundings` knows it."""

    @property
    def value(self) -> Value: ...
    @property
    def before(self) -> Sequence[Item]: ...
    @property
    def behind(self) -> Sequence[Item]: ...
    @property
    def named_at(self) -> int: ...
    @property
    def changed(self) -> bool: ...
    @property
    def after_colon(self) -> bool: ...
    @property
    def next(self) -> Item | None: ...


def is_change(around: Around) -> bool:
    """`fell by 15%`, `um 10 %`, `baisse de 15 %`, `caiu 12%`: how far, not how much."""
    cues = [one.cue for one in around.before[-2:]]
    risen_to = around.changed and (cues[-1:] == ["to"] or cues == ["to", "now"])  # `auf nunmehr 50 % gestiegen`
    if around.next is not None and (around.next.cue == "points" or (not risen_to and _is_amount(around, around.next))):
        return True
    if any(one.word in said.DIFFERENCES and abs(one.start - around.named_at) < _BESIDE for one in around.before):
        return True
    if not around.before or around.after_colon:
        return False
    last = around.before[-1]
    if last.cue == "by" and last.word in said.PLAIN_BY:
        return around.changed or not _is_about(around, last)
    if _is_gain(around, last):
        return True
    if last.word in ("em", "en") and any(one.cue == "change" and one.start < around.named_at for one in around.before):
        return True  # `redução da FE em 10 %`
    noun = any(one.cue == "change" and one.start < around.named_at for one in around.before)
    if noun and around.value.comparator and last.cue != "to":
        return True  # `a drop of the LVEF of more than 10 %`
    changed = any(one.cue == "change" or one.word.startswith(said.LESSENED) for one in around.before)
    found = any(one.word.startswith(said.FOUND) for one in around.before[-2:-1])
    return (
        changed
        and not found
        and (last.cue == "change" or (last.cue in ("by", "link") and last.word in said.BY_IF_CHANGED))
    )


def _is_gain(around: Around, last: Item) -> bool:
    """`Gain de FEVG 12 %`, `Aumento FEVI 10%`: a small number directly behind the name of what grew."""
    if last.cue not in ("mention", "left-mention") or around.value.low >= _ABOUT_A_TENTH:
        return False
    return any(one.cue == "change" for one in around.before[-4:-1])


def _is_amount(around: Around, following: Item) -> bool:
    """`15 % absolute drop`, `15 % decrease`; but `35 % decreased from 55 %` is a value."""
    from_behind = len(around.behind) > 1 and around.behind[1].cue in ("from", "to")
    return following.word in said.ABSOLUTE or (following.word in said.AMOUNTS and not from_behind)


def _is_about(around: Around, last: Item) -> bool:
    """German `visuell um 35 %`, `EF um 35 %` with nothing behind it is `about 35 %`."""
    if last.word != "um" or len(around.before) < 2:
        return False
    alone = around.next is None or around.next.kind == "mark"
    named = around.before[-2].cue in ("mention", "left-mention") and around.value.low >= _ABOUT_A_TENTH
    return around.before[-2].word in said.FOUND_BY or (named and alone)
