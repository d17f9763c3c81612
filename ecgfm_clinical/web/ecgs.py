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
from ecgfm_clinical.staging.search import ANSWERS, Keyset, Wanted
from ecgfm_clinical.web.asking import LARGEST_ID, Asked, whole
from ecgfm_clinical.web.visit import Visit
from ecgfm_connectors.patient import Identifier

if TYPE_CHECKING:
    from ecgfm_clinical.staging.story_records import EcgSummary

PER_PAGE = 50
CSV_AT_ONCE = 500
MOST_IN_CSV = 100_000  #: ECGs
COLUMNS = ("ecg", "version", "source", "received_at", "state", "head", "label", "probability", "threshold", "positive")


def show(visit: Visit) -> Response:
    """One page of what fulfils the filter, newest first."""
    found = visit.store.search.ecgs(wanted_by(visit), limit=PER_PAGE + 1, now=visit.now, actor=visit.actor)
    return _table(visit, found, is_of_patient=False)


def of_patient(visit: Visit) -> Response:
    """The ECGs of one patient. That somebody looked is in the audit trail first; the number is in no address."""
    parts = [visit.form.text(name) for name in ("authority", "type", "value")]
    if not all(parts):
        raise InputError("a patient is authority, type and number, all three: a bare number may be somebody else's")
    wanted = Wanted(patient=Identifier(authority=parts[0], type=parts[1], value=parts[2]))
    found = visit.store.search.ecgs(wanted, limit=PER_PAGE, now=visit.now, actor=visit.actor)
    return _table(visit, found, is_of_patient=True)


def _table(visit: Visit, found: "list[EcgSummary]", *, is_of_patient: bool) -> Response:
    shown = found[:PER_PAGE]
    further = visit.asked.query(after=_key(shown[-1])) if len(found) > PER_PAGE else ""
    return visit.page(
        "ecgs.html",
        found=shown,
        further=further,
        is_of_patient=is_of_patient,
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
        since=asked.time("since", zone),
        until=asked.time("until", zone),
        after=_after(asked),
    )


def _key(one: "EcgSummary") -> str:
    return f"{one.received_at.isoformat()}~{one.ecg_id}"


def _after(asked: Asked) -> Keyset | None:
    value = asked.text("after")
    if not value:
        return None
    at, _, ecg_id = value.partition("~")
    try:
        moment = datetime.fromisoformat(at)
        moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise InputError("this address has no page after it; go back to the first") from error
    if moment.tzinfo is None:
        raise InputError("this address has no page after it; go back to the first")
    return moment, whole(ecg_id or str(LARGEST_ID), "after")


def _csv_lines(visit: Visit, wanted: Wanted) -> Iterator[str]:
    yield _csv_line(COLUMNS)
    count = 0
    while count < MOST_IN_CSV:
        page = visit.store.search.ecgs(wanted, limit=CSV_AT_ONCE, now=visit.now, actor=visit.actor)
        yield "".join(_csv_line(row) for one in page for row in _rows(one))
        count += len(page)
        if len(page) < CSV_AT_ONCE:
            return
        wanted = replace(wanted, after=(page[-1].received_at, page[-1].ecg_id))


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
