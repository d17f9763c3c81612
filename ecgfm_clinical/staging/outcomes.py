"""What the store knows of measured outcomes: those that became labels, what was left out and why,
and reading them anew.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any  # Any: SQLAlchemy's columns of a statement, JSON columns

from sqlalchemy import Exists, Select, exists, func, or_, select

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import codec, loading, measuring, seals
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.rows import LeftOutRow, OutcomeVersion
from ecgfm_clinical.staging.schema import left_out, outcome, payload, payload_content
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.base import Received
from ecgfm_connectors.decision import Decision, LeftOut, Source, Unused
from ecgfm_connectors.outcome import Outcome

_NEWER = outcome.alias("newer")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOutcome:
    """One version of one result in the store."""

    outcome_id: int
    version: int
    payload_id: int
    source: str  #: the listener or source that it came by
    received_at: datetime
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLeftOut:
    """Something that did not become an outcome."""

    left_out_id: int
    payload_id: int
    source: str
    received_at: datetime
    left_out: LeftOut


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeCount:
    """How many of one source, kind and code were taken (`reason` empty) or left out for one reason."""

    source: str
    kind: str
    code: str
    reason: str
    number: int
    newest: datetime


class Outcomes:
    """Measured outcomes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, *, kind: str | None = None, limit: int = 100, before: int | None = None) -> list[KeptOutcome]:
        """Results in their newest version, newest first; `before` is the last outcome_id of the previous page."""
        query = _outcomes().where(~_superseded()).order_by(outcome.c.outcome_id.desc()).limit(limit)
        query = query if kind is None else query.where(outcome.c.kind == kind)
        query = query if before is None else query.where(outcome.c.outcome_id < before)
        with self._database.reading() as ask:
            return _every_kept(ask, query)

    def versions(self, outcome_id: int) -> list[KeptOutcome]:
        """All versions of the result that this one belongs to, oldest first. Raises NotFound."""
        key = select(outcome.c.source_key).where(outcome.c.outcome_id == outcome_id).scalar_subquery()
        query = _outcomes().where(outcome.c.source_key == key).order_by(outcome.c.version)
        with self._database.reading() as ask:
            found = _every_kept(ask, query)
        if not found:
            raise NotFound(f"there is no outcome {outcome_id} in the store")
        return found

    def left_out(self, *, reason: str | None = None, limit: int = 100, before: int | None = None) -> list[KeptLeftOut]:
        """What was left out, newest first."""
        query = _left_outs().order_by(left_out.c.left_out_id.desc()).limit(limit)
        query = query if reason is None else query.where(left_out.c.reason == reason)
        query = query if before is None else query.where(left_out.c.left_out_id < before)
        with self._database.reading() as ask:
            return _every_left_out(ask, query)

    def counts(self) -> list[OutcomeCount]:
        """By source, kind, code and reason, with the newest of each: a feed that is no longer understood shows here."""
        taken = (
            select(payload.c.source, outcome.c.kind, outcome.c.code, func.count(), func.max(outcome.c.received_at))
            .join(payload, payload.c.payload_id == outcome.c.payload_id)
            .where(~_superseded())
            .group_by(payload.c.source, outcome.c.kind, outcome.c.code)
        )
        refused = (
            select(
                payload.c.source,
                left_out.c.kind,
                left_out.c.code,
                left_out.c.reason,
                func.count(),
                func.max(left_out.c.received_at),
            )
            .join(payload, payload.c.payload_id == left_out.c.payload_id)
            .group_by(payload.c.source, left_out.c.kind, left_out.c.code, left_out.c.reason)
        )
        with self._database.reading() as ask:
            found = [
                OutcomeCount(source=source, kind=kind, code=code, reason="", number=number, newest=newest)
                for source, kind, code, number, newest in ask.connection.execute(taken)
            ] + [
                OutcomeCount(source=source, kind=kind, code=code, reason=reason, number=number, newest=newest)
                for source, kind, code, reason, number, newest in ask.connection.execute(refused)
            ]
        return sorted(found, key=lambda one: (one.source, one.kind, one.reason, one.code))

    def payloads(self, *, after: int = 0, limit: int = 20) -> list[tuple[int, bool, Received]]:
        """Payloads that may hold outcomes, as (payload_id, staged, bytes), oldest first, from the one after `after` on:
        those that gave an outcome or left one out, and messages that seemed to hold nothing.
        """
        with self._database.reading() as ask:
            rows = ask.connection.execute(
                _with_outcomes().where(payload.c.payload_id > after).order_by(payload.c.payload_id).limit(limit)
            )
            return [
                (row.payload_id, row.disposition == "staged", loading.load_payload(ask, row.payload_id))
                for row in rows.all()
            ]

    def latest_payloads(self, *, limit: int) -> list[Received]:
        """The newest payloads that may hold outcomes."""
        with self._database.reading() as ask:
            rows = ask.connection.execute(_with_outcomes().order_by(payload.c.payload_id.desc()).limit(limit))
            return [loading.load_payload(ask, row.payload_id) for row in rows.all()]

    def of_payload(self, payload_id: int) -> tuple[list[KeptOutcome], list[KeptLeftOut]]:
        """What one payload gave: its results that no later message has replaced, and what it left out."""
        with self._database.reading() as ask:
            return _of_payload(ask, payload_id)

    def known(self, source_ids: Sequence[str]) -> frozenset[str]:
        """Those of `source_ids` under which the store holds a result, in whatever version."""
        with self._database.reading() as ask:
            return frozenset(one for one in source_ids if _known(ask, one))

    def replace(
        self, payload_id: int, outcomes: Sequence[Outcome], left: Sequence[LeftOut], *, now: datetime, actor: str
    ) -> None:
        """Store what a payload says by today's rules: changed results as a further version, results that are none any
        more as withdrawn. What a later message said stays as it is.
        """
        with self._database.writing(now, actor) as tx:
            received_at = tx.connection.scalar(select(payload.c.received_at).where(payload.c.payload_id == payload_id))
            if received_at is None:
                raise NotFound(f"there is no payload {payload_id} in the store")
            _replace(tx, payload_id, received_at, outcomes, left)


