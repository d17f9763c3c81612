"""Finding ECGs: a filter whose address is its state, page by page by key, as a table or as CSV."""

import csv as csv_files
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from ecgfm_clinical import wiring
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.search import ANSWERS, EcgPage, Keyset, Wanted
from ecgfm_clinical.web.asking import LARGEST_ID, Asked, whole
from ecgfm_clinical.web.presets import kept, shipped
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_
from ecgfm_connectors.patient import Identifier

if TYPE_CHECKING:
    from ecgfm_clinical.staging.story_records import EcgSummary

PER_PAGE = 50
#: Reasons why a label is not evaluable, as the filter offers them (`ecg.evaluability`).
REASONS = (
    *("missing-lead", "flat-lead", "clipped-lead", "noise", "amplitude-implausible", "gain-implausible"),
    *("too-short", "too-long", "rate-out-of-range", "not-simultaneous", "einthoven-violation", "arm-leads-suspected"),
    *("age-unknown", "age-below-range", "age-above-range", "paced-rhythm", "pacing-spikes", "test-data"),
)
CSV_AT_ONCE = 500
MOST_IN_CSV = 100_000  #: ECGs
COLUMNS = ("ecg", "version", "source", "received_at", "state", "head", "label", "probability", "threshold", "positive")


def show(visit: Visit) -> Response:
    """One page of what fulfils the filter, newest first."""
    wanted = wanted_by(visit)
    if wanted.number:  # the ECGs that bear it are few, wherever they lie
        found = visit.store.search.ecgs(wanted, limit=PER_PAGE, now=visit.now, actor=visit.actor)
        return _table(visit, EcgPage(found=tuple(found), further=None, is_whole=True), is_of_patient=False)
    return _table(visit, visit.store.search.page(wanted, limit=PER_PAGE), is_of_patient=False)


def of_patient(visit: Visit) -> Response:
    """The ECGs of one patient. That somebody looked is in the audit trail first; the number is in no address."""
    parts = [visit.form.text(name) for name in ("authority", "type", "value")]
    if not all(parts):
        raise InputError(N_("a patient is authority, type and number, all three: a bare number may be somebody else's"))
    wanted = Wanted(patient=Identifier(authority=parts[0], type=parts[1], value=parts[2]))
    found = visit.store.search.ecgs(wanted, limit=PER_PAGE, now=visit.now, actor=visit.actor)
    return _table(visit, EcgPage(found=tuple(found), further=None, is_whole=True), is_of_patient=True)


def _table(visit: Visit, page: EcgPage, *, is_of_patient: bool) -> Response:
    live = visit.store.models.live()
    today = visit.now.astimezone(visit.console.zone).strftime("%Y-%m-%dT00:00")
    return visit.page(
        "ecgs.html",
        found=page.found,
        further=visit.asked.query(after=_key(page.further)) if page.further is not None else "",
        looked_until=None if page.is_whole or page.further is None else page.further[0],
        heads=tuple(live.heads) if live is not None else (),
        reasons=REASONS,
        presets=(*shipped(today), *kept(visit)),
        is_of_patient=is_of_patient,
        heard=visit.store.search.heard(number) if (number := visit.asked.text("number")) else (),
        states=[one.value for one in EcgState],
        answers=ANSWERS,
        sources=wiring.source_names(visit.settings),
        query=visit.asked.query(after=""),
    )


def csv(visit: Visit) -> Response:
    """Everything that fulfils the filter, a line for each label; nothing in it identifies a patient.

    That somebody took it is in the audit trail first.
    """
    wanted = wanted_by(visit)
    visit.store.audit_spool.note("ecgs.exported", now=visit.now, actor=visit.actor, detail={"phi": False})
    name = {"Content-Disposition": 'attachment; filename="ecgs.csv"'}
    return StreamingResponse(_csv_lines(visit, wanted), media_type="text/csv; charset=utf-8", headers=name)


def wanted_by(visit: Visit) -> Wanted:
    """The filter in the address. Raises InputError."""
    asked, zone = visit.asked, visit.console.zone
    state, answer = asked.text("state"), asked.text("answer")
    if state and state not in [one.value for one in EcgState]:
        raise InputError("there are the states " + ", ".join(one.value for one in EcgState))
    if answer and answer not in ANSWERS:
        raise InputError("there are the answers " + ", ".join(ANSWERS))
    return Wanted(
        number=asked.text("number"),
        source=asked.text("source"),
        state=EcgState(state) if state else None,
        head=asked.text("head"),
        answer=answer,
        reason=asked.text("reason"),
        device=asked.text("device"),
        since=asked.time("since", zone),
        until=asked.time("until", zone),
        after=_after(asked),
    )


def _key(place: Keyset) -> str:
    return f"{place[0].isoformat()}~{place[1]}"


def _after(asked: Asked) -> Keyset | None:
    value = asked.text("after")
    if not value:
        return None
    at, _, ecg_id = value.partition("~")
    try:
        moment = datetime.fromisoformat(at)
        moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise InputError(N_("this address has no page after it; go back to the first")) from error
    if moment.tzinfo is None:
        raise InputError(N_("this address has no page after it; go back to the first"))
    return moment, whole(ecg_id or str(LARGEST_ID), "after")


def _csv_lines(visit: Visit, wanted: Wanted) -> Iterator[str]:
    yield _csv_line(COLUMNS)
    count = 0
    while count < MOST_IN_CSV:
        page = visit.store.search.page(wanted, limit=CSV_AT_ONCE)
        yield "".join(_csv_line(row) for one in page.found for row in _rows(one))
        count += len(page.found)
        if page.further is None:
            return
        wanted = replace(wanted, after=page.further)


def _rows(one: "EcgSummary") -> Iterator[tuple[object, ...]]:
    about = (one.ecg_id, one.version, one.source, one.received_at.isoformat(), one.state.value)
    for score in one.scores:
        yield (*about, score.head, score.label, score.probability, score.threshold, score.positive)
    if not one.scores:
        yield (*about, "", "", None, None, None)


def _csv_line(values: tuple[object, ...]) -> str:
    """No cell begins as a formula does: spreadsheets would run it."""
    written = io.StringIO()
    cells = ["" if value is None else str(value) for value in values]
    csv_files.writer(written).writerow([f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell for cell in cells])
    return written.getvalue()
