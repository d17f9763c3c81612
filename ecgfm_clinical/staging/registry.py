"""Which models there are, which one is live or in the shadow, who made it so, and how each was judged.

What is live is never a column that somebody overwrites: it is the newest of an append-only list of acts, so "what was
live when" has one answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any  # Any: SQLAlchemy's columns of a statement

from sqlalchemy import Select, insert, literal_column, select

from ecgfm_clinical.errors import GateRefused, NotFound, StoreTooNew
from ecgfm_clinical.staging import audit
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.model_records import (
    Action,
    DriftFinding,
    DriftRow,
    HeadVerdict,
    KeptVerdict,
    ModelEvent,
    ModelRow,
)
from ecgfm_clinical.staging.schema import drift_report, model, model_evaluation, model_event
from ecgfm_clinical.staging.transaction import Reading, Transaction

MAKES_LIVE = ("installed", "promoted", "rolled-back")
SHADOW = ("shadow-on", "shadow-off")
#: Of the JSON in rows of verdicts and drift; rows of the version before carry no number and read alike.
FORMAT_VERSION = 1


class Registry:
    """The models of one store; every method is one transaction and raises StoreUnavailable like the store's own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Models and what was done with them

    def register(self, row: ModelRow, *, now: datetime, actor: str, reason: str = "") -> None:
        """Known from now on; registering the same model again changes nothing."""
        with self._database.writing(now, actor) as tx:
            tx.lock_models()
            _register(tx, row, reason)

    def install(self, row: ModelRow, *, now: datetime, actor: str) -> bool:
        """Make the settings' own bundle live where no model is, or only a demo model; whether anything was done.

        A bundle that was live before changes nothing: what was promoted since stands. Raises GateRefused for any other
        one, because only a promotion, with its gate, replaces a live model.
        """
        with self._database.writing(now, actor) as tx:
            tx.lock_models()
            query = _events(MAKES_LIVE).add_columns(model.c.name, model.c.version, model.c.demo)
            acts = tx.connection.execute(query.join(model, model.c.model_id == model_event.c.model_id)).all()
            if any(act.model_id == row.model_id for act in acts):
                return False
            if acts and (row.demo or not acts[0].demo):
                live = acts[0]
                raise GateRefused(
                    f"model.bundle names {row.name} {row.version} ({row.model_id[:12]}), which never was live; "
                    f"{live.name} {live.version} ({live.model_id[:12]}) is, and only a promotion replaces it: set "
                    f"model.bundle back, then `ecgfm-clinical model promote {row.path}`, after `ecgfm-clinical "
                    f"evaluate HEAD --model {row.path}` for each of its heads"
                )
            _register(tx, row, "named by the settings")
            _act(tx, "installed", row.model_id, "named by the settings")
            return True

    def act(self, action: Action, model_id: str, *, now: datetime, actor: str, reason: str) -> None:
        """Write down that somebody promoted a model, took it back, or put it into the shadow. Raises NotFound."""
        with self._database.writing(now, actor) as tx:
            tx.lock_models()
            if tx.connection.scalar(select(model.c.model_id).where(model.c.model_id == model_id)) is None:
                raise NotFound(
                    f"there is no model {model_id[:12]} in the registry; `ecgfm-clinical model list` names them"
                )
            _act(tx, action, model_id, reason)

    def models(self) -> list[ModelRow]:
        """Newest first."""
        with self._database.reading() as ask:
            rows = ask.connection.execute(select(model).order_by(model.c.registered_at.desc(), model.c.model_id))
            return [ModelRow(**row) for row in rows.mappings()]

    def find(self, name: str) -> ModelRow:
        """By model_id, the beginning of one, or `name`, the newest of that name first. Raises NotFound."""
        rows = self.models()
        found = [row for row in rows if row.model_id == name] or [row for row in rows if row.name == name][:1]
        found = found or [row for row in rows if len(name) >= 4 and row.model_id.startswith(name)]
        if len(found) != 1:
            how = "no model" if not found else f"{len(found)} models"
            raise NotFound(f"there is {how} {name!r} in the registry; `ecgfm-clinical model list` names them")
        return found[0]

    def live(self, *, at: datetime | None = None) -> ModelRow | None:
        """The model that scores, now or at a moment of the past; None before the first."""
        with self._database.reading() as ask:
            query = _events(MAKES_LIVE).limit(1)
            event = ask.connection.execute(query if at is None else query.where(model_event.c.at <= at)).first()
            if event is None:
                return None
            return _model(ask, event.model_id)

    def shadow(self) -> tuple[ModelRow, datetime] | None:
        """The model in the shadow and since when."""
        with self._database.reading() as ask:
            event = ask.connection.execute(_events(SHADOW).limit(1)).first()
            if event is None or event.action == "shadow-off":
                return None
            return _model(ask, event.model_id), event.at

    def states(self) -> Mapping[str, str]:
        """model_id -> `live`, `shadow`, `retired` (was live once) or `candidate`."""
        live, shadow = self.live(), self.shadow()
        found = {row.model_id: "candidate" for row in self.models()}
        found |= {event.model_id: "retired" for event in self.history() if event.action in MAKES_LIVE}
        if shadow is not None:
            found[shadow[0].model_id] = "shadow"
        if live is not None:
            found[live.model_id] = "live"
        return found

    def history(self, *, model_id: str | None = None) -> list[ModelEvent]:
        """Every act, oldest first."""
        query = select(model_event).order_by(model_event.c.event_id)
        with self._database.reading() as ask:
            rows = ask.connection.execute(
                query if model_id is None else query.where(model_event.c.model_id == model_id)
            )
            return [ModelEvent(**row._asdict()) for row in rows]

    def runs_on(self, model_id: str, runtime: str, *, host: str, why: str, now: datetime, actor: str) -> str:
        """Write into the audit trail by which runtime a host scores with a model from now on, where it did not so
        before.

        What it scored by until now; empty where nothing changed, or it never scored with this model.
        """
        with self._database.writing(now, actor) as tx:
            before = audit.newest(tx.connection, "model.runtime", {"model_id": model_id, "host": host})
            known = str(before["runtime"]) if before else ""
            if known == runtime:
                return ""
            tx.note("model.runtime", model_id=model_id, runtime=runtime, before=known, host=host, why=why)
            return known

    # Judgements

    def judge(self, verdict: HeadVerdict, *, now: datetime, actor: str) -> None:
        """Keep one judgement."""
        with self._database.writing(now, actor) as tx:
            values = {
                "at": now,
                "actor": actor,
                "model_id": verdict.model_id,
                "head": verdict.head,
                "fingerprint": verdict.fingerprint,
                "champion_id": verdict.champion_id,
                "cohort_digest": verdict.cohort_digest,
                "passed": verdict.passed,
                "reasons": list(verdict.reasons),
                "report": _document(verdict.report),
            }
            tx.connection.execute(insert(model_evaluation), values)
            tx.note(
                "model.judged",
                model_id=verdict.model_id,
                head=verdict.head,
                passed=verdict.passed,
                cohort=verdict.cohort_digest,
            )

    def judgements(self, *, model_id: str | None = None, fingerprint: str | None = None) -> list[KeptVerdict]:
        """Newest first: of one model, or of one head wherever it stands."""
        query = select(model_evaluation).order_by(model_evaluation.c.evaluation_id.desc())
        if model_id is not None:
            query = query.where(model_evaluation.c.model_id == model_id)
        if fingerprint is not None:
            query = query.where(model_evaluation.c.fingerprint == fingerprint)
        with self._database.reading() as ask:
            rows = ask.connection.execute(query).all()
            return [
                KeptVerdict(
                    at=row.at,
                    actor=row.actor,
                    model_id=row.model_id,
                    head=row.head,
                    fingerprint=row.fingerprint,
                    champion_id=row.champion_id,
                    cohort_digest=row.cohort_digest,
                    reasons=tuple(row.reasons),
                    report=_file(row.report),
                )
                for row in rows
            ]

    # Drift

    def keep_drift(
        self, model_id: str, findings: Sequence[DriftFinding], report: str, *, now: datetime, actor: str
    ) -> None:
        """Keep what was found and in which file the whole report is."""
        with self._database.writing(now, actor) as tx:
            values = {
                "at": now,
                "actor": actor,
                "model_id": model_id,
                "findings": [asdict(one) for one in findings],
                "report": _document(report),
            }
            tx.connection.execute(insert(drift_report), values)
            tx.note("model.drift", model_id=model_id, findings=len(findings))

    def last_drift(self) -> DriftRow | None:
        """The newest report; None before the first."""
        return next(iter(self.drifts(limit=1)), None)

    def drifts(self, *, limit: int) -> list[DriftRow]:
        """The newest reports, newest first."""
        query = select(drift_report).order_by(drift_report.c.report_id.desc()).limit(limit)
        with self._database.reading() as ask:
            return [
                DriftRow(
                    at=row.at,
                    model_id=row.model_id,
                    findings=tuple(DriftFinding(**one) for one in row.findings),
                    report=_file(row.report),
                )
                for row in ask.connection.execute(query)
            ]


