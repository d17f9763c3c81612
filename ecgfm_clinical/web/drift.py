"""What the reports on drift found, newest first."""

from starlette.responses import Response

from ecgfm_clinical.web.visit import Visit

SHOWN = 24  #: two years of monthly reports


def show(visit: Visit) -> Response:
    """Each report with its findings, and which model it is about."""
    registry = visit.store.models
    names = {row.model_id: f"{row.name} {row.version}" for row in registry.models()}
    return visit.page("drift.html", found=registry.drifts(limit=SHOWN), names=names, live=registry.live())
