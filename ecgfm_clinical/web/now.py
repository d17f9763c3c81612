"""How things stand: the sum, the queues, sources and destinations, the model, alerts, and what needs a person."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import Response

from ecgfm_clinical import wiring
from ecgfm_clinical.alerting import rhythm
from ecgfm_clinical.operate.decisions import QUESTIONS
from ecgfm_clinical.operate.status import status_of
from ecgfm_clinical.web.lines import SourceLine
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_, Say

PERIODS = {
    "today": N_("today"),
    "yesterday": N_("yesterday"),
    "week": N_("7 days"),
    "month": N_("30 days"),
    "all": N_("all time"),
}
_DAYS = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietDestination:
    """A destination for which nothing waits."""

    name: str
    in_reach: bool
    last: datetime | None  #: acknowledgement


def show(visit: Visit) -> Response:
    """Today, or the period that is asked for."""
    period = visit.asked.text("period") or "today"
    since, until = visit.asked.time("since", visit.console.zone), visit.asked.time("until", visit.console.zone)
    if since is None and until is None:
        since, until = _period(period, _midnight(visit))
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
        quiet=list(_quiet(visit, found.destinations)),
        questions={name: asked for name, (asked, *_) in QUESTIONS.items()},
        since=since,
        until=until,
        periods=PERIODS,
        period="" if visit.asked.text("since") or visit.asked.text("until") else period,
    )


def _quiet(visit: Visit, busy: Collection[str]) -> Iterator[QuietDestination]:
    """The destinations for which nothing waits."""
    names = [name for name in visit.settings.destination_names if name not in busy]
    acknowledged = visit.store.movement.last_acknowledged(names)
    for name in names:
        in_reach = visit.store.destinations.status(name, now=visit.now).since is None
        yield QuietDestination(name=name, in_reach=in_reach, last=acknowledged[name])


def _period(name: str, midnight: datetime) -> tuple[datetime | None, datetime | None]:
    """From when until when; what is named otherwise is all time."""
    match name:
        case "today":
            return midnight, None
        case "yesterday":
            return midnight - timedelta(days=1), midnight
        case "week":
            return midnight - timedelta(days=6), None
        case "month":
            return midnight - timedelta(days=29), None
        case _:
            return None, None


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
            ago=None if at is None else (now - at).total_seconds(),
            usual=_hours(learnt, visit.say),
            is_learnt=learnt.is_learnt,
            is_silent=at is not None and name != "ingest" and rhythm.is_silent(learnt, at, zone=zone, now=now),
        )


def _hours(learnt: rhythm.Rhythm, say: Say) -> str:
    """Such as `Mon–Fri 7–18, Sat 8–12`: from the first working hour of a day to the end of its last."""
    if not learnt.is_learnt:
        return say("not learnt yet")
    told: list[tuple[int, int, str]] = []  # first and last day that have these hours
    for day in range(len(_DAYS)):
        hours = [hour for weekday, hour in learnt.working if weekday == day]
        if not hours:
            continue
        span = f"{min(hours)}–{max(hours) + 1}"
        if told and told[-1][1:] == (day - 1, span):
            told[-1] = (told[-1][0], day, span)
        else:
            told.append((day, day, span))
    days = [say(one) for one in _DAYS]
    return ", ".join(f"{days[one] if one == last else f'{days[one]}–{days[last]}'} {span}" for one, last, span in told)
