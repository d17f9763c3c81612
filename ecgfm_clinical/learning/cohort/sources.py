"""Where ECGs for learning come from: the staging store, or a research archive (`cohort.archive`).

A source lists rows and reads ECGs by key, singly or a page at a time. Signals stream: nothing but rows is ever held for
a whole cohort.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ecgfm.records import Record
from ecgfm_clinical.ecg.evaluability import judge
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeKind, OutcomeRow
from ecgfm_clinical.staging.cohorts import Cohorts
from ecgfm_connectors.ecg import Ecg

PAGE = 64  #: ECGs read in one question to the store: some 15 MB


class EcgSource(Protocol):
    """ECGs that a head may learn from."""

    @property
    def shifted_dates(self) -> bool:
        """Whether its dates are no real ones: then a day to come is no reason to leave an ECG out."""

    def rows(self) -> list[EcgRow]: ...

    def outcomes(self, kind: OutcomeKind) -> list[OutcomeRow]:
        """Every measured result of one kind."""

    def contacts(self) -> list[OutcomeRow]:
        """Every measured result of whatever kind: its specimen or echo was taken from a living patient."""

    def ecg(self, key: str) -> Ecg:
        """One ECG with its signal."""

    def ecgs(self, keys: Sequence[str]) -> Iterator[Ecg]:
        """Many of them, in order, never more than a page in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """The `ecgfm.finetuning.dataset.Reader` of a source: key -> the signal as the network takes it."""

    source: EcgSource

    def __call__(self, key: str) -> Record:
        one = self.source.ecg(key)
        return Record(signal=one.signal, sampling_rate=one.sampling_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """Rows -> why the head may not score each, in codes: the same judgement as before scoring."""

    source: EcgSource
    rules: HeadRules

    def __call__(self, rows: Sequence[EcgRow]) -> Iterator[tuple[str, ...]]:
        for one in self.source.ecgs([row.key for row in rows]):
            yield tuple(reason.code for reason in judge(one, self.rules))


class StagedEcgs:
    """Everything that was staged up to a moment, as it was known then: the same moment gives the same rows again."""

    shifted_dates = False

    def __init__(self, cohorts: Cohorts, as_of: datetime) -> None:
        self._cohorts = cohorts
        self._as_of = as_of

    def rows(self) -> list[EcgRow]:
        return self._cohorts.ecgs(as_of=self._as_of)

    def outcomes(self, kind: OutcomeKind) -> list[OutcomeRow]:
        """Every measured result of one kind as it was known then."""
        return self._cohorts.outcomes(kind, as_of=self._as_of)

    def contacts(self) -> list[OutcomeRow]:
        """Every measured result as it was known then, of whatever kind."""
        return self._cohorts.contacts(as_of=self._as_of)

    def ecg(self, key: str) -> Ecg:
        (found,) = self.ecgs([key])
        return found

    def ecgs(self, keys: Sequence[str]) -> Iterator[Ecg]:
        for start in range(0, len(keys), PAGE):
            yield from self._cohorts.recordings(keys[start : start + PAGE])
