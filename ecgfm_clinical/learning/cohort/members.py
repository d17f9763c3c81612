"""The ECGs that a head may learn from, each with its label and its split, and how they were found.

Leakage is kept out by construction: a patient is in one split, by a hash of the key that stays the same over years; a
patient known under several keys is in the test split only if every key says so, so nobody trained on under an old
number is ever tested on.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from pydantic import PlainSerializer

from ecgfm.finetuning.dataset import Example
from ecgfm_clinical.learning.cohort.labelling import Labelled
from ecgfm_clinical.learning.documents import Notes
from ecgfm_clinical.staging.cohort_rows import EcgRow

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

#: Positive and negative ECGs of a label that each split needs before anything is trained.
LEAST: Mapping[SplitName, int] = {"train": 20, "validation": 5, "test": 5}

#: Shares of patients, in thousandths of the hash: never to be changed, or yesterday's training patients would be tested
#: on.
TRAIN_BELOW, VALIDATION_BELOW = 700, 850


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRules:
    """What is left out besides ECGs without a label."""

    min_age: int | float | None = 18  # int as well, so that a record read back says 18 as it was written
    max_age: int | float | None = None
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
class AppliedRules(CohortRules):
    """Every rule by which a cohort was found."""

    labelling: Notes  #: the labelling's own rules
    labels_left_out: Mapping[str, str] = field(default_factory=dict)  #: label -> what it lacked

    def to_json(self) -> dict[str, object]:
        """For documents and the digest, which must stay the same over years."""
        told = asdict(self)
        return told if self.labels_left_out else {name: own for name, own in told.items() if name != "labels_left_out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCounts:
    """One split in numbers."""

    ecgs: int
    patients: int
    positives: Mapping[str, int]  #: label -> ECGs
    negatives: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """How a cohort was found, with nothing that leads back to a patient."""

    considered: int  #: ECGs before the first exclusion
    steps: tuple[Step, ...]
    included: int
    patients: int
    outcomes_left_out: Mapping[str, int]
    splits: Mapping[SplitName, SplitCounts]
    labels: tuple[str, ...]
    rules: Annotated[AppliedRules, PlainSerializer(AppliedRules.to_json)]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The members, and how they were found."""

    labels: tuple[str, ...]
    members: tuple[Member, ...] = field(repr=False)
    considered: int  #: ECGs before the first exclusion
    steps: tuple[Step, ...]
    outcomes_left_out: Mapping[str, int]
    rules: AppliedRules

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
        rules = self.rules.to_json()
        return hashlib.sha256(json.dumps([told, self.labels, rules], sort_keys=True).encode()).hexdigest()

    @property
    def flow(self) -> Flow:
        return Flow(
            considered=self.considered,
            steps=self.steps,
            included=len(self.members),
            patients=len({one.example.patient for one in self.members}),
            outcomes_left_out=self.outcomes_left_out,
            splits={split: self.counts(split) for split in SPLITS},
            labels=self.labels,
            rules=self.rules,
            digest=self.digest,
        )

    def counts(self, split: SplitName) -> SplitCounts:
        members = self.of(split)
        return SplitCounts(
            ecgs=len(members),
            patients=len({one.example.patient for one in members}),
            positives={label: _count(members, column, 1) for column, label in enumerate(self.labels)},
            negatives={label: _count(members, column, 0) for column, label in enumerate(self.labels)},
        )


def _count(members: Iterable[Member], column: int, value: float) -> int:
    return sum(member.example.labels[column] == value for member in members)


def split_of(patient_keys: Iterable[str]) -> SplitName:
    """The split of a patient known under these keys: the most cautious of what each key says (train, then
    validation).
    """
    places = [int(hashlib.sha256(f"ecgfm split {key}".encode()).hexdigest()[:12], 16) % 1000 for key in patient_keys]
    lowest = min(places)
    return "train" if lowest < TRAIN_BELOW else "validation" if lowest < VALIDATION_BELOW else "test"
