"""The audit trail: who did what when, and whether anybody changed it."""

from starlette.responses import Response

from ecgfm_clinical.operate.audit_trail import verify_trail
from ecgfm_clinical.web.visit import Visit

PER_PAGE = 100


def show(visit: Visit) -> Response:
    """Newest first, page by page."""
    asked = visit.asked
    found = visit.store.care.found(
        limit=PER_PAGE + 1,
        before=asked.number("before"),
        action=asked.text("action"),
        actor=asked.text("actor"),
        ecg_id=asked.number("ecg"),
    )
    further = asked.query(before=str(found[PER_PAGE - 1].event_id)) if len(found) > PER_PAGE else ""
    return visit.page("audit.html", found=found[:PER_PAGE], further=further)


def verify(visit: Visit) -> Response:
    """Check the chain and the signed heads, as `audit --verify` does."""
    found = verify_trail(visit.settings, visit.store)
    title = visit.say("The trail was changed") if found.faults else visit.say("The trail is whole")
    return visit.done(title, [*found.faults, *found.remarks], back="/audit")