def _replace(
    tx: Transaction, payload_id: int, received_at: datetime, outcomes: Sequence[Outcome], left: Sequence[LeftOut]
) -> None:
    kept, _ = _of_payload(tx, payload_id)
    before = {one.outcome.source_id: one.outcome for one in kept}
    after = {one.source_id: one for one in outcomes}
    changed = [one for one in outcomes if one.source_id not in before or told(one) != told(before[one.source_id])]
    changed = [one for one in changed if one.source_id in before or not _known(tx, one.source_id)]
    for one in changed:
        measuring.stage(tx, payload_id, received_at, one)
    for source_id, one in before.items():
        if source_id not in after and one.status != "withdrawn":
            measuring.stage(tx, payload_id, received_at, measuring.withdrawn(one))
    measuring.leave_out(tx, payload_id, received_at, left)
    tx.note("outcomes.reread", payload_id=payload_id, changed=len(changed), left_out=len(left))


def told(one: Outcome) -> tuple[object, ...]:
    """What of a result a label depends on."""
    return (
        one.kind, one.status, one.value, one.upper_value, one.comparator, one.unit, one.code, one.assay,
        one.upper_reference_limit, one.observed_at, one.precision,
    )  # fmt: skip


def _known(reading: Reading, source_id: str) -> bool:
    """Whether another payload has said something under this number."""
    same = outcome.c.source_key == reading.key("outcome", source_id)
    return reading.connection.scalar(select(outcome.c.outcome_id).where(same).limit(1)) is not None


def _of_payload(reading: Reading, payload_id: int) -> tuple[list[KeptOutcome], list[KeptLeftOut]]:
    mine = _outcomes().where(outcome.c.payload_id == payload_id, ~_superseded()).order_by(outcome.c.outcome_id)
    rest = _left_outs().where(left_out.c.payload_id == payload_id).order_by(left_out.c.place)
    return (
        _every_kept(reading, mine),
        _every_left_out(reading, rest),
    )


def _outcomes() -> Select[*tuple[Any, ...]]:
    return select(*outcome.c, payload.c.source).join(payload, payload.c.payload_id == outcome.c.payload_id)


def _left_outs() -> Select[*tuple[Any, ...]]:
    return select(*left_out.c, payload.c.source).join(payload, payload.c.payload_id == left_out.c.payload_id)


def _superseded() -> Exists:
    return exists().where(_NEWER.c.source_key == outcome.c.source_key, _NEWER.c.version > outcome.c.version)


def _with_outcomes() -> Select[int, str]:
    gave = exists().where(outcome.c.payload_id == payload.c.payload_id)
    left = exists().where(left_out.c.payload_id == payload.c.payload_id)
    return (
        select(payload.c.payload_id, payload.c.disposition)
        .join(payload_content, payload_content.c.payload_id == payload.c.payload_id)
        .where(or_(gave, left, payload.c.code == "no-ecg"))
    )


def _every_kept(reading: Reading, query: Select[*tuple[Any, ...]]) -> list[KeptOutcome]:
    rows = reading.connection.execute(query).all()
    return [_kept(reading, OutcomeVersion(*version), source) for *version, source in rows]


def _every_left_out(reading: Reading, query: Select[*tuple[Any, ...]]) -> list[KeptLeftOut]:
    rows = reading.connection.execute(query).all()
    return [_kept_left_out(reading, LeftOutRow(*row), source) for *row, source in rows]


def _kept(reading: Reading, row: OutcomeVersion, source: str) -> KeptOutcome:
    private = json.loads(seals.OUTCOME.open(reading.keyring, row))
    return KeptOutcome(
        outcome_id=row.outcome_id,
        version=row.version,
        payload_id=row.payload_id,
        source=source,
        received_at=row.received_at,
        outcome=Outcome(
            source_id=private["source_id"],
            patient=codec.patient_from(private["patient"]),
            kind=row.kind,
            value=row.value,
            upper_value=row.upper_value,
            comparator=row.comparator,
            unit=row.unit,
            code=row.code,
            assay=row.assay,
            upper_reference_limit=row.upper_reference_limit,
            observed_at=row.observed_at,
            precision=row.observed_precision,
            status=row.status,
            text=private["text"],
            decision=_decision(private.get("decision")),
        ),
    )


def _kept_left_out(reading: Reading, row: LeftOutRow, source: str) -> KeptLeftOut:
    private = json.loads(seals.LEFT_OUT.open(reading.keyring, row))
    return KeptLeftOut(
        left_out_id=row.left_out_id,
        payload_id=row.payload_id,
        source=source,
        received_at=row.received_at,
        left_out=LeftOut(
            kind=row.kind,
            reason=row.reason,
            text=private["text"],
            source=_source(private["source"]),
            patient=codec.patient_from(private["patient"]),
            observed_at=row.observed_at,
            unused=_unused(private["unused"]),
        ),
    )


def _decision(stored: dict[str, Any] | None) -> Decision | None:
    if stored is None:
        return None
    return Decision(rule=stored["rule"], source=_source(stored["source"]), unused=_unused(stored["unused"]))


def _source(stored: dict[str, Any]) -> Source:
    return Source(**{**stored, "span": tuple(stored["span"])})


def _unused(stored: list[dict[str, Any]]) -> tuple[Unused, ...]:
    return tuple(Unused(**{**one, "span": tuple(one["span"])}) for one in stored)
