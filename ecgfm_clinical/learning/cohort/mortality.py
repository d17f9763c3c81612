"""Death within some days of the ECG, by the dates of death that a store or a table holds.

That nobody told of a death is no evidence of life. An ECG is negative only where the patient was seen alive after the
window: by a later ECG, a later measured result of any kind, or a row of a table that says so. Otherwise its follow-up
is too short and it is left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ecgfm_clinical.learning.cohort.labelling import UNDECIDED, Exclusion, Labelled
from ecgfm_clinical.learning.documents import Notes
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeKind, OutcomeRow
from ecgfm_connectors.decision import DEATH

_DAY = timedelta(days=1)

FOLLOW_UP = Exclusion(code="follow-up", text="no death is known, and nothing shows the patient alive after the window")
DOUBTFUL = Exclusion(
    code="death-doubtful", text="dates of death differ, or the patient was seen more than a day after the date of death"
)


def seen_alive(ecgs: Iterable[EcgRow], results: Iterable[OutcomeRow], *, now: datetime) -> Iterator[OutcomeRow]:
    """Each moment at which a patient was alive, as a row of kind `death` with the value 0; none of what is doubtful."""
    for row in ecgs:
        good = row.identified and not (row.doubtful or row.test_data or row.superseded)
        if good and row.acquired_at is not None and row.acquired_at <= now:
            yield _alive(f"alive:{row.key}", row.patient, row.acquired_at)
    for one in results:
        if one.status != "withdrawn" and one.observed_at <= now:
            yield _alive(f"alive:{one.key}", one.patient, one.observed_at)


def _alive(key: str, patient: str, at: datetime) -> OutcomeRow:
    return OutcomeRow(key=key, patient=patient, kind=DEATH, status="final", value=0.0, unit="", observed_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mortality:
    """Death from any cause within a window after the ECG: a head that the settings declare."""

    name: str
    target: str
    window: timedelta
    outcome_kind: OutcomeKind = DEATH

    @property
    def labels(self) -> tuple[str, ...]:
        return (self.name,)

    def label(self, ecg: EcgRow, results: Sequence[OutcomeRow]) -> Labelled | Exclusion:
        """`results`: deaths (1) and moments of life (0). A death known by its day may lie anywhere in that day."""
        assert ecg.acquired_at is not None
        at, end = ecg.acquired_at, ecg.acquired_at + self.window
        deaths = [row for row in results if row.value == 1]
        last = max((row.observed_at for row in results if row.value == 0), default=None)
        if not deaths:
            if last is None or last < end:
                return FOLLOW_UP
            return Labelled(labels=(0.0,), outcome_at=last)
        low = min(row.observed_at for row in deaths)
        if max(row.observed_at for row in deaths) - low > _DAY:
            return DOUBTFUL
        high = min(row.observed_at if row.observed_precision != "day" else row.observed_at + _DAY for row in deaths)
        if high < at or (last is not None and last > high + _DAY):
            return DOUBTFUL
        if low <= end < high:
            return UNDECIDED
        return Labelled(labels=(float(high <= end),), outcome_at=low, distance=abs(low - at))

    def to_json(self) -> Notes:
        return {"rule": "mortality", "window_days": self.window / _DAY, "contacts": ["ecg", "measured results"]}
