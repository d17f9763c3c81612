"""Claimed ECGs as the network takes them, in whatever process: loaded, judged for each head, prepared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ecgfm.feeding import Prepared, no_segments, prepared
from ecgfm.records import Record
from ecgfm_clinical.ecg.evaluability import Reason, judge, signal_reasons
from ecgfm_clinical.errors import PreparationLost, StoreError
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging.records import Job, StagedEcg
from ecgfm_clinical.staging.store import Store

Judged = Mapping[str, tuple[Reason, ...]]  #: head -> the reasons why it may not score this ECG

#: What each process of a crew loads once.
MODULES = (__name__,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """One claimed ECG, judged."""

    job: Job
    received_at: datetime | None = None
    judged: Judged = field(default_factory=dict)
    error: Exception | None = None  #: why it could not be judged or prepared


def record_of(one: StagedEcg) -> Record:
    """What the network takes of a staged ECG."""
    return Record(signal=one.ecg.signal, sampling_rate=one.ecg.sampling_rate, site=one.site)


def judged_by(one: StagedEcg, rules: Mapping[str, HeadRules]) -> Judged:
    """By every head that is switched on."""
    of_signal = signal_reasons(one.ecg)
    return {head: judge(one.ecg, own, of_signal=of_signal) for head, own in rules.items() if own.enabled}


def prepare_jobs(
    jobs: Sequence[Job], *, store: Store, rules: Mapping[str, HeadRules], preprocessing: str
) -> list[Prepared[Ready]]:
    """In order; an ECG that no head may score has no segments. Raises StoreError."""
    batch = store.ecgs.load([job.ecg_id for job in jobs])
    return [_ready(job, one, rules, preprocessing) for job, one in zip(jobs, batch, strict=True)]


def _ready(job: Job, one: StagedEcg, rules: Mapping[str, HeadRules], preprocessing: str) -> Prepared[Ready]:
    try:
        judged = judged_by(one, rules)
        ready = Ready(job=job, received_at=one.received_at, judged=judged)
        if all(judged.values()):
            return Prepared(what=ready, segments=no_segments())
        return prepared(ready, record_of(one), preprocessing)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001  an ECG that cannot be judged or prepared fails alone
        return Prepared(what=Ready(job=job, received_at=one.received_at, error=error), segments=no_segments())


def lost(job: Job, became: str) -> list[Prepared[Ready]]:
    """The answer for an ECG that kills or hangs the process that prepares it, and what became of that."""
    error = PreparationLost(f"the process that prepared it {became}, also with this ECG alone; is there enough memory?")
    return [Prepared(what=Ready(job=job, error=error), segments=no_segments())]


_store: Store | None = None


def begin(open_store: Callable[[], Store]) -> None:
    """In each process of a crew: a store of its own, that only reads."""
    global _store
    _store = open_store()


def prepare_here(jobs: Sequence[Job], *, rules: Mapping[str, HeadRules], preprocessing: str) -> list[Prepared[Ready]]:
    """As `prepare_jobs`, after `begin`."""
    assert _store is not None, "begin comes first"
    return prepare_jobs(jobs, store=_store, rules=rules, preprocessing=preprocessing)
