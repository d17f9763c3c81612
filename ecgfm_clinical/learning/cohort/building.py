"""Which ECGs a head may learn from, with which label, in which split; everything left out is counted in order.

Pure functions over frozen rows: the same rows and rules give the same cohort, digest included. Leakage is kept out by
construction: a patient is in one split, by a hash of the key that stays the same over years; a patient known under
several keys is in the test split only if every key says so, so nobody trained on under an old number is ever tested on;
one recording that came in twice counts once; of several ECGs of one day, one.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from ecgfm.finetuning.dataset import Example, segment_count
from ecgfm_clinical.learning.cohort.labelling import Exclusion, Labelled, Labelling
from ecgfm_clinical.staging.cohort_rows import EcgRow

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

#: Shares of patients, in thousandths of the hash: never to be changed, or yesterday's training patients would be tested on.
TRAIN_BELOW, VALIDATION_BELOW = 700, 850


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRules:
    """What is left out besides ECGs without a label."""

    min_age: float | None = 18
    max_age: float | None = None
    serial: Literal["all", "one-per-day", "first"] = "one-per-day"  #: of each patient's ECGs
    drop_if_outcome_first: bool = False  #: leave out ECGs recorded when the outcome could already be known


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One ECG of the cohort."""

    example: Example
    split: SplitName
    row: EcgRow = field(repr=False)
    labelled: Labelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One exclusion: how many ECGs it took and how many were left."""

    code: str
    text: str
    excluded: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The members, and how they were found."""

    labels: tuple[str, ...]
    members: tuple[Member, ...] = field(repr=False)
    considered: int  #: ECGs before the first exclusion
    steps: tuple[Step, ...]
    outcomes_left_out: dict[str, int]
    rules: dict[str, Any]

    def of(self, split: SplitName) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.split == split)

    def examples(self, split: SplitName) -> list[Example]:
        return [member.example for member in self.of(split)]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over members, labels, splits and rules."""
        told = [
            (one.example.key, one.example.patient, one.split, [str(value) for value in one.example.labels])
            for one in sorted(self.members, key=lambda one: one.example.key)
        ]
        return hashlib.sha256(json.dumps([told, self.labels, self.rules], sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The flow, with nothing that leads back to a patient."""
        return {
            "considered": self.considered,
            "steps": [asdict(step) for step in self.steps],
            "included": len(self.members),
            "patients": len({one.example.patient for one in self.members}),
            "outcomes_left_out": self.outcomes_left_out,
            "splits": {split: self._counts(split) for split in SPLITS},
            "labels": list(self.labels),
            "rules": self.rules,
            "digest": self.digest,
        }

    def _counts(self, split: SplitName) -> dict[str, Any]:
        members = self.of(split)
        return {
            "ecgs": len(members),
            "patients": len({one.example.patient for one in members}),
            "positives": {
                label: sum(one.example.labels[column] == 1 for one in members)
                for column, label in enumerate(self.labels)
            },
            "negatives": {
                label: sum(one.example.labels[column] == 0 for one in members)
                for column, label in enumerate(self.labels)
            },
        }


def split_of(patient_keys: Iterable[str]) -> SplitName:
    """The split of a patient known under these keys: the most cautious of what each key says (train, then validation)."""
    places = [int(hashlib.sha256(f"ecgfm split {key}".encode()).hexdigest()[:12], 16) % 1000 for key in patient_keys]
    lowest = min(places)
    return "train" if lowest < TRAIN_BELOW else "validation" if lowest < VALIDATION_BELOW else "test"


#: For each row the coded reasons why the head may not score it, empty where it may.
Evaluable = Callable[[Sequence[EcgRow]], Iterable[Sequence[str]]]


def build(
    ecgs: Sequence[EcgRow],
    labelling: Labelling,
    rules: CohortRules,
    *,
    now: datetime,
    evaluable: Evaluable,
    outcomes_left_out: dict[str, int] | None = None,
) -> Cohort:
    """The cohort of one head. `evaluable` is asked last, because it reads signals."""
    funnel = _Funnel(ecgs)
    funnel.drop("test-data", "marked as test data by the sender", lambda row: row.test_data)
    funnel.drop("superseded", "an older version of a recording that was sent again", lambda row: row.superseded)
    funnel.drop("no-signal", "the signal was removed by retention", lambda row: not row.kept)
    funnel.drop("no-patient", "no patient identifier", lambda row: not row.identified)
    funnel.drop("no-time", "no acquisition time", lambda row: row.acquired_at is None)
    funnel.drop("future", "acquired in the future", lambda row: row.acquired_at is not None and row.acquired_at > now)
    funnel.drop("too-short", "shorter than 5 s", lambda row: segment_count(row.samples, row.sampling_rate) < 1)
    funnel.drop("age", f"age outside {_ages(rules)}", lambda row: not _age_fits(row, rules))
    labelled = funnel.label(labelling)
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
        outcomes_left_out=outcomes_left_out or {},
        rules={**asdict(rules), "labelling": labelling.to_json()},
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

    def label(self, labelling: Labelling) -> dict[str, Labelled]:
        given = {row.key: labelling.label(row) for row in self.rows}
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
    """All but the first of recordings with the same samples."""
    seen: set[str] = set()
    repeated = set()
    for row in sorted(rows, key=lambda row: row.key):
        if row.content and row.content in seen:
            repeated.add(row.key)
        seen.add(row.content)
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
    return Member(example=example, split=split_of(row.patient_keys), row=row, labelled=labelled)
