"""Everything that waits for a person, in one list: `status`, the metrics and the alerts read it here."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ecgfm_clinical import liveness
from ecgfm_clinical.monitoring import learners

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Attention
    from ecgfm_clinical.staging.records import Backlog
    from ecgfm_clinical.staging.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingTask:
    """A task of a living process that fails again and again, or hangs; a command that learns and no longer gets on."""

    process: str
    task: str
    state: str  #: failing | hanging
    error: str  #: class of the last error


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsPerson:
    """What waits for a person, by kind."""

    held: Mapping[str, int]  #: question -> recordings
    set_aside: Mapping[str, int]  #: reason -> messages
    set_aside_in_doubt: int  #: of these messages: may have left all the same
    failed_score_jobs: int
    patient_mismatches: int  #: payloads refused because they name two patients
    unreadable: int  #: payloads
    unscored_too_long: bool
    unsent_too_long: tuple[str, ...]  #: destinations
    out_of_reach: tuple[str, ...]  #: destinations that cannot be reached for too long
    failing_tasks: tuple[FailingTask, ...]
    silent_processes: tuple[str, ...]
    displaced: bool  #: the store lies elsewhere than where it last sent from

    @property
    def count(self) -> int:
        return sum(number for _, number in self.kinds())

    def kinds(self) -> Iterator[tuple[str, int]]:
        """Kind -> how many; messages in doubt are among those set aside."""
        yield "held", sum(self.held.values())
        yield "set_aside", sum(self.set_aside.values())
        yield "failed_score_jobs", self.failed_score_jobs
        yield "patient_mismatches", self.patient_mismatches
        yield "unreadable", self.unreadable
        yield "unscored_too_long", int(self.unscored_too_long)
        yield "unsent_too_long", len(self.unsent_too_long)
        yield "out_of_reach", len(self.out_of_reach)
        yield "failing_tasks", len(self.failing_tasks)
        yield "silent_processes", len(self.silent_processes)
        yield "displaced", int(self.displaced)

    def document(self) -> dict[str, object]:
        """For programs, as `status --json` shows it."""
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"count": self.count, **told}


def needs_person(
    store: "Store", *, now: datetime, limits: "Attention", backlog: "Backlog | None" = None
) -> NeedsPerson:
    """As the store stands at `now`; `backlog` where it was read already. Raises StoreUnavailable."""
    backlog = backlog or store.questions.backlog()
    aside: Counter[str] = Counter()
    for one in backlog.destinations.values():
        aside.update({why.value: number for why, number in one.set_aside.items()})
    payloads = store.questions.payloads_to_look_at()
    mismatches = payloads.get("patient-mismatch", 0)
    processes = store.processes.all()
    silent = tuple(one.holder for one in processes if one.is_silent(now))
    return NeedsPerson(
        held=store.questions.held(),
        set_aside=dict(sorted(aside.items())),
        set_aside_in_doubt=sum(one.set_aside_in_doubt for one in backlog.destinations.values()),
        failed_score_jobs=backlog.jobs_failed,
        patient_mismatches=mismatches,
        unreadable=sum(payloads.values()) - mismatches,
        unscored_too_long=backlog.oldest_job is not None and now - backlog.oldest_job > limits.unscored,
        unsent_too_long=tuple(
            name for name, one in backlog.destinations.items() if one.oldest and now - one.oldest > limits.unsent
        ),
        out_of_reach=tuple(
            name
            for name in backlog.destinations
            if (since := store.destinations.status(name, now=now).since) is not None and now - since > limits.outage
        ),
        failing_tasks=(
            *(
                FailingTask(process=one.holder, task=ailing.task, state=ailing.state, error=ailing.error)
                for one in processes
                if one.holder not in silent
                for ailing in one.ailing
            ),
            *(
                FailingTask(process=holder, task=liveness.role_of(holder), state="hanging", error="NoProgress")
                for holder in learners.standing_still(store, now=now)
            ),
        ),
        silent_processes=silent,
        displaced=store.home.displaced() is not None,
    )
