"""Measured outcomes as a whole: every result for a table, and today's rules tried on stored bytes."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ecgfm_clinical import liveness, wiring
from ecgfm_clinical.operate.outcome_rows import ShownOutcome, row_of
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.outcomes import KeptLeftOut, KeptOutcome, told
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.reading import read

Read = Callable[[Received], Contents]

TRIED = 1000  #: messages on which a site's table is tried
_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What reading one payload anew changes."""

    payload_id: int
    staged: bool  #: False: the message had seemed to hold nothing
    contents: Contents
    lines: tuple[str, ...]  #: for people, free of patient data


def reader(settings: Settings, store: Store) -> Read:
    """Reads a stored payload as its listener or source would today."""

    def again(received: Received) -> Contents:
        return read(received.content, wiring.reading_context(settings, received.source, store))

    return again


def changes(store: Store, again: Read) -> Iterator[Change]:
    """Every payload of which today's rules say something else than the store, oldest first."""
    after = 0
    while page := store.outcomes.payloads(after=after, limit=_PAGE):
        for payload_id, staged, received in page:
            after = payload_id
            try:
                contents = again(received)
            except PayloadError:
                contents = Contents()
            kept, left = store.outcomes.of_payload(payload_id)
            mine = {one.outcome.source_id for one in kept}
            later = store.outcomes.known([one.source_id for one in contents.outcomes if one.source_id not in mine])
            lines = tuple(_differences(kept, left, contents, later))
            if lines:
                yield Change(payload_id=payload_id, staged=staged, contents=contents, lines=lines)


def apply(store: Store, change: Change, *, now: datetime, actor: str) -> None:
    """Make the store say what today's rules say of one staged payload."""
    store.outcomes.replace(change.payload_id, change.contents.outcomes, change.contents.left_out, now=now, actor=actor)


def _differences(
    kept: list[KeptOutcome], left: list[KeptLeftOut], contents: Contents, later: frozenset[str]
) -> Iterator[str]:
    """What changes; of the numbers in `later` another message has spoken since, and what it said stays."""
    before = {one.outcome.source_id: one.outcome for one in kept}
    after = {one.source_id: one for one in contents.outcomes if one.source_id not in later}
    for source_id in dict.fromkeys((*before, *after)):
        was, now = before.get(source_id), after.get(source_id)
        if was is not None and now is not None and told(was) == told(now):
            continue
        if was is not None and now is None and was.status == "withdrawn":
            continue
        yield f"{(now or was).kind}: {_value(was)} → {_value(now)}"  # type: ignore[union-attr]  # one of the two is there
    reasons = Counter(one.reason for one in contents.left_out)
    stored = Counter(one.left_out.reason for one in left)
    for reason in sorted(reasons.keys() | stored.keys()):
        if reasons[reason] != stored[reason]:
            yield f"left out as {reason}: {stored[reason]} → {reasons[reason]}"


def _value(one: Outcome | None) -> str:
    if one is None:
        return "none"
    upper = "" if one.upper_value is None else f"–{one.upper_value:g}"
    return "withdrawn" if one.status == "withdrawn" else f"{one.comparator}{one.value:g}{upper} {one.unit}"


def everything(store: Store, *, kind: str | None, phi: bool) -> Iterator[ShownOutcome]:
    """Every result in its newest version, newest first."""
    before: int | None = None
    while page := store.outcomes.newest(kind=kind, limit=_PAGE, before=before):
        yield from (row_of(one, phi=phi) for one in page)
        before = page[-1].outcome_id


def note_exported(settings: Settings, store: Store, *, count: int, phi: bool) -> None:
    """That somebody takes results out as a table is in the audit trail before they have it."""
    actor = liveness.operator(settings.site.operator)
    detail = {"count": count, "phi": phi}
    store.audit_spool.note("outcomes.exported", now=wiring.utc_now(), actor=actor, detail=detail)


def try_table(store: Store, settings: Settings) -> str:
    """What the site's table makes of the last messages, and which of its entries met nothing."""
    again, counts, seen = reader(settings, store), Counter[str](), 0
    for received in store.outcomes.latest_payloads(limit=TRIED):
        seen += 1
        try:
            contents = again(received)
        except PayloadError:
            continue
        counts["taken"] += len(contents.outcomes)
        counts["left out"] += len(contents.left_out)
        for one in contents.outcomes:
            if one.decision and one.decision.rule == "site-code":
                counts["by the table"] += 1
                counts[f"code {one.code.partition('|')[2]}"] += 1
                counts[f"name {one.decision.source.name}"] += 1
    asked = [one for one in settings.outcomes.codes if one.means != "ignore"]
    idle = [one.code or one.name for one in asked if not counts[f"code {one.code}"] and not counts[f"name {one.name}"]]
    met = f"; met nothing: {', '.join(idle)}" if idle else ""
    return (
        f"of the last {seen} messages {counts['taken']} outcomes, {counts['by the table']} of them by the site's table,"
        f" {counts['left out']} left out{met}"
    )
