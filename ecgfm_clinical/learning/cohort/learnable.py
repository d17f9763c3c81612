"""Which labels of a cohort can be learnt, or judged: the splits that this takes need enough of both kinds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.cohort.members import LEAST, SPLITS, Cohort, Member, SplitCounts, SplitName


def learnable(cohort: Cohort) -> Cohort:
    """The cohort with only those labels of which every split has enough of both kinds.

    Raises LearningError for none.
    """
    return _with_enough(
        cohort, SPLITS, "Collect more outcomes, or widen the window; the flow of exclusions is in cohort.json"
    )


def judgeable(cohort: Cohort) -> Cohort:
    """The cohort with only those labels of which the test patients have enough of both kinds: a model that is there
    already can be judged by them, though nothing could be trained.

    Raises LearningError for none.
    """
    return _with_enough(cohort, ("test",), "Only what was said of test patients' ECGs counts: more of them are needed")


def _with_enough(cohort: Cohort, splits: Sequence[SplitName], advice: str) -> Cohort:
    counts = {split: cohort.counts(split) for split in splits}
    problems = {label: _shortage(counts, label) for label in cohort.labels}
    kept = [label for label in cohort.labels if not problems[label]]
    if not kept:
        raise LearningError("; ".join(f"{label}: {problem}" for label, problem in problems.items()) + f". {advice}")
    if len(kept) == len(cohort.labels):
        return cohort
    columns = [cohort.labels.index(label) for label in kept]
    members = tuple(_with_columns(member, columns) for member in cohort.members)
    known = tuple(member for member in members if not all(math.isnan(value) for value in member.example.labels))
    left_out = {label: problem for label, problem in problems.items() if problem}
    return replace(cohort, labels=tuple(kept), members=known, rules=replace(cohort.rules, labels_left_out=left_out))


def _shortage(counts: Mapping[SplitName, SplitCounts], label: str) -> str:
    for split, own in counts.items():
        positives, negatives = own.positives[label], own.negatives[label]
        if min(positives, negatives) < LEAST[split]:
            return f"{positives} positive and {negatives} negative {split} ECGs, {LEAST[split]} of each needed"
    return ""


def _with_columns(member: Member, columns: list[int]) -> Member:
    labels = tuple(member.example.labels[column] for column in columns)
    return replace(member, example=replace(member.example, labels=labels))
