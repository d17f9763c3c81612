"""How things stand: the sum, the queues, sources and destinations, the model, alerts, and what needs a person."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import Response

from ecgfm_clinical import wiring
from ecgfm_clinical.alerting import rhythm
from ecgfm_clinical.operate.status import status_of
from ecgfm_clinical.web.visit import Visit

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """One way in."""

    name: str
    last: datetime | None
    usual: str  #: its working hours, for people
    is_silent: bool


def show(visit: Visit) -> Response:
    """Today, or the period that is asked for."""
    period = visit.asked.text("period") or "today"
    since, until = visit.asked.time("since", visit.console.zone), visit.asked.time("until", visit.console.zone)
    if since is None and until is None and period == "today":
        since = _midnight(visit)
    settings, store = visit.settings, visit.store
    found = status_of(
        store,
        now=visit.now,
        since=since,
        until=until,
        limits=settings.attention,
        sources=wiring.source_names(settings),
    )
    return visit.page(
        "now.html",
        found=found,
        sources=list(_sources(visit, wiring.source_names(settings))),
        alerts=store.alerts.current(),
        live=store.models.live(),
        since=since,
        until=until,
    )


def _midnight(visit: Visit) -> datetime:
    local = visit.now.astimezone(visit.console.zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _sources(visit: Visit, names: tuple[str, ...]) -> Iterator[SourceLine]:
    last = visit.store.movement.last_received(names)
    zone, now = visit.settings.site.zone, visit.now
    for name in names:
        at = last.get(name)
        arrivals = visit.store.movement.arrivals(name, since=now - timedelta(weeks=rhythm.WEEKS), until=now)
        learnt = rhythm.learn(arrivals, zone=zone, now=now)
        yield SourceLine(
            name=name,
            last=at,
            usual=_hours(learnt),
            is_silent=at is not None and name != "ingest" and rhythm.is_silent(learnt, at, zone=zone, now=now),
        )


def _hours(learnt: rhythm.Rhythm) -> str:
    """Such as `Mon 7–18, Tue 7–18`: from the first working hour of a day to the end of its last."""
    if not learnt.is_learnt:
        return "not learnt yet"
    told = []
    for day, name in enumerate(_DAYS):
        hours = [hour for weekday, hour in learnt.working if weekday == day]
        if hours:
            told.append(f"{name} {min(hours)}–{max(hours) + 1}")
    return ", ".join(told)
