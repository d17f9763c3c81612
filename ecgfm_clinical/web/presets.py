"""Filters of the page ECGs under a name: those that come with the console, and a person's own."""

from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.staging.presets import Preset
from ecgfm_clinical.web.asking import Asked
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_

#: What a kept filter may hold: no number, for that leads to one person's order; and no place in the list.
KEPT = ("source", "state", "head", "answer", "reason", "device", "since", "until")
LONGEST_NAME = 40


def shipped(today: str) -> tuple[Preset, ...]:
    """Everybody's. `today`: midnight in the site's zone, as the filter writes it."""
    found = (
        (N_("Today"), {"since": today}),
        (N_("Waiting"), {"state": "waiting"}),
        (N_("Failed"), {"state": "failed"}),
        (N_("Not evaluable today"), {"state": "not_evaluable", "since": today}),
        (N_("Positive today"), {"answer": "positive", "since": today}),
    )
    return tuple(Preset(preset_id=0, name=name, query=urlencode(query)) for name, query in found)


def kept(visit: Visit) -> tuple[Preset, ...]:
    """This person's own."""
    return tuple(visit.store.presets.of(_person(visit)))


def keep(visit: Visit) -> Response:
    """Keep the filter of the page under a name; one of the same name is replaced."""
    name = visit.form.text("name")
    if not 0 < len(name) <= LONGEST_NAME:
        raise InputError(f"give the filter a name of 1 to {LONGEST_NAME} characters")
    asked = Asked.of(visit.form.text("query"))
    query = urlencode({field: value for field in KEPT if (value := asked.text(field))})
    visit.store.presets.keep(_person(visit), name, query)
    return RedirectResponse(f"/ecgs?{query}", 303)


def forget(visit: Visit) -> Response:
    """Of this person's own."""
    visit.store.presets.forget(_person(visit), visit.form.number("preset") or 0)
    return RedirectResponse("/ecgs", 303)


def _person(visit: Visit) -> str:
    return visit.user.name if visit.user is not None else ""
