"""From the outcomes around one ECG to its label: which echo, which troponin, which words of the report count.

A labelling is a frozen set of rules with one method: an ECG and its patient's results -> labels, or an `Exclusion` with
the reason why it has none. Times are compared between acquisition and the moment the specimen was drawn or the echo was
made, never the report's.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from ecgfm_clinical.learning.cohort.measurements import Unusable, at_bedside, raised, reduced, times_limit
from ecgfm_clinical.learning.documents import Notes
from ecgfm_clinical.rules import AssayLimit
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeKind, OutcomeRow

Outcomes = Mapping[str, Sequence[OutcomeRow]]  #: patient -> their results of one kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Why an ECG has no label."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The labels of one ECG and where they come from."""

    labels: tuple[float, ...]  #: 0, 1, or NaN where not known, in the order of the head's labels
    outcome_at: datetime | None = None
    distance: timedelta = (
        timedelta()
    )  #: between ECG and outcome, never negative: of several ECGs the nearest counts first
    outcome_first: bool = False  #: the outcome was known, or could have been, when the ECG was recorded


class Labelling(Protocol):
    """What a head learns: its labels, and the rules that give them to an ECG."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def target(self) -> str:
        """One sentence: what a positive label means."""

    @property
    def outcome_kind(self) -> OutcomeKind | None:
        """The kind of measured result that gives the labels; None where they come from elsewhere."""

    def label(self, ecg: EcgRow, results: Sequence[OutcomeRow]) -> Labelled | Exclusion:
        """`results` are the patient's usable ones of that kind, oldest first."""

    def to_json(self) -> Notes:
        """The rules, for the record."""


DAY_ONLY = Exclusion(code="day-only", text="only the day of the results is known, and the window is one of hours")
NO_OUTCOME = Exclusion(code="no-outcome", text="no usable result of this patient")
UNDECIDED = Exclusion(code="outcome-undecided", text="the reported range lies on both sides of the threshold")
NO_LABEL = Exclusion(code="no-label", text="the table has no label for this recording")
OUTSIDE = Exclusion(code="outside-window", text="no result inside the time window")


