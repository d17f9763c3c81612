"""Measured outcomes: which results became labels, what was left out and why, with the number marked in its sentence."""

from collections import Counter
from typing import TYPE_CHECKING

from starlette.responses import Response

from ecgfm_clinical.web.pieces import LONGEST, Left, Piece, Taken, marked
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_

if TYPE_CHECKING:
    from ecgfm_clinical.staging.outcomes import KeptLeftOut, KeptOutcome

PER_PAGE = 50


def show(visit: Visit) -> Response:
    """Newest first, without texts."""
    return _page(visit, is_open=False)


def opened(visit: Visit) -> Response:
    """The same with the sentences. That somebody looks is in the audit trail first."""
    visit.store.audit_spool.note("patient.opened", now=visit.now, actor=visit.actor, detail={"page": "outcomes"})
    return _page(visit, is_open=True)


def _page(visit: Visit, *, is_open: bool) -> Response:
    asked, outcomes = visit.asked if not is_open else visit.form, visit.store.outcomes
    kinds = visit.settings.outcomes.kind_names
    kind = asked.text("kind") if asked.text("kind") in kinds else None
    reason = asked.text("reason") or None
    taken = outcomes.newest(kind=kind, limit=PER_PAGE + 1, before=asked.number("before"))
    left = outcomes.left_out(reason=reason, limit=PER_PAGE + 1, before=asked.number("left_before"))
    counts = outcomes.counts()
    reasons = Counter[str]()
    for one in counts:
        reasons[one.reason] += one.number
    return visit.page(
        "outcomes.html",
        is_open=is_open,
        asked=asked,
        kinds=kinds,
        counts=counts,
        reasons={name: number for name, number in reasons.most_common() if name},
        taken=[Taken(kept=one, sentence=_of_taken(one) if is_open else ()) for one in taken[:PER_PAGE]],
        left=[Left(kept=one, sentence=_of_left(one) if is_open else ()) for one in left[:PER_PAGE]],
        further=asked.query(before=str(taken[PER_PAGE - 1].outcome_id)) if len(taken) > PER_PAGE else "",
        left_further=asked.query(left_before=str(left[PER_PAGE - 1].left_out_id)) if len(left) > PER_PAGE else "",
    )


def _of_taken(kept: "KeptOutcome") -> tuple[Piece, ...]:
    decision = kept.outcome.decision
    if decision is None:
        return (Piece(text=kept.outcome.text[:LONGEST], marked=False),)
    spans = [(decision.source.span, N_("taken"))]
    return tuple(marked(decision.source.text, spans))


def _of_left(kept: "KeptLeftOut") -> tuple[Piece, ...]:
    one = kept.left_out
    spans = [(one.source.span, one.reason), *((unused.span, unused.reason) for unused in one.unused)]
    return tuple(marked(one.source.text, spans))
