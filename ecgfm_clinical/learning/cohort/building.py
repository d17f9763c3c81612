"""Which ECGs a head may learn from, with which label, in which split; everything left out is counted in order.

Pure functions over frozen rows: the same rows and rules give the same cohort, digest included. One recording that came
in twice counts once; of several ECGs of one day, one.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from types import MappingProxyType

from ecgfm.finetuning.dataset import Example
from ecgfm.signal import segment_count
from ecgfm_clinical.learning.cohort.labelling import Exclusion, Labelled, Labelling, Outcomes, usable
from ecgfm_clinical.learning.cohort.members import AppliedRules, Cohort, CohortRules, Member, Step, split_of
from ecgfm_clinical.learning.cohort.mortality import seen_alive
from ecgfm_clinical.learning.cohort.sources import EcgSource, Reasons
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging.cohort_rows import EcgRow
from ecgfm_connectors.decision import DEATH

#: For each row the coded reasons why the head may not score it, empty where it may.
Evaluable = Callable[[Sequence[EcgRow]], Iterable[Sequence[str]]]

LAST = datetime.max.replace(tzinfo=UTC)  #: of an archive with shifted dates no day is to come


def gather(
    source: EcgSource, labelling: Labelling, rules: CohortRules, evaluability: HeadRules, *, as_of: datetime
) -> Cohort:
    """The cohort of one head from everything that a source knew at a moment."""
    kind = labelling.outcome_kind
    now = LAST if source.shifted_dates else as_of
    rows = source.rows()
    results = source.outcomes(kind) if kind else []
    if kind == DEATH:
        results += seen_alive(rows, source.contacts(), now=now)
    outcomes, left_out = usable(results, now=now)
    return build(
        rows,
        labelling,
        rules,
        now=now,
        evaluable=Reasons(source=source, rules=evaluability),
        outcomes=outcomes,
        outcomes_left_out=left_out if kind else {},
    )


def build(
    ecgs: Sequence[EcgRow],
    labelling: Labelling,
    rules: CohortRules,
    *,
    now: datetime,
    evaluable: Evaluable,
    outcomes: Outcomes = MappingProxyType({}),
    outcomes_left_out: Mapping[str, int] = MappingProxyType({}),
) -> Cohort:
    """The cohort of one head. `evaluable` is asked last, because it reads signals."""
    funnel = _Funnel(ecgs)
    funnel.drop("test-data", "marked as test data by the sender", lambda row: row.test_data)
    funnel.drop("superseded", "an older version of a recording that was sent again", lambda row: row.superseded)
    funnel.drop("patient-doubtful", "held for a person, or taken back by its sender", lambda row: row.doubtful)
    funnel.drop("patient-objects", "the patient is kept out of learning", lambda row: row.objected)
    funnel.drop("no-signal", "the signal was removed by retention", lambda row: not row.kept)
    funnel.drop("no-patient", "no patient identifier", lambda row: not row.identified)
    funnel.drop("no-time", "no acquisition time", lambda row: row.acquired_at is None)
    funnel.drop("future", "acquired in the future", lambda row: row.acquired_at is not None and row.acquired_at > now)
    funnel.drop("too-short", "shorter than 5 s", lambda row: segment_count(row.samples, row.sampling_rate) < 1)
    funnel.drop("age", f"age outside {_ages(rules)}", lambda row: not _age_fits(row, rules))
    labelled = funnel.label(labelling, outcomes)
    if rules.drop_if_outcome_first:
        funnel.drop("outcome-first", "the outcome came before the ECG", lambda row: labelled[row.key].outcome_first)
    funnel.drop_all("duplicate", "the same recording under another number", _repeated(funnel.rows))
    funnel.drop_all("serial", _SERIAL[rules.serial], _serial(funnel.rows, labelled, rules.serial))
    funnel.drop_coded("not-evaluable", "the head may not score it", evaluable)
    members = tuple(_member(row, labelled[row.key]) for row in sorted(funnel.rows, key=lambda row: row.key))
    return Cohort(
        labels=labelling.labels,
        members=members,
        considered=len(ecgs),
        steps=tuple(funnel.steps),
        outcomes_left_out=dict(outcomes_left_out),
        rules=AppliedRules(**asdict(rules), labelling=labelling.to_json()),
    )


class _Funnel:
    """Rows that are still in, and the steps that took the others."""

    def __init__(self, rows: Sequence[EcgRow]) -> None:
        self.rows = list(rows)
        self.steps: list[Step] = []

    def drop(self, code: str, text: str, bad: Callable[[EcgRow], bool]) -> None:
        self.drop_all(code, text, {row.key for row in self.rows if bad(row)})

    def drop_all(self, code: str, text: str, keys: set[str]) -> None:
        before = len(self.rows)
        self.rows = [row for row in self.rows if row.key not in keys]
        self.steps.append(Step(code=code, text=text, excluded=before - len(self.rows), left=len(self.rows)))

    def drop_coded(self, code: str, text: str, reasons: Evaluable) -> None:
        """One step for each first reason, most frequent first; one empty step where nothing is dropped."""
        given = zip(self.rows, reasons(self.rows), strict=True)
        found = {row.key: own[0] for row, own in given if own}
        for reason, _ in sorted(Counter(found.values()).items(), key=lambda item: (-item[1], item[0])):
            self.drop_all(f"{code}: {reason}", text, {key for key, own in found.items() if own == reason})
        if not found:
            self.drop_all(code, text, set())

    def label(self, labelling: Labelling, outcomes: Outcomes) -> dict[str, Labelled]:
        given = {row.key: labelling.label(row, outcomes.get(row.patient, ())) for row in self.rows}
        reasons = {key: own for key, own in given.items() if isinstance(own, Exclusion)}
        order = sorted({own.code: own for own in reasons.values()}.values(), key=_order_of_exclusions)
        for reason in order:
            keys = {key for key, own in reasons.items() if own.code == reason.code}
            self.drop_all(reason.code, reason.text, keys)
        return {key: own for key, own in given.items() if isinstance(own, Labelled)}


def _order_of_exclusions(one: Exclusion) -> tuple[int, str]:
    """Nothing known of the patient first, then nothing near in time, then what was near but cannot be used."""
    return {"no-outcome": 0, "no-label": 0, "outside-window": 1}.get(one.code, 2), one.code


def _ages(rules: CohortRules) -> str:
    low = f"{rules.min_age:g}" if rules.min_age is not None else "0"
    return f"{low} to {rules.max_age:g} years" if rules.max_age is not None else f"{low} years and older"


def _age_fits(row: EcgRow, rules: CohortRules) -> bool:
    if row.age is None:
        return True  # as when scoring: an unknown age is judged by the head's own rule on evaluability
    return (rules.min_age is None or row.age >= rules.min_age) and (rules.max_age is None or row.age <= rules.max_age)


def _repeated(rows: Sequence[EcgRow]) -> set[str]:
    """All but the first of those that `EcgRow.recording` says are one recording."""
    seen: set[str] = set()
    repeated = set()
    for row in sorted(rows, key=lambda row: row.key):
        if row.recording and row.recording in seen:
            repeated.add(row.key)
        seen.add(row.recording)
    return repeated


_SERIAL = {
    "all": "serial ECGs are kept",
    "one-per-day": "another ECG of the same patient on the same day is nearer to the outcome",
    "first": "not the patient's first ECG with a label",
}


def _serial(rows: Sequence[EcgRow], labelled: dict[str, Labelled], how: str) -> set[str]:
    """Keys of the ECGs that give way to another of the same patient."""
    if how == "all":
        return set()
    groups: defaultdict[tuple[str, str], list[EcgRow]] = defaultdict(list)
    for row in rows:
        assert row.acquired_at is not None
        day = row.acquired_at.astimezone(UTC).date().isoformat() if how == "one-per-day" else ""
        groups[row.patient, day].append(row)
    given_way = set()
    for own in groups.values():
        if how == "first":
            kept = min(own, key=lambda row: (row.acquired_at, row.key))
        else:
            kept = min(own, key=lambda row: (labelled[row.key].distance, row.acquired_at, row.key))
        given_way |= {row.key for row in own} - {kept.key}
    return given_way


def _member(row: EcgRow, labelled: Labelled) -> Member:
    example = Example(
        key=row.key,
        patient=row.patient,
        labels=labelled.labels,
        segments=segment_count(row.samples, row.sampling_rate),
    )
    return Member(example=example, split=row.split or split_of(row.patient_keys), row=row, labelled=labelled)
