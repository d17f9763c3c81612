"""What is different between two ECGs of one person: figures, what the device measured, what the model answered."""

from collections.abc import Iterator
from dataclasses import dataclass

from ecgfm_clinical.ecg.reckoning import Reckoned
from ecgfm_clinical.staging.records import Score, Scoring
from ecgfm_clinical.staging.story_records import EcgStory
from ecgfm_clinical.wording import Say, in_english

NOTHING = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing, then and now, in words."""

    what: str
    then: str
    now: str
    is_news: bool  #: a figure is another one, or an answer is
    remark: str = ""


def changes(
    before: EcgStory,
    here: EcgStory,
    *,
    reckoned_before: Reckoned | None,
    reckoned_here: Reckoned | None,
    say: Say = in_english,
) -> tuple[Change, ...]:
    """Computed figures first, then the device's measurements, then the answers, in the language of `say`."""
    return (
        *_computed(reckoned_before, reckoned_here, say),
        *_measured(dict(before.ecg.ecg.measurements), dict(here.ecg.ecg.measurements), say),
        *answered(before.scorings[-1] if before.scorings else None, here.scorings[-1] if here.scorings else None, say),
    )


def _computed(before: Reckoned | None, here: Reckoned | None, say: Say) -> Iterator[Change]:
    if before is None or here is None:
        return
    yield _figure(say("rate, computed"), rate_of(before), rate_of(here))
    yield _figure(say("QRS axis, computed"), axis_of(before), axis_of(here))
    yield _figure(say("pacing spikes in the signal"), spikes_of(before), spikes_of(here))


def _figure(what: str, then: str, now: str) -> Change:
    return Change(what=what, then=then, now=now, is_news=then != now)


def rate_of(one: Reckoned) -> str:
    return NOTHING if one.rate is None else f"{one.rate:.0f} /min"


def axis_of(one: Reckoned) -> str:
    return NOTHING if one.axis is None else f"{one.axis:.0f}°".replace("-", "−")


def spikes_of(one: Reckoned) -> str:
    return NOTHING if one.spikes is None else str(one.spikes)


def _measured(before: dict[str, str], here: dict[str, str], say: Say) -> Iterator[Change]:
    for name in dict.fromkeys((*here, *before)):
        yield _figure(say("device: %(name)s", name=name), before.get(name, NOTHING), here.get(name, NOTHING))


def answered(before: Scoring | None, here: Scoring | None, say: Say = in_english) -> Iterator[Change]:
    """Label by label where both have a probability; head by head where one of them has none."""
    if before is None or here is None:
        return
    remark = "" if before.model_id == here.model_id else say("by two models: the probabilities are not comparable")
    then = {(one.head, one.label): one for one in before.scores}
    unanswered: set[str] = set()
    for score in here.scores:
        earlier = then.get((score.head, score.label))
        if earlier is None or earlier.probability is score.probability is None:
            continue
        if earlier.probability is not None and score.probability is not None:
            is_news = earlier.positive != score.positive
            now = _answer(score, say)
            yield Change(what=score.label, then=_answer(earlier, say), now=now, is_news=is_news, remark=remark)
        elif score.head not in unanswered:
            unanswered.add(score.head)
            words = (say("not evaluable") if one.probability is None else say("answered") for one in (earlier, score))
            yield _figure(say("head %(name)s", name=score.head), *words)


def _answer(score: Score, say: Say) -> str:
    word = "" if score.positive is None else f", {say('positive')}" if score.positive else f", {say('negative')}"
    return f"{score.probability:.3f}{word}"
