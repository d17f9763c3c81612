"""The whole installation as one line for Nagios, Icinga and Checkmk, by the guidelines of the Monitoring Plugins."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ecgfm_clinical.monitoring.attention import NeedsPerson, needs_person

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Attention
    from ecgfm_clinical.staging.store import Store

_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
#: Kinds of `NeedsPerson` that mean that ECGs or results do not move; the others need a person in their own time.
_STANDSTILL = frozenset(
    {
        "unscored_too_long",
        "unsent_too_long",
        "out_of_reach",
        "failing_tasks",
        "silent_processes",
        "displaced",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Exit code and output line."""

    code: int
    line: str


def state_of(store: "Store", *, now: datetime, limits: "Attention") -> State:
    """Raises StoreUnavailable."""
    backlog = store.questions.backlog()
    needs = needs_person(store, now=now, limits=limits, backlog=backlog)
    lives = any(not one.is_silent(now) for one in store.processes.all())
    code = _code(needs, lives=lives)
    told = [f"{number} {kind.replace('_', ' ')}" for kind, number in needs.kinds() if number]
    if not lives:
        told.insert(0, "no process serves this store")
    counts = store.questions.counts()
    figures = {
        "received": f"{counts.received}c",
        "waiting": counts.waiting,
        "failed": counts.failed,
        "unsent": sum(one.waiting + one.running for one in backlog.destinations.values()),
        "set_aside": sum(one.dead for one in backlog.destinations.values()),
        "needs_person": needs.count,
    }
    text = ", ".join(told) or "everything moves, nobody is needed"
    return State(code=code, line=f"ECGFM {_WORDS[code]} - {text} | " + " ".join(f"{k}={v}" for k, v in figures.items()))


def _code(needs: NeedsPerson, *, lives: bool) -> int:
    if not lives or any(number for kind, number in needs.kinds() if kind in _STANDSTILL):
        return 2
    return 1 if needs.count else 0
