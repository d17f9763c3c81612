"""What remains in an export: each field that is kept, how rare its combinations are, and what a person must judge.

The counts are of people. They say how far somebody who knows age, sex and the other kept fields of a person narrows
the cohort down (k-anonymity: Sweeney 2002, doi:10.1142/S0218488502001648); they are no proof that nobody can be
recognised.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ecgfm_clinical.deidentification.rows import Released, Row
from ecgfm_clinical.deidentification.rules import GROUPED_FROM, Rules
from ecgfm_clinical.learning.cohort.members import Cohort, Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column that leaves, and how it was made."""

    name: str
    how: str
    distinct: int  #: values
    empty: int  #: recordings without one
    withheld: int = 0  #: values left out because too few people share them


@dataclass(frozen=True, slots=True, kw_only=True)
class Combinations:
    """How many people share age, sex and the other kept fields; each person counts in the smallest group of theirs."""

    fields: tuple[str, ...]
    smallest: int  #: people in the smallest group; 0 without anyone
    alone: int  #: people whom nobody equals in one of their recordings
    below_5: int
    below_10: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """All of the report."""

    head: str
    ecgs: int
    patients: int
    form: str
    fields: tuple[Field, ...]
    combinations: Combinations
    unique_intervals: int  #: people with several dates whose days between them nobody else has
    grouped: int  #: recordings of people of 90 or older
    rare_labels: Mapping[str, int]  #: label -> people with it, where they are fewer than the rule asks for
    sentences: Mapping[str, int]  #: each sentence that leaves -> recordings
    judge: tuple[str, ...]  #: what no program can decide
    flow: Flow  #: how the cohort was found, objections included


def remains(head: str, cohort: Cohort, released: Released, rules: Rules) -> Remains:
    """What the files of this export say of people."""
    rows = released.rows
    combinations = _combinations(rows)
    sentences = Counter(text for row in rows for text in row.statements)
    unique = _unique_intervals(rows)
    rare = _rare_labels(cohort.labels, rows, rules.fewest)
    return Remains(
        head=head,
        ecgs=len(rows),
        patients=len({row.patient for row in rows}),
        form=rules.form,
        fields=tuple(_fields(released, cohort.labels, rules)),
        combinations=combinations,
        unique_intervals=unique,
        grouped=sum(row.age == GROUPED_FROM for row in rows),
        rare_labels=rare,
        sentences=dict(sentences.most_common()),
        judge=tuple(_judge(rules, combinations, unique, rare)),
        flow=cohort.flow,
    )


def _fields(released: Released, labels: Sequence[str], rules: Rules) -> list[Field]:
    rows = released.rows
    kept = f"kept where at least {rules.fewest} people share it"
    made: dict[str, tuple[list[str], str]] = {
        "recording": ([row.name for row in rows], "pseudonym (HMAC-SHA-256)"),
        "patient": ([row.patient for row in rows], "pseudonym (HMAC-SHA-256), one a person"),
        "age": ([_text(row.age) for row in rows], f"whole years; {GROUPED_FROM} stands for {GROUPED_FROM} or older"),
        "sex": ([str(row.sex) for row in rows], "as it is"),
        "acquired_at": (
            [_text(row.acquired_at) for row in rows],
            "dropped"
            if rules.dates == "dropped"
            else "UTC to the minute, moved by one number of whole weeks a person: weekday, time of day and intervals "
            f"are real; none from {GROUPED_FROM} years on",
        ),
        "device": ([row.device for row in rows], "dropped" if rules.device == "dropped" else f"{kept}, else `other`"),
        "site": ([row.site for row in rows], "dropped" if rules.site == "dropped" else "pseudonym"),
        "codes": (
            [" ".join(row.codes) for row in rows],
            "dropped" if rules.statements == "dropped" else f"of closed vocabularies; {kept}",
        ),
        "statements": (
            ["|".join(row.statements) for row in rows],
            f"free text; {kept}" if rules.statements == "text" else "dropped",
        ),
        "samples": ([_text(row.samples) for row in rows], "as it is"),
        "sampling_rate": ([_text(row.sampling_rate) for row in rows], "as it is, Hz"),
        "split": ([str(row.split) for row in rows], "as the head's training has it"),
    }
    told = [
        Field(
            name=name,
            how=how,
            distinct=len(set(values) - {""}),
            empty=values.count(""),
            withheld=sum(count for what, count in released.withheld.items() if what == name),
        )
        for name, (values, how) in made.items()
    ]
    for number, label in enumerate(labels):
        known = [row.labels[number] for row in rows if not math.isnan(row.labels[number])]
        told.append(
            Field(name=label, how="label: 1, 0 or empty", distinct=len(set(known)), empty=len(rows) - len(known))
        )
    told.append(
        Field(name="signal", how="as stored, mV; nothing of the payload or its header", distinct=len(rows), empty=0)
    )
    return told


def _combinations(rows: Sequence[Row]) -> Combinations:
    groups: defaultdict[tuple[object, ...], set[str]] = defaultdict(set)
    for row in rows:
        groups[_known(row)].add(row.patient)
    smallest: dict[str, int] = {}
    for own in groups.values():
        for patient in own:
            smallest[patient] = min(smallest.get(patient, len(own)), len(own))
    sizes = list(smallest.values())
    return Combinations(
        fields=("age", "sex", "device", "site", "sampling_rate", "samples"),
        smallest=min(sizes, default=0),
        alone=sum(size == 1 for size in sizes),
        below_5=sum(size < 5 for size in sizes),
        below_10=sum(size < 10 for size in sizes),
    )


def _known(row: Row) -> tuple[object, ...]:
    """What somebody who knows the person may know of a recording."""
    return row.age, row.sex, row.device, row.site, row.sampling_rate, row.samples


def _unique_intervals(rows: Sequence[Row]) -> int:
    days: defaultdict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        if row.acquired_at is not None:
            days[row.patient].append(row.acquired_at)
    patterns = [tuple((at - min(own)).days for at in sorted(own)) for own in days.values() if len(own) > 1]
    return sum(count == 1 for count in Counter(patterns).values())


def _rare_labels(labels: Sequence[str], rows: Sequence[Row], fewest: int) -> dict[str, int]:
    people = {label: len({row.patient for row in rows if row.labels[at] == 1}) for at, label in enumerate(labels)}
    return {label: count for label, count in people.items() if count < fewest}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _judge(rules: Rules, combinations: Combinations, unique: int, rare: Mapping[str, int]) -> Iterator[str]:
    yield (
        "The signal itself stays. Whoever has another ECG of a person may recognise the person by it; an agreement "
        "with the recipient must forbid trying."
    )
    yield (
        f"{combinations.alone} people are alone with their {', '.join(combinations.fields)} in this cohort. Whether "
        "that is bearable depends on how many people outside of it are alike, and on who receives it."
    )
    if rules.dates == "shifted":
        yield (
            f"Weekday, time of day and the days between recordings are real; {unique} people have days between theirs "
            "that nobody else has. US Safe Harbor asks for `--dates dropped`; shifted dates need an expert."
        )
    if rare:
        yield f"{len(rare)} labels are of fewer than {rules.fewest} people (below); a rare finding may name a person."
    if rules.statements == "text":
        yield "Each sentence below leaves as it is. Read all: one that many share may still name who confirmed it."
    if rules.device == "model" or rules.site == "keyed":
        yield "A device or a site that only this hospital has says which hospital it was."
    yield "`data/README.md` holds the head's target sentence as the settings have it: read whether it names anyone."
    yield "Whether consent, the ethics committee and the law allow this recipient and this purpose."
