"""How an ECG, a patient and a scoring become columns and come back exactly as they were."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any  # Any: JSON of a sealed column

import numpy as np
from numpy.typing import NDArray

from ecgfm_clinical.staging.compression import SAMPLE
from ecgfm_clinical.staging.records import Score, Scoring
from ecgfm_clinical.staging.rows import EcgVersion, ScoreRow, ScoringRow
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_connectors.document import Document, References
from ecgfm_connectors.ecg import AcquiredAt, Device, Ecg, Filters, Finding, Order
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.understanding import unread
from ecgfm_connectors.waveform_object import WaveformObject


def signal_bytes(ecg: Ecg) -> bytes:
    """(12, N) float32, row after row, every bit kept, NaN included: of which digests are taken."""
    return np.ascontiguousarray(ecg.signal, dtype=SAMPLE).tobytes()


def about(ecg: Ecg) -> dict[str, object]:
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


def private(ecg: Ecg) -> dict[str, object]:
    """What can identify a person, or was typed by one."""
    origin = ecg.waveform_object
    return {**said(ecg), "waveform_object": None if origin is None else _fields(origin)}


def said(ecg: Ecg) -> dict[str, object]:
    """As `private`, without what an object says of itself: by the rest it is known whether a recording came before,
    also by a program that did not keep that.
    """
    return {
        "source_id": ecg.source_id,
        "patient": patient_dict(ecg.patient),
        "acquired": acquired_dict(ecg.acquired),
        "order": _fields(ecg.order),
        "statements": list(ecg.statements),
        "coded": [_fields(one) for one in ecg.coded],
    }


def _fields(flat: Device | Filters | Finding | Order | Statement | WaveformObject) -> dict[str, object]:
    """What `dataclasses.asdict` gives for a dataclass of plain values, without its copy of each."""
    return {one.name: getattr(flat, one.name) for one in fields(flat)}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a version says that identifies nobody."""

    stored_leads: tuple[str, ...]
    derived_leads: tuple[str, ...]
    device: Device
    filters: Filters
    measurements: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    test_data: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivatePart:
    """What a version says that can identify a person, or was typed by one."""

    source_id: str
    patient: Patient
    acquired: AcquiredAt | None
    order: Order
    statements: tuple[str, ...] = field(repr=False)
    coded: tuple[Statement, ...] = field(repr=False)  #: none in a row of a program that did not keep them
    waveform_object: WaveformObject | None  #: none in a row of a program that did not keep it


def about_of(row: EcgVersion) -> About:
    """The inverse of `about`."""
    told = row.about
    return About(
        stored_leads=tuple(told["stored_leads"]),
        derived_leads=tuple(told["derived_leads"]),
        device=Device(**told["device"]),
        filters=Filters(**told["filters"]),
        measurements=tuple((name, value) for name, value in told["measurements"]),
        findings=tuple(Finding(code=one["code"], text=one["text"]) for one in told["findings"]),
        test_data=told["test_data"],
    )


def private_from(stored: bytes) -> PrivatePart:
    """The inverse of `private`, from its JSON."""
    told = json.loads(stored)
    acquired, origin = told["acquired"], told.get("waveform_object")
    return PrivatePart(
        source_id=told["source_id"],
        patient=patient_from(told["patient"]),
        acquired=acquired and AcquiredAt(**(acquired | {"at": datetime.fromisoformat(acquired["at"])})),
        order=Order(**told["order"]),
        statements=tuple(told["statements"]),
        coded=tuple(Statement(**one) for one in told.get("coded", ())),
        waveform_object=origin and WaveformObject(**origin),
    )


def ecg_from(row: EcgVersion, private: PrivatePart, signal: NDArray[np.float32]) -> Ecg:
    """The ECG of one version: `signal` is (12, samples) in mV."""
    told = about_of(row)
    return Ecg(
        source_id=private.source_id,
        format=row.format,
        patient=private.patient,
        acquired=private.acquired,
        sampling_rate=row.sampling_rate,
        signal=signal,
        stored_leads=told.stored_leads,
        derived_leads=told.derived_leads,
        device=told.device,
        filters=told.filters,
        order=private.order,
        statements=private.statements,
        coded=private.coded,
        measurements=told.measurements,
        findings=told.findings,
        test_data=told.test_data,
        waveform_object=private.waveform_object,
    )


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


def patient_dict(patient: Patient) -> dict[str, object]:
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


def document_dict(one: Document) -> dict[str, object]:
    """What another system said, all of it: a person may be named anywhere."""
    told = {each.name: getattr(one, each.name) for each in fields(one) if each.name != "pages"}
    refers = {each.name: getattr(one.refers, each.name) for each in fields(one.refers)}
    made_at = one.made_at and one.made_at.isoformat()
    return told | {"patient": patient_dict(one.patient), "refers": refers, "made_at": made_at}


def document_from(written: bytes) -> Document:
    """Of the JSON of `document_dict`."""
    stored = json.loads(written)
    refers = stored["refers"]
    return Document(
        **stored
        | {
            "patient": patient_from(stored["patient"]),
            "made_at": datetime.fromisoformat(stored["made_at"]) if stored["made_at"] else None,
            "replaces": tuple(stored["replaces"]),
            "refers": References(
                instances=tuple(refers["instances"]), study_uid=refers["study_uid"], numbers=tuple(refers["numbers"])
            ),
        }
    )


def score_rows(scoring_id: int, scoring: Scoring) -> list[dict[str, object]]:
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
            "unshifted": _plain(score.unshifted),
        }
        for position, score in enumerate(scoring.scores)
    ]


def scoring_from(row: ScoringRow, scores: tuple[Score, ...]) -> Scoring:
    return Scoring(
        ecg_id=row.ecg_id,
        model_id=row.model_id,
        model_name=row.model_name,
        model_version=row.model_version,
        preprocessing=row.preprocessing,
        runtime=row.runtime,
        input_digest=row.input_digest,
        scored_at=row.scored_at,
        scores=scores,
        demo=row.demo,
        segments=row.segments,
    )


def score_from(row: ScoreRow) -> Score:
    return Score(
        head=row.head,
        label=row.label,
        probability=row.probability,
        logit=row.logit,
        threshold=row.threshold,
        positive=row.positive,
        reasons=tuple((code, text) for code, text in row.reasons),
        unshifted=row.unshifted,
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