def _events(actions: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """Acts of these kinds, newest first."""
    return select(model_event).where(model_event.c.action.in_(actions)).order_by(model_event.c.event_id.desc())


def _register(tx: Transaction, row: ModelRow, reason: str) -> None:
    if tx.connection.scalar(select(literal_column("1")).where(model.c.model_id == row.model_id)) is not None:
        return
    tx.connection.execute(
        insert(model),
        {
            "model_id": row.model_id,
            "name": row.name,
            "version": row.version,
            "path": row.path,
            "demo": row.demo,
            "heads": dict(row.heads),
            "parent_id": row.parent_id,
            "registered_at": row.registered_at,
        },
    )
    _act(tx, "registered", row.model_id, reason)


def _act(tx: Transaction, action: Action, model_id: str, reason: str) -> None:
    values = {"at": tx.now, "actor": tx.actor, "action": action, "model_id": model_id, "reason": reason}
    tx.connection.execute(insert(model_event), values)
    tx.note(f"model.{action}", model_id=model_id, reason=reason)


def _model(reading: Reading, model_id: str) -> ModelRow:
    found = reading.connection.execute(select(model).where(model.c.model_id == model_id))
    return ModelRow(**found.mappings().one())


def _document(file: str) -> dict[str, int | str]:
    return {"format_version": FORMAT_VERSION, "file": file}


def _file(told: Mapping[str, object]) -> str:
    """Raises StoreTooNew where a later program wrote the row."""
    version = told.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise StoreTooNew(
            f"a judgement of models has format version {version}, this program reads {FORMAT_VERSION}; update it"
        )
    return str(told.get("file", ""))
