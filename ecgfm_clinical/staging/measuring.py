"""How measured outcomes, and what was left out of them, are written: the value in columns, whom and where sealed."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import delete, func, insert, select

from ecgfm_clinical.staging import codec, identity, seals
from ecgfm_clinical.staging.schema import left_out, outcome
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Transaction
from ecgfm_connectors.decision import DEATH, LeftOut
from ecgfm_connectors.outcome import Outcome


def stage(tx: Transaction, payload_id: int, received_at: datetime, one: Outcome) -> None:
    """A new result, or the next version of a known one."""
    source_key = tx.key("outcome", one.source_id)
    if one.kind == DEATH and not _is_news(tx, source_key, one):
        return
    newest = tx.connection.scalar(select(func.max(outcome.c.version)).where(outcome.c.source_key == source_key))
    version = 1 + (newest or 0)
    told = {
        "source_id": one.source_id,
        "patient": codec.patient_dict(one.patient),
        "text": one.text,
        "decision": one.decision and asdict(one.decision),
    }
    tx.connection.execute(
        insert(outcome),
        {
            "payload_id": payload_id,
            "source_key": source_key,
            "version": version,
            "patient_key": identity.patient_key(tx, one.patient, source_key),
            "kind": one.kind,
            "status": one.status,
            "value": one.value,
            "upper_value": one.upper_value,
            "comparator": one.comparator,
            "unit": storable(one.unit),
            "code": storable(one.code),
            "assay": storable(one.assay),
            "upper_reference_limit": one.upper_reference_limit,
            "observed_at": one.observed_at,
            "observed_precision": one.precision,
            "rule": one.decision.rule if one.decision else "table",
            "received_at": received_at,
            **seals.OUTCOME.seal(tx.keyring, to_json(told), source_key=source_key, version=version),
        },
    )
    tx.note("outcome.staged", payload_id=payload_id, kind=one.kind, status=one.status, version=version)


def _is_news(tx: Transaction, source_key: str, one: Outcome) -> bool:
    """Every ADT message about a person says anew whether he or she lives: only another answer is a version."""
    last = tx.connection.execute(
        select(outcome).where(outcome.c.source_key == source_key).order_by(outcome.c.version.desc()).limit(1)
    ).one_or_none()
    if one.status == "withdrawn":
        return last is not None and last.status != "withdrawn"
    told = (one.status, one.value, one.observed_at, one.precision)
    return last is None or told != (last.status, last.value, last.observed_at, last.observed_precision)


def leave_out(tx: Transaction, payload_id: int, received_at: datetime, found: Sequence[LeftOut]) -> None:
    """Keep what was left out of one payload, in place of what was kept of it before."""
    tx.connection.execute(delete(left_out).where(left_out.c.payload_id == payload_id))
    for place, one in enumerate(found):
        told = {
            "patient": codec.patient_dict(one.patient),
            "text": one.text,
            "source": asdict(one.source),
            "unused": [asdict(unused) for unused in one.unused],
        }
        tx.connection.execute(
            insert(left_out),
            {
                "payload_id": payload_id,
                "place": place,
                "patient_key": identity.patient_key(tx, one.patient, f"left-out:{payload_id}:{place}"),
                "kind": one.kind,
                "reason": one.reason,
                "code": storable(one.source.code),
                "observed_at": one.observed_at,
                "received_at": received_at,
                **seals.LEFT_OUT.seal(tx.keyring, to_json(told), payload_id=payload_id, place=place),
            },
        )


def storable(words: str) -> str:
    """Without NUL and lone surrogates, which PostgreSQL does not take in text."""
    return words.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def withdrawn(one: Outcome) -> Outcome:
    """The same result, taken back."""
    return replace(one, status="withdrawn", decision=None)
