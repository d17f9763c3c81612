"""The registry of models: what is live, what the gate said of each head, what was live when."""

from collections.abc import Iterator, Mapping

from starlette.responses import Response

from ecgfm_clinical.staging.model_records import KeptVerdict
from ecgfm_clinical.web.lines import ModelLine
from ecgfm_clinical.web.model_acts import number_of_models
from ecgfm_clinical.web.visit import Visit

MOST_EVENTS = 100


def show(visit: Visit) -> Response:
    """Every registered model, newest first, and the newest acts."""
    registry = visit.store.models
    at = visit.asked.time("at", visit.console.zone)
    return visit.page(
        "models.html",
        found=list(_lines(visit, registry.states())),
        history=registry.history()[-MOST_EVENTS:][::-1],
        names={row.model_id: f"{row.name} {row.version}" for row in registry.models()},
        numbers=number_of_models(visit),
        agreement=visit.store.opinions.agreement(),
        at=at,
        then=registry.live(at=at) if at is not None else None,
    )


def _lines(visit: Visit, states: Mapping[str, str]) -> Iterator[ModelLine]:
    for row in visit.store.models.models():
        newest: dict[str, KeptVerdict] = {}
        for verdict in visit.store.models.judgements(model_id=row.model_id):
            newest.setdefault(verdict.head, verdict)
        yield ModelLine(row=row, state=states[row.model_id], verdicts=tuple(newest.values()))
