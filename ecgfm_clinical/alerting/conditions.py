"""What is wrong now: every condition of which the site is told, by one look at the store and this machine.

Each function gives the conditions of one kind. Their texts hold numbers and names of configured parts.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ecgfm_clinical.alerting import rhythm
from ecgfm_clinical.alerting.shares import Share, has_risen
from ecgfm_clinical.monitoring.attention import NeedsPerson, needs_person
from ecgfm_clinical.monitoring.certificates import expiry_of
from ecgfm_clinical.staging.alerts import Condition

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Alerts, Settings
    from ecgfm_clinical.staging.records import Backlog
    from ecgfm_clinical.staging.store import Store

DAY = timedelta(days=1)
PAST = timedelta(days=28)
MEGABYTE = 1_000_000
GIGABYTE = 1000 * MEGABYTE
LONG_LOG = GIGABYTE  #: of SQLite: a commit empties it once it has 32 MB, where no reader holds an old view

Kind = Callable[["Settings", "Store", datetime], Iterator[Condition]]


def conditions(settings: "Settings", store: "Store", *, now: datetime) -> Iterator[Condition]:
    """Everything that is wrong at `now`. Raises StoreUnavailable."""
    backlog = store.questions.backlog()
    needs = needs_person(store, now=now, limits=settings.attention, backlog=backlog)
    yield from _silent_sources(settings, store, now)
    yield from _waiting(settings.alerts, backlog, now)
    yield from _destinations(settings, store, needs, now)
    yield from _people(needs)
    yield from _running(needs)
    yield from _shares(settings, store, now)
    yield from _model(store, backlog)
    yield from _paused(store, now)
    yield from _machine(settings, store, now)
    yield from _growth(settings, store, now)
    for channel, error in store.alerts.failing_channels().items():
        yield Condition(
            name="channel-failing",
            subject=channel,
            severity="warning",
            text=f"alerts cannot be told by {channel} ({error})",
        )


def audit_conditions(store: "Store") -> Iterator[Condition]:
    """Whether the audit trail is whole; reads all of it."""
    if faults := store.care.audit_faults():
        text = f"the audit trail was tampered with at {len(faults)} places: `ecgfm-clinical audit --verify`"
        yield Condition(name="audit-broken", severity="critical", text=text)


def _silent_sources(settings: "Settings", store: "Store", now: datetime) -> Iterator[Condition]:
    names = (*settings.listeners.names, *settings.sources.names)
    for name, last in store.movement.last_received(names).items():
        if last is None or not (told := _silence(settings, store, name, last, now)):
            continue
        yield Condition(name="source-silent", subject=name, severity="warning", text=f"nothing came by {name} {told}")


def _silence(settings: "Settings", store: "Store", name: str, last: datetime, now: datetime) -> str:
    """For how long a source is silent, in words; empty where it is not."""
    fixed = settings.alerts.silent_hours_of.get(name, settings.alerts.silent_hours)
    if fixed is not None:
        hours = (now - last) / rhythm.HOUR
        return f"for {hours:.0f} hours" if hours >= fixed else ""
    zone = settings.site.zone
    known = rhythm.learn(
        store.movement.arrivals(name, since=now - rhythm.WEEKS * timedelta(weeks=1), until=now), zone=zone, now=now
    )
    if not rhythm.is_silent(known, last, zone=zone, now=now):
        return ""
    hours = rhythm.silent_for(known, last, zone=zone, now=now)
    return f"for {hours:.0f} of its {'working ' if known.is_learnt else ''}hours"


def _waiting(limits: "Alerts", backlog: "Backlog", now: datetime) -> Iterator[Condition]:
    oldest = backlog.oldest_job
    if oldest is not None and now - oldest > timedelta(minutes=limits.unscored_minutes):
        text = f"{backlog.jobs_waiting} ECGs wait for their score, the oldest for {_minutes(now - oldest)} minutes"
        yield Condition(name="unscored", severity="critical", text=text)
    for name, one in backlog.destinations.items():
        if one.oldest is not None and now - one.oldest > timedelta(minutes=limits.unsent_minutes):
            text = f"{one.waiting} results wait for {name}, the oldest for {_minutes(now - one.oldest)} minutes"
            yield Condition(name="unsent", subject=name, severity="critical", text=text)


def _destinations(settings: "Settings", store: "Store", needs: NeedsPerson, now: datetime) -> Iterator[Condition]:
    for name in settings.destination_names:
        since = store.destinations.status(name, now=now).since
        if since is not None and now - since > timedelta(minutes=10):
            text = f"{name} cannot be reached for {_minutes(now - since)} minutes; results wait, none is lost"
            yield Condition(name="destination-out-of-reach", subject=name, severity="critical", text=text)
    if aside := sum(needs.set_aside.values()):
        text = f"{aside} result messages are set aside: `ecgfm-clinical replay --dead --list`"
        yield Condition(name="messages-set-aside", severity="warning", text=text)


def _people(needs: NeedsPerson) -> Iterator[Condition]:
    if held := sum(needs.held.values()):
        text = f"{held} recordings are held for a person: `ecgfm-clinical held list`"
        yield Condition(name="recordings-held", severity="info", text=text)
    if payloads := needs.unreadable + needs.patient_mismatches:
        text = f"{payloads} payloads need a look: `ecgfm-clinical payloads list`"
        yield Condition(name="payloads-need-a-look", severity="info", text=text)
    if needs.failed_score_jobs:
        text = f"{needs.failed_score_jobs} ECGs could not be scored: `ecgfm-clinical held list`"
        yield Condition(name="scoring-failed", severity="warning", text=text)


def _running(needs: NeedsPerson) -> Iterator[Condition]:
    for one in needs.failing_tasks:
        text = f"task {one.task} is {one.state} ({one.error or 'no error'}); see the log of its process"
        yield Condition(name="task-failing", subject=one.task, severity="warning", text=text)
    if needs.silent_processes:
        text = f"{len(needs.silent_processes)} processes give no signs of life: `ecgfm-clinical status` names them"
        yield Condition(name="process-silent", severity="critical", text=text)
    if needs.displaced:
        text = "nothing is sent: the store lies elsewhere than before; `ecgfm-clinical store adopt --help`"
        yield Condition(name="store-displaced", severity="critical", text=text)


def _shares(settings: "Settings", store: "Store", now: datetime) -> Iterator[Condition]:
    """Of the last day against the four weeks before it, by source."""
    for name in (*settings.listeners.names, *settings.sources.names):
        for condition, ask, words in (
            ("refused-share", store.movement.refused, "of what comes by {name} is refused"),
            ("not-evaluable-share", store.movement.not_evaluable, "of the ECGs by {name} are not evaluable"),
            ("outcomes-left-out-share", store.movement.outcomes_left_out, "of the outcomes by {name} are left out"),
        ):
            today, past = _share(ask(name, now - DAY, now)), _share(ask(name, now - DAY - PAST, now - DAY))
            if has_risen(today, past):
                text = f"{today.value:.0%} {words.format(name=name)}, {past.value:.0%} in the four weeks before"
                yield Condition(name=condition, subject=name, severity="warning", text=text)


def _model(store: "Store", backlog: "Backlog") -> Iterator[Condition]:
    if backlog.oldest_job is not None and store.models.live() is None:
        text = f"{backlog.jobs_waiting} ECGs wait for their score and no model is live: `ecgfm-clinical model list`"
        yield Condition(name="model-missing", severity="critical", text=text)
    drift = store.models.last_drift()
    if drift is not None and drift.findings:
        text = f"the last drift report has {len(drift.findings)} findings: `ecgfm-clinical drift`"
        yield Condition(name="drift", severity="info", text=text)


def _paused(store: "Store", now: datetime) -> Iterator[Condition]:
    """A pause that is forgotten stops results as surely as a fault."""
    for one in store.pauses.current():
        minutes = _minutes(now - one.paused_at)
        text = f"{one.part} is paused for {minutes} minutes by {one.paused_by}: `ecgfm-clinical resume {one.part}`"
        yield Condition(name="paused", subject=str(one.part), severity="warning", text=text)


def _machine(settings: "Settings", store: "Store", now: datetime) -> Iterator[Condition]:
    limits, room = settings.alerts, store.room()
    if room.free is not None and room.free < max(limits.free_mb, settings.store.min_free_mb) * MEGABYTE:
        least = settings.store.min_free_mb
        text = f"{room.free // MEGABYTE} MB are free where the store lies; below {least} nothing is taken"
        yield Condition(name="disk-nearly-full", severity="critical", text=text)
    if room.log is not None and room.log > LONG_LOG:
        text = f"the store's write-ahead log has {room.log // MEGABYTE} MB: a reader holds an old view"
        yield Condition(name="store-log-long", severity="warning", text=text)
    for part, path in settings.certificates().items():
        ends = expiry_of(path)
        if ends is not None and ends - now < timedelta(days=limits.certificate_days):
            over = ends <= now
            text = f"the certificate of {part} {'ended' if over else 'ends'} {ends:%Y-%m-%d}"
            text += ": the other side refuses it" if over else ""
            yield Condition(
                name="certificate-ends", subject=part, severity="critical" if over else "warning", text=text
            )
    if gaps := store.elapsed.gaps():
        text = f"the clock jumped or nothing ran at {len(gaps)} times; retention waits: `ecgfm-clinical retain --help`"
        yield Condition(name="clock-gap", severity="info", text=text)


def _growth(settings: "Settings", store: "Store", now: datetime) -> Iterator[Condition]:
    """Full in so many days, as the store has grown in the last."""
    room = store.room()
    given, least = settings.alerts.store_gb, settings.store.min_free_mb * MEGABYTE
    if given is not None:
        left = round(given * GIGABYTE) - room.size
    elif room.free is not None and room.log is not None:  # of a server, free is what another volume has
        left = room.free - least
    else:
        return
    growth = store.sizes.growth(room.size, now=now)
    if growth is None or (days := growth.days_until(left)) is None or days >= settings.alerts.full_days:
        return
    each = f"{growth.per_day / MEGABYTE:.0f} MB a day over the last {growth.during / DAY:.0f} days"
    text = f"the store grew by {each}: its room lasts {days:.0f} more"
    yield Condition(name="store-fills", severity="critical" if days < 2 else "warning", text=text)


def _share(counted: tuple[int, int]) -> Share:
    some, whole = counted
    return Share(some=some, all=whole)


def _minutes(age: timedelta) -> int:
    return round(age.total_seconds() / 60)