def usable(rows: Sequence[OutcomeRow], *, now: datetime) -> tuple[Outcomes, dict[str, int]]:
    """Results by patient, without withdrawn and future ones; and how many were left out, by reason."""
    found: defaultdict[str, list[OutcomeRow]] = defaultdict(list)
    left_out = {"withdrawn": 0, "future": 0}
    for row in rows:
        if row.status == "withdrawn":
            left_out["withdrawn"] += 1
        elif row.observed_at > now:
            left_out["future"] += 1
        else:
            found[row.patient].append(row)
    ordered = {patient: sorted(own, key=lambda row: (row.observed_at, row.key)) for patient, own in found.items()}
    return ordered, left_out


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedLvef:
    """LVEF at or below a threshold by the nearest echo within a window on either side (McKeen et al. 2025: 40 %, 7
    days).
    """

    threshold: float = 40.0  #: %, inclusive; the paper has 50, 40, 35 and 30
    window: timedelta = timedelta(days=7)
    labels: tuple[str, ...] = ("reduced_lvef",)
    outcome_kind: OutcomeKind = "lvef"

    @property
    def target(self) -> str:
        return (
            f"A left ventricular ejection fraction of {self.threshold:g} % or less in the nearest echocardiogram "
            f"within {self.window.days} days of the ECG."
        )

    def label(self, ecg: EcgRow, results: Sequence[OutcomeRow]) -> Labelled | Exclusion:
        assert ecg.acquired_at is not None
        at = ecg.acquired_at
        if not results:
            return NO_OUTCOME
        near = [row for row in results if abs(row.observed_at - at) <= self.window]
        if not near:
            return OUTSIDE
        problem = Exclusion(code="unusable", text="")
        for row in sorted(near, key=lambda row: (abs(row.observed_at - at), row.observed_at, row.key)):
            try:
                label = reduced(row, self.threshold)
            except Unusable as error:  # the nearest with a value counts, as in the paper
                problem = Exclusion(code=f"outcome-{error.code}", text=error.text)
                continue
            return Labelled(
                labels=(float(label),),
                outcome_at=row.observed_at,
                distance=abs(row.observed_at - at),
                outcome_first=row.observed_at <= at,
            )
        return problem

    def to_json(self) -> Notes:
        return {
            "rule": "reduced_lvef",
            "threshold_percent": self.threshold,
            "window_days": self.window / timedelta(days=1),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedTroponin:
    """A troponin above its own assay's 99th percentile (Fourth Universal Definition), drawn near the time of the ECG.

    Assays are compared only as multiples of their limits.
    """

    limits: tuple[AssayLimit, ...] = ()
    select: Literal["first", "peak"] = "peak"
    before: timedelta = timedelta(hours=2)
    after: timedelta = timedelta(hours=6)
    drop_after_peak: bool = False  #: leave out ECGs recorded after the episode's highest troponin
    episode: timedelta = timedelta(hours=72)  #: draws at most this far from the ECG belong to its episode
    labels: tuple[str, ...] = ("troponin",)
    outcome_kind: OutcomeKind = "troponin"

    @property
    def target(self) -> str:
        return (
            f"A cardiac troponin above the assay's own 99th percentile ({self.select} of the draws from "
            f"{_hours(self.before)} h before to {_hours(self.after)} h after the ECG)."
        )

    def label(self, ecg: EcgRow, results: Sequence[OutcomeRow]) -> Labelled | Exclusion:
        assert ecg.acquired_at is not None
        at = ecg.acquired_at
        if not results:
            return NO_OUTCOME
        timed = [row for row in results if row.observed_precision != "day"]
        if not timed:
            return DAY_ONLY
        if not any(-self.before <= row.observed_at - at <= self.after for row in timed):
            return OUTSIDE
        near, problem = self._measured(ecg, at, timed)
        inside = [one for one in near if -self.before <= one[0].observed_at - at <= self.after]
        if not inside:
            return problem
        if self.drop_after_peak and at > max(near, key=lambda one: one[2])[0].observed_at:
            return Exclusion(code="after-peak", text="recorded after the highest troponin of the episode")
        chosen, label, _ = inside[0] if self.select == "first" else max(inside, key=lambda one: one[2])
        return Labelled(
            labels=(float(label),),
            outcome_at=chosen.observed_at,
            distance=abs(chosen.observed_at - at),
            outcome_first=chosen.observed_at <= at,
        )

    def _measured(
        self, ecg: EcgRow, at: datetime, own: Sequence[OutcomeRow]
    ) -> tuple[list[tuple[OutcomeRow, bool, float]], Exclusion]:
        """The episode's draws that can be judged, in order of time: (row, above its limit, multiple of its limit)."""
        found, problem = [], Exclusion(code="unusable", text="")
        for row in own:
            if abs(row.observed_at - at) > self.episode:
                continue
            try:
                label, (low, _) = raised(row, ecg.sex, self.limits), times_limit(row, ecg.sex, self.limits)
            except Unusable as error:
                problem = Exclusion(code=f"outcome-{error.code}", text=error.text)
            else:
                found.append((row, label, low))
        # Point of care and laboratory measure differently: where the laboratory has measured, it alone counts.
        return [one for one in found if not at_bedside(one[0])] or found, problem

    def to_json(self) -> Notes:
        return {
            "rule": "troponin",
            "select": self.select,
            "before_hours": self.before / timedelta(hours=1),
            "after_hours": self.after / timedelta(hours=1),
            "drop_after_peak": self.drop_after_peak,
            "limits": [asdict(limit) for limit in self.limits],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A measured result above, or at or below, a value near the time of the ECG: a head that the settings declare."""

    name: str
    target: str
    outcome_kind: OutcomeKind
    threshold: float  #: in the kind's own unit
    above: bool  #: positive above the threshold; else at or below it
    before: timedelta
    after: timedelta
    select: Literal["nearest", "highest", "lowest"] = "nearest"

    @property
    def labels(self) -> tuple[str, ...]:
        return (self.name,)

    def label(self, ecg: EcgRow, results: Sequence[OutcomeRow]) -> Labelled | Exclusion:
        assert ecg.acquired_at is not None
        at = ecg.acquired_at
        if not results:
            return NO_OUTCOME
        timed = [row for row in results if row.observed_precision != "day" or self.before >= timedelta(days=1)]
        if not timed:
            return DAY_ONLY
        near = [row for row in timed if -self.before <= row.observed_at - at <= self.after]
        if not near:
            return OUTSIDE
        known = [row for row in near if self._is_positive(row) is not None]
        if not known:
            return UNDECIDED
        chosen = min(known, key=lambda row: (self._rank(row, at), abs(row.observed_at - at), row.observed_at, row.key))
        return Labelled(
            labels=(float(bool(self._is_positive(chosen))),),
            outcome_at=chosen.observed_at,
            distance=abs(chosen.observed_at - at),
            outcome_first=chosen.observed_at <= at,
        )

    def _rank(self, row: OutcomeRow, at: datetime) -> float:
        low, high = _span(row)
        if self.select == "nearest":
            return abs(row.observed_at - at) / timedelta(seconds=1)
        return -high if self.select == "highest" else low

    def _is_positive(self, row: OutcomeRow) -> bool | None:
        """None where the reported range lies on both sides of the threshold."""
        low, high = _span(row)
        if low > self.threshold or (low == self.threshold and row.comparator == ">"):
            return self.above
        return not self.above if high <= self.threshold else None

    def to_json(self) -> Notes:
        return {
            "rule": "measurement",
            "kind": self.outcome_kind,
            "threshold": self.threshold,
            "positive": "above" if self.above else "at or below",
            "select": self.select,
            "before_hours": self.before / timedelta(hours=1),
            "after_hours": self.after / timedelta(hours=1),
        }


def _span(row: OutcomeRow) -> tuple[float, float]:
    """What the reported value allows."""
    low = -math.inf if row.comparator in ("<", "<=") else row.value
    high = math.inf if row.comparator in (">", ">=") else row.value if row.upper_value is None else row.upper_value
    return low, high


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Labels that somebody already wrote down, by ECG: a table of a research data set."""

    table: Mapping[str, tuple[float, ...]] = field(repr=False)  #: EcgRow.key -> labels
    labels: tuple[str, ...]
    source: str  #: where the table comes from, for the record
    meaning: str  #: the target sentence
    missing: Exclusion = NO_LABEL  #: why an ECG without one has none
    outcome_kind: None = None

    @property
    def target(self) -> str:
        return self.meaning

    def label(self, ecg: EcgRow, results: Sequence[OutcomeRow]) -> Labelled | Exclusion:
        labels = self.table.get(ecg.key)
        if labels is None or all(math.isnan(value) for value in labels):
            return self.missing
        return Labelled(labels=labels)

    def to_json(self) -> Notes:
        return {"rule": "given", "labels": list(self.labels), "source": self.source}
