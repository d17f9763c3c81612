"""Members of a cohort become rows that name nobody.

A row is made from what the cohort knows, field by field: what is not named here does not leave. A person's dates are
moved by one number of whole weeks, so that weekday, time of day and every interval stay; what was recorded at 90 or
later has no date, because an interval from a younger age would tell the age.
"""

import hmac
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

from ecgfm_clinical.deidentification.rules import GROUPED_FROM, Rules
from ecgfm_clinical.files.pseudonyms import pseudonym
from ecgfm_clinical.learning.cohort.members import Member, SplitName
from ecgfm_clinical.staging.cohort_rows import EcgRow
from ecgfm_connectors.patient import Sex
from ecgfm_connectors.statements.vocabularies import from_code

#: Weeks by which a person's dates are moved into the future: about 75 to 150 years.
SHIFT_WEEKS = (3913, 7826)
OTHER = "other"

Kept = Literal["device", "codes", "statements"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recording as others get it."""

    key: str = field(repr=False)  #: of the store, for reading the signal; never written
    name: str  #: pseudonym of the recording, 32 hexadecimal digits
    patient: str  #: pseudonym of the person
    age: int | None  #: whole years; 90 for all from 90 on
    sex: Sex
    acquired_at: datetime | None  #: shifted, UTC, to the minute
    device: str
    site: str
    codes: tuple[str, ...]
    statements: tuple[str, ...]
    samples: int
    sampling_rate: float  #: Hz
    split: SplitName
    labels: tuple[float, ...]  #: 0, 1 or NaN


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The rows, in the order of their pseudonyms, and how many values were left out because few people share them."""

    rows: tuple[Row, ...] = field(repr=False)
    withheld: dict[Kept, int]


def released(members: Sequence[Member], rules: Rules) -> Released:
    """Everything that leaves of these members, but for the signals."""
    rows = [one.row for one in members]
    devices = _shared(((row.patient, _device(row)) for row in rows), rules.fewest)
    codes = _shared(((row.patient, code) for row in rows for code in _codes(row)), rules.fewest)
    texts = _shared(((row.patient, text) for row in rows for text in _texts(row)), rules.fewest)
    withheld: Counter[Kept] = Counter()

    def kept(what: Kept, values: Iterable[str], shared: frozenset[str]) -> tuple[str, ...]:
        found = tuple(values)
        withheld[what] += sum(one not in shared for one in found)
        return tuple(one for one in found if one in shared)

    made = []
    for member in members:
        row = member.row
        device = kept("device", [_device(row)] if _device(row) else [], devices) if rules.device == "model" else ("",)
        made.append(
            Row(
                key=row.key,
                name=pseudonym(rules.key, "cohort recording", row.key),
                patient=pseudonym(rules.key, "cohort patient", row.patient),
                age=None if row.age is None else min(int(row.age), GROUPED_FROM),
                sex=row.sex,
                acquired_at=_moved(row, rules),
                device=device[0] if device else OTHER if _device(row) else "",
                site=pseudonym(rules.key, "cohort site", row.site)[:8] if rules.site == "keyed" and row.site else "",
                codes=() if rules.statements == "dropped" else kept("codes", _codes(row), codes),
                statements=kept("statements", _texts(row), texts) if rules.statements == "text" else (),
                samples=row.samples,
                sampling_rate=row.sampling_rate,
                split=member.split,
                labels=member.example.labels,
            )
        )
    return Released(rows=tuple(sorted(made, key=lambda row: row.name)), withheld=dict(withheld))


def shift(key: bytes, patient: str) -> timedelta:
    """By how much one person's dates are moved."""
    drawn = int.from_bytes(hmac.new(key, f"cohort shift {patient}".encode(), sha256).digest()[:8], "big")
    first, last = SHIFT_WEEKS
    return timedelta(weeks=first + drawn % (last - first + 1))


def _moved(row: EcgRow, rules: Rules) -> datetime | None:
    if rules.dates == "dropped" or row.acquired_at is None or (row.age is not None and row.age >= GROUPED_FROM):
        return None
    moved = row.acquired_at.astimezone(UTC) + shift(rules.key, row.patient)
    return moved.replace(second=0, microsecond=0)


def _device(row: EcgRow) -> str:
    return " ".join(row.device.split())


def _codes(row: EcgRow) -> tuple[str, ...]:
    """Codes of the closed vocabularies; a sender's own could say anything."""
    parts = (code.partition(":") for code in row.codes)
    return tuple(
        f"{system}:{code}" for system, _, code in parts if code and from_code(system, code).concept != "unread"
    )


def _texts(row: EcgRow) -> tuple[str, ...]:
    return tuple(text for one in row.statements if (text := " ".join(one.split())))


def _shared(told: Iterable[tuple[str, str]], fewest: int) -> frozenset[str]:
    """Values that at least so many people have."""
    people: defaultdict[str, set[str]] = defaultdict(set)
    for patient, value in told:
        people[value].add(patient)
    return frozenset(value for value, own in people.items() if value and len(own) >= fewest)
