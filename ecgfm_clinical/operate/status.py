"""The output of `status`: how the installation stands, as a document for programs and as text for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ecgfm_clinical.monitoring.attention import NeedsPerson, needs_person
from ecgfm_clinical.settings import Attention

if TYPE_CHECKING:
    from ecgfm_clinical.staging.model_records import DriftFinding, ModelRow
    from ecgfm_clinical.staging.outcomes import OutcomeCount
    from ecgfm_clinical.staging.records import Backlog, Counts
    from ecgfm_clinical.staging.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreQueue:
    """The jobs of the scoring workers."""

    waiting: int
    running: int
    failed: int
    oldest_seconds: float | None  #: how long the oldest waiting job waits


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationState:
    """What one destination has still to get, or would not take, and whether it can be reached."""

    waiting: int  #: messages
    set_aside: Mapping[str, int]  #: reason -> messages
    set_aside_in_doubt: int  #: of these messages: may have left all the same
    oldest_seconds: float | None
    state: str  #: `closed` where it can be reached
    out_of_reach_seconds: float | None
    last_acknowledged_at: str | None  #: ISO 8601, to the second


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model by its digest and by its name."""

    model_id: str
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDrift:
    """What the last drift report found."""

    at: datetime
    model_id: str
    findings: "tuple[DriftFinding, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsInUse:
    """Which model is live, which answers in its shadow, and what the last drift report found."""

    live: NamedModel | None
    shadow: NamedModel | None
    drift: LastDrift | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UntoldAudit:
    """What waits for the audit repository."""

    waiting: int
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPause:
    """What a person has paused."""

    kind: str
    name: str
    reason: str
    paused_at: datetime
    paused_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of the installation; the names of the fields are the keys of `status --json`."""

    ecgs: "Counts"
    by_source: "Mapping[str, Counts]"
    by_head: "Mapping[str, Counts]"
    last_received_at: Mapping[str, str | None]  #: listener or source -> ISO 8601, to the second
    scoring: ScoreQueue
    destinations: Mapping[str, DestinationState]
    set_aside: Mapping[str, int]  #: reason code -> payloads
    outcomes: "tuple[OutcomeCount, ...]"
    model: ModelsInUse
    audit_messages: UntoldAudit | None  #: None where nothing is told to an audit repository
    displaced: str | None  #: why nothing is sent; None where the store is at home
    paused: tuple[ShownPause, ...]
    owed: Mapping[str, int]  #: head -> ECGs that wait for its answer, because it was paused when they were scored
    served_by: tuple[str, ...]  #: living processes with their roles
    last_served_at: str | None  #: when any process last served the store, ISO 8601; None where none ever did
    needs_person: NeedsPerson

    @property
    def needs_attention(self) -> bool:
        """Whether anything waits for a person."""
        return self.needs_person.count > 0

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            **asdict(self),
            "needs_person": self.needs_person.document(),
            "needs_attention": self.needs_attention,
        }


def status_of(
    store: "Store",
    *,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    limits: Attention | None = None,
    sources: Sequence[str] = (),
) -> Status:
    """The state of the installation; the ECGs counted are those received in [since, until).

    `sources` are the listeners and sources of the settings: when each last brought something is told.
    """
    table, backlog = store.questions.count_table(since=since, until=until), store.questions.backlog()
    return Status(
        ecgs=table.total,
        by_source=table.by_source,
        by_head=table.by_head,
        last_received_at={name: _iso(at) for name, at in store.movement.last_received(sources).items()},
        scoring=ScoreQueue(
            waiting=backlog.jobs_waiting,
            running=backlog.jobs_running,
            failed=backlog.jobs_failed,
            oldest_seconds=_age(backlog.oldest_job, now),
        ),
        destinations=_destinations(store, backlog, now),
        set_aside=store.questions.refusals(),
        outcomes=tuple(store.outcomes.counts()),
        model=_models(store),
        audit_messages=_audit_messages(store, now),
        displaced=store.home.displaced(),
        paused=_paused(store),
        owed=store.pauses.owed(),
        served_by=tuple(f"{one.holder} ({one.roles})" for one in store.processes.all() if not one.is_silent(now)),
        last_served_at=_iso(store.processes.last_served()),
        needs_person=needs_person(store, now=now, limits=limits or Attention(), backlog=backlog),
    )


def _destinations(store: "Store", backlog: "Backlog", now: datetime) -> dict[str, DestinationState]:
    acknowledged = store.movement.last_acknowledged(backlog.destinations)
    stands = {name: store.destinations.status(name, now=now) for name in backlog.destinations}
    return {
        name: DestinationState(
            waiting=one.waiting + one.running,
            set_aside={why.value: number for why, number in sorted(one.set_aside.items())},
            set_aside_in_doubt=one.set_aside_in_doubt,
            oldest_seconds=_age(one.oldest, now),
            state=stands[name].state.value,
            out_of_reach_seconds=_age(stands[name].since, now),
            last_acknowledged_at=_iso(acknowledged[name]),
        )
        for name, one in backlog.destinations.items()
    }


def _audit_messages(store: "Store", now: datetime) -> UntoldAudit | None:
    untold = store.audit_spool.untold()
    if not (untold.count or store.database.spooled):
        return None
    return UntoldAudit(waiting=untold.count, oldest_seconds=_age(untold.oldest, now))


def _paused(store: "Store") -> tuple[ShownPause, ...]:
    return tuple(
        ShownPause(kind=one.kind, name=one.name, reason=one.reason, paused_at=one.paused_at, paused_by=one.paused_by)
        for one in store.pauses.current()
    )


def _models(store: "Store") -> ModelsInUse:
    registry = store.models
    live, shadow, drift = registry.live(), registry.shadow(), registry.last_drift()
    return ModelsInUse(
        live=_named(live) if live else None,
        shadow=_named(shadow[0]) if shadow else None,
        drift=LastDrift(at=drift.at, model_id=drift.model_id, findings=drift.findings) if drift else None,
    )


def _named(row: "ModelRow") -> NamedModel:
    return NamedModel(model_id=row.model_id, name=row.name, version=row.version)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else round((now - since).total_seconds(), 1)


def sum_text(counts: "Counts") -> str:
    """The sum that must close."""
    return (
        f"{counts.received} received = {counts.scored} scored + {counts.not_evaluable} not evaluable"
        f" + {counts.failed} failed + {counts.waiting} waiting"
    )


def status_text(found: Status) -> str:
    """`status_of` for people."""
    return "\n".join(_status_lines(found))


def _status_lines(found: Status) -> Iterator[str]:
    yield f"ECGs            {sum_text(found.ecgs)}"
    yield f"served          {_served(found)}"
    for name, counts in found.by_source.items():
        yield f"  from {name:10} {sum_text(counts)}"
    for name, counts in found.by_head.items():
        yield f"  head {name:10} {sum_text(counts)}"
    for name, at in found.last_received_at.items():
        yield f"  last by {name:7} {at or 'never'}"
    scoring = found.scoring
    yield f"score jobs      {scoring.waiting} waiting, {scoring.running} running, {scoring.failed} failed"
    for name, destination in found.destinations.items():
        yield from _destination_lines(name, destination)
    if (untold := found.audit_messages) is not None:
        yield f"audit messages  {untold.waiting} wait for the audit repository{_oldest(untold.oldest_seconds)}"
    if found.displaced:
        yield f"DISPLACED       nothing is sent, because {found.displaced}; see `ecgfm-clinical store adopt --help`"
    for pause in found.paused:
        what = " ".join(filter(None, (pause.kind, pause.name)))
        yield f"PAUSED          {what} since {_iso(pause.paused_at)} by {pause.paused_by}: {pause.reason}"
    for head, number in found.owed.items():
        yield f"owed            {number} ECGs wait for the answer of {head}, which was paused when they were scored"
    yield from _model_lines(found.model)
    for code, count in found.set_aside.items():
        yield f"set aside       {count} × {code}"
    for one in found.outcomes:
        what = f"left out: {one.reason}" if one.reason else "taken"
        yield f"outcomes        {one.source}: {one.number} × {one.kind} {one.code} {what}"
    yield from _needs_lines(found.needs_person)


def _served(found: Status) -> str:
    """By whom, in words: a service that was stopped in good order is no fault, and must not be overlooked."""
    if found.served_by:
        return "by " + ", ".join(found.served_by)
    if found.last_served_at is None:
        return "by no process, ever: nothing is received, scored or sent until `ecgfm-clinical run` is started"
    return f"by no process since {found.last_served_at}: nothing is received, scored or sent"


def _destination_lines(name: str, one: DestinationState) -> Iterator[str]:
    reasons = ", ".join(f"{number} {why}" for why, number in one.set_aside.items())
    set_aside = f"{sum(one.set_aside.values())} set aside" + (f" ({reasons})" if one.set_aside else "")
    last = f", last acknowledged {one.last_acknowledged_at or 'never'}"
    yield f"to {name:12} {one.waiting} messages waiting{_oldest(one.oldest_seconds)}, {set_aside}{last}"
    if one.state != "closed":
        yield (
            f"  {name:13} can't be reached for {one.out_of_reach_seconds or 0:.0f} s; all messages follow its first "
            "answer"
        )


def _oldest(seconds: float | None) -> str:
    return "" if seconds is None else f", oldest {seconds:.0f} s"


def _model_lines(found: ModelsInUse) -> Iterator[str]:
    for what, one in (("live", found.live), ("shadow", found.shadow)):
        if one:
            yield f"model {what:9} {one.name} {one.version} ({one.model_id[:12]})"
    for finding in found.drift.findings if found.drift else ():
        yield f"drift           {finding.month}: {finding.text}"


def _needs_lines(needs: NeedsPerson) -> Iterator[str]:
    """What waits for a person, and the command that shows each."""
    if not needs.count:
        return
    yield f"A person must look at {needs.count}:"
    for question, number in needs.held.items():
        yield f"  {number} × {question}, held: `ecgfm-clinical held list`"
    for why, number in needs.set_aside.items():
        yield f"  {number} × message set aside, {why}: `ecgfm-clinical replay --dead --list`"
    if needs.set_aside_in_doubt:
        yield f"    {needs.set_aside_in_doubt} of these messages may have left all the same: the receiver may hold them"
    if needs.failed_score_jobs:
        yield f"  {needs.failed_score_jobs} × ECG whose scoring failed: `ecgfm-clinical held list`"
    if needs.patient_mismatches:
        yield (
            f"  {needs.patient_mismatches} × payload refused, for it names two patients: `ecgfm-clinical payloads list`"
        )
    if needs.unreadable:
        yield f"  {needs.unreadable} × payload that cannot be read, or in part: `ecgfm-clinical payloads list`"
    if needs.unscored_too_long:
        yield "  an ECG waits too long for its score: is `ecgfm-clinical run --role score` running?"
    for name in needs.unsent_too_long:
        yield f"  a result waits too long for {name}: `ecgfm-clinical check`"
    for name in needs.out_of_reach:
        yield f"  {name} cannot be reached for too long: `ecgfm-clinical check`, then the receiver's side"
    for one in needs.failing_tasks:
        yield f"  task {one.task} is {one.state} ({one.error or 'no error'}) in {one.process}: see its log"
    for holder in needs.silent_processes:
        yield f"  the process {holder} gives no sign of life: see its host"
    if needs.displaced:
        yield "  the store lies elsewhere than where it last sent from: `ecgfm-clinical store adopt --help`"
