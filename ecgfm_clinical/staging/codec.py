"""How an ECG, a patient and a scoring become columns and come back exactly as they were."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any

import numpy as np

from ecgfm_clinical.staging.compression import SAMPLE
from ecgfm_clinical.staging.records import Score, Scoring
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding, Order
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.understanding import unread


def signal_bytes(ecg: Ecg) -> bytes:
    """(12, N) float32, row after row, every bit kept, NaN included: of which digests are taken."""
    return np.ascontiguousarray(ecg.signal, dtype=SAMPLE).tobytes()


def about(ecg: Ecg) -> dict[str, Any]:
    """What identifies nobody."""
    return {
        "stored_leads": list(ecg.stored_leads),
        "derived_leads": list(ecg.derived_leads),
        "device": _fields(ecg.device),
        "filters": _fields(ecg.filters),
        "measurements": [list(pair) for pair in ecg.measurements],
        "findings": [_fields(finding) for finding in ecg.findings],
        "test_data": ecg.test_data,
        "unread_statements": unread(ecg),
    }


def private(ecg: Ecg) -> dict[str, Any]:
    """What can identify a person, or was typed by one."""
    return {
        "source_id": ecg.source_id,
        "patient": patient_dict(ecg.patient),
        "acquired": acquired_dict(ecg.acquired),
        "order": _fields(ecg.order),
        "statements": list(ecg.statements),
        "coded": [_fields(one) for one in ecg.coded],
    }


def _fields(flat: Device | Filters | Finding | Order | Statement) -> dict[str, Any]:
    """What `dataclasses.asdict` gives for a dataclass of plain values, without its copy of each."""
    return {one.name: getattr(flat, one.name) for one in fields(flat)}


def ecg_from(row: Any, private: Mapping[str, Any], signal: np.ndarray[Any, np.dtype[np.float32]]) -> Ecg:
    """The inverse of `about` and `private`."""
    told = row.about
    acquired = private["acquired"]
    return Ecg(
        source_id=private["source_id"],
        format=row.format,
        patient=patient_from(private["patient"]),
        acquired=acquired and AcquiredAt(**(acquired | {"at": datetime.fromisoformat(acquired["at"])})),
        sampling_rate=row.sampling_rate,
        signal=signal,
        stored_leads=tuple(told["stored_leads"]),
        derived_leads=tuple(told["derived_leads"]),
        device=Device(**told["device"]),
        filters=Filters(**told["filters"]),
        order=Order(**private["order"]),
        statements=tuple(private["statements"]),
        coded=coded_from(private),
        measurements=tuple((name, value) for name, value in told["measurements"]),
        findings=findings_from(told["findings"]),
        test_data=told["test_data"],
    )


def coded_from(private: Mapping[str, Any]) -> tuple[Statement, ...]:
    """The coded statements; none in a row of a version that did not keep them."""
    return tuple(Statement(**one) for one in private.get("coded", ()))


def findings_from(stored: Iterable[Mapping[str, str]]) -> tuple[Finding, ...]:
    return tuple(Finding(code=finding["code"], text=finding["text"]) for finding in stored)


def acquired_dict(acquired: AcquiredAt | None) -> dict[str, str] | None:
    """With the offset the sender gave; the zone's name, where there was one, is not kept."""
    return (
        None
        if acquired is None
        else {
            "at": acquired.at.isoformat(),
            "zone_source": acquired.zone_source,
            "original": acquired.original,
        }
    )


def identifier_dict(identifier: Identifier) -> dict[str, str]:
    return {"authority": identifier.authority, "type": identifier.type, "value": identifier.value}


def patient_dict(patient: Patient) -> dict[str, Any]:
    return {
        "identifiers": [identifier_dict(identifier) for identifier in patient.identifiers],
        "birth_date": patient.birth_date and patient.birth_date.isoformat(),
        "sex": patient.sex,
        "family_name": patient.family_name,
        "given_name": patient.given_name,
    }


def patient_from(stored: Mapping[str, Any]) -> Patient:
    return Patient(
        identifiers=tuple(Identifier(**identifier) for identifier in stored["identifiers"]),
        birth_date=stored["birth_date"] and date.fromisoformat(stored["birth_date"]),
        sex=stored["sex"],
        family_name=stored["family_name"],
        given_name=stored["given_name"],
    )


def score_rows(scoring_id: int, scoring: Scoring) -> list[dict[str, Any]]:
    return [
        {
            "scoring_id": scoring_id,
            "position": position,
            "head": score.head,
            "label": score.label,
            "probability": _plain(score.probability),
            "logit": _plain(score.logit),
            "threshold": _plain(score.threshold),
            "positive": None if score.positive is None else bool(score.positive),
            "reasons": [list(reason) for reason in score.reasons],
        }
        for position, score in enumerate(scoring.scores)
    ]


def scoring_from(row: Any, scores: Iterable[Any]) -> Scoring:
    return Scoring(
        ecg_id=row.ecg_id,
        model_id=row.model_id,
        model_name=row.model_name,
        model_version=row.model_version,
        preprocessing=row.preprocessing,
        runtime=row.runtime,
        input_digest=row.input_digest,
        scored_at=row.scored_at,
        scores=tuple(map(score_from, scores)),
        demo=row.demo,
        segments=row.segments,
    )


def score_from(row: Any) -> Score:
    return Score(
        head=row.head,
        label=row.label,
        probability=row.probability,
        logit=row.logit,
        threshold=row.threshold,
        positive=row.positive,
        reasons=tuple((code, text) for code, text in row.reasons),
    )


def output_digest(scoring: Scoring) -> str:
    """Equal exactly where a receiver would be told the same: same model, same values to the last bit."""
    values = [
        [s.head, s.label, _bits(s.probability), _bits(s.logit), _bits(s.threshold), s.positive, s.reasons]
        for s in scoring.scores
    ]
    return hashlib.sha256(to_json([scoring.model_id, scoring.demo, values])).hexdigest()


def head_states(scores: Iterable[Score]) -> dict[str, str]:
    """Head -> `scored` where it gave a probability for any label, else `not_evaluable`."""
    states: dict[str, str] = {}
    for score in scores:
        if score.probability is not None or score.head not in states:
            states[score.head] = "scored" if score.probability is not None else "not_evaluable"
    return states


def _plain(value: float | None) -> float | None:
    """A Python float (numpy's would not pass every driver); NaN and infinity are no answers."""
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError("a score must be a finite number")
    return float(value)


def _bits(value: float | None) -> str | None:
    return None if value is None else float(value).hex()
