"""Where ECGs for learning come from: the staging store, or a research archive (`learning.archive`).

A source lists rows and reads one ECG at a time by key. Signals stream: nothing but rows is ever held for a whole cohort.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ecgfm.predictor import Record
from ecgfm_clinical.evaluability import judge
from ecgfm_clinical.learning.rows import EcgRow, OutcomeKind, OutcomeRow
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging import learning as queries
from ecgfm_clinical.staging.registry import Registry
from ecgfm_connectors.ecg import Ecg


class EcgSource(Protocol):
    """ECGs that a head may learn from."""

    def rows(self) -> list[EcgRow]: ...

    def ecg(self, key: str) -> Ecg:
        """One ECG with its signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """The `ecgfm.dataset.Reader` of a source: key -> the signal as the network takes it."""

    source: EcgSource

    def __call__(self, key: str) -> Record:
        one = self.source.ecg(key)
        return Record(signal=one.signal, sampling_rate=one.sampling_rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """row -> why the head may not score it, in codes: the same judgement as before scoring."""

    source: EcgSource
    rules: HeadRules

    def __call__(self, row: EcgRow) -> tuple[str, ...]:
        return tuple(reason.code for reason in judge(self.source.ecg(row.key), self.rules))


class StoreSource:
    """Everything that was staged up to a moment, as it was known then: the same moment gives the same rows again."""

    def __init__(self, registry: Registry, *, as_of: datetime) -> None:
        self._registry = registry
        self._as_of = as_of

    def rows(self) -> list[EcgRow]:
        with self._registry.asking() as ask:
            return queries.ecg_rows(ask, as_of=self._as_of)

    def outcomes(self, kind: OutcomeKind) -> list[OutcomeRow]:
        """Every measured result of one kind as it was known then."""
        with self._registry.asking() as ask:
            return queries.outcome_rows(ask, kind, as_of=self._as_of)

    def ecg(self, key: str) -> Ecg:
        with self._registry.asking() as ask:
            (found,) = queries.signals(ask, [key])
        assert isinstance(found, Ecg)
        return found
