"""May this candidate be promoted?

Rules on its judgement; every rule that does not hold is a sentence with its numbers.
"""

from collections.abc import Iterator, Mapping

from ecgfm.metrics import Interval
from ecgfm_clinical.learning.judging.comparators import AGE_SEX, RANDOM_ENCODER
from ecgfm_clinical.learning.judging.judgement import CHAMPION, LabelJudgement, Metric, interval_text
from ecgfm_clinical.learning.judging.worth import best_rival
from ecgfm_clinical.rules import BEST, GateRules


def refusals(label: str, judged: LabelJudgement, rules: GateRules) -> list[str]:
    """Why this label does not pass; empty where it does."""
    return [f"{label}: {reason}" for reason in _reasons(judged, rules)]


def demanded(rules: GateRules) -> tuple[str, ...]:
    """The rivals above whose AUROC a candidate's has to be; `best`: the best of all."""
    floor = (AGE_SEX, RANDOM_ENCODER) if rules.beat_baselines else ()
    return tuple(dict.fromkeys((*floor, *rules.must_beat)))


def _reasons(judged: LabelJudgement, rules: GateRules) -> Iterator[str]:
    if judged.positive_patients < rules.min_positives:
        yield f"{judged.positive_patients} positive test patients, {rules.min_positives} needed"
    if judged.negatives < rules.min_negatives:
        yield f"{judged.negatives} negative test ECGs, {rules.min_negatives} needed"
    yield from _against_champion(judged, rules)
    yield from _against_baselines(judged, rules)
    yield from _calibration(judged.metrics, rules)


def _against_champion(judged: LabelJudgement, rules: GateRules) -> Iterator[str]:
    champion = judged.compared.get(CHAMPION)
    if champion is None:
        return
    if not champion.difference.low >= -rules.margin:  # also where the difference is not defined, which is NaN
        yield (
            f"not shown to be no worse than the live model: AUROC difference {interval_text(champion.difference)}, its "
            f"lower end must be above -{rules.margin:g}"
        )
    for group in judged.subgroups:
        difference = group.difference_champion
        if difference is None or group.positives < rules.subgroup_positives:
            continue
        if difference.value < -rules.subgroup_margin or difference.high < 0:
            yield (
                f"worse than the live model for {group.attribute} {group.value}: AUROC difference "
                f"{interval_text(difference)}, {group.positives} positives"
            )


def _against_baselines(judged: LabelJudgement, rules: GateRules) -> Iterator[str]:
    best = best_rival(judged)
    for name in demanded(rules):
        found = best if name == BEST else (name, judged.compared[name]) if name in judged.compared else None
        if found is None:
            if name in rules.must_beat:
                yield f"not judged beside {name}, which it must beat; see [learning.rivals], or retrain with --rival"
        elif not found[1].difference.value > 0:
            auroc = judged.metrics["auroc"].value
            yield f"no better than {found[0]}: AUROC {auroc:.3f} against {found[1].auroc.value:.3f}"


def _calibration(metrics: Mapping[Metric, Interval], rules: GateRules) -> Iterator[str]:
    slope, intercept = metrics["calibration_slope"], metrics["calibration_intercept"]
    if not _reaches(slope, *rules.slope):
        yield f"calibration slope {interval_text(slope)} does not reach {rules.slope[0]:g} to {rules.slope[1]:g}"
    if not _reaches(intercept, -rules.intercept, rules.intercept):
        yield f"calibration intercept {interval_text(intercept)} does not reach ±{rules.intercept:g}"


def _reaches(interval: Interval, low: float, high: float) -> bool:
    """Whether the interval and [low, high] have a point in common; not where the interval is not defined (NaN)."""
    return interval.low <= high and interval.high >= low
