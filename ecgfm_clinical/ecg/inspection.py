"""The contents of one ECG file, for people and programs, with identifying values masked unless they are asked for."""

from pathlib import Path

import numpy as np

from ecgfm_clinical.extras import have
from ecgfm_connectors import ages
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.statements.understanding import understood
from ecgfm_connectors.statements.vocabularies import VOCABULARIES

MASK = "***"


def describe(ecg: Ecg, *, phi: bool) -> dict[str, object]:
    """Everything read from one ECG. Identifying values are `***` unless `phi`; values that the file lacks are left out.

    `quality` is None where the extra `score` is not installed: the signal was not judged.
    """

    def masked(value: str) -> str:
        return value if phi else MASK

    patient = ecg.patient
    age = ages.of(ecg)
    return {
        "format": ecg.format,
        "source_id": masked(ecg.source_id),
        "identifiers": [
            {"authority": one.authority, "type": one.type, "value": masked(one.value)} for one in patient.identifiers
        ],
        "name": masked(f"{patient.family_name}, {patient.given_name}") if patient.family_name else None,
        "birth_date": masked(patient.birth_date.isoformat()) if patient.birth_date else None,
        "sex": patient.sex,
        "age": {"years": [round(one, 1) for one in age.candidates] if phi else MASK, "doubts": list(age.doubts)},
        "orders": {
            name: masked(value)
            for name, value in (
                ("placer", ecg.order.placer),
                ("filler", ecg.order.filler),
                ("accession", ecg.order.accession),
                ("study_uid", ecg.order.study_uid),
                ("visit", ecg.order.visit),
            )
            if value
        },
        "stat": ecg.order.stat,
        "acquired_at": ecg.acquired.at.isoformat() if ecg.acquired else None,
        "zone_source": ecg.acquired.zone_source if ecg.acquired else None,
        "device": {
            "manufacturer": ecg.device.manufacturer,
            "model": ecg.device.model,
            "software": ecg.device.software,
        },
        "filters_hz": {
            "high_pass": ecg.filters.high_pass,
            "low_pass": ecg.filters.low_pass,
            "notch": ecg.filters.notch,
        },
        "sampling_rate": ecg.sampling_rate,
        "samples": ecg.signal.shape[1],
        "duration_seconds": round(ecg.duration, 3),
        "stored_leads": list(ecg.stored_leads),
        "derived_leads": list(ecg.derived_leads),
        "missing_leads": [lead for lead, row in zip(LEADS, ecg.signal, strict=True) if np.isnan(row).all()],
        "peak_to_peak_mv": {
            lead: round(float(np.nanmax(row) - np.nanmin(row)), 4)
            for lead, row in zip(LEADS, ecg.signal, strict=True)
            if not np.isnan(row).all()
        },
        "test_data": ecg.test_data,
        "findings": [{"code": one.code, "text": one.text} for one in ecg.findings],
        "quality": _quality(ecg),
        "measurements": dict(ecg.measurements),
        "statements": [masked(statement) for statement in ecg.statements],
        "understood": [
            {"category": one.category, "concept": one.concept, "certainty": one.certainty, "source": one.source}
            | {"code": one.code if one.source in VOCABULARIES else masked(one.code)}
            for one in understood(ecg)
        ],
    }


def _quality(ecg: Ecg) -> list[dict[str, str]] | None:
    if not have("score"):
        return None
    from ecgfm_clinical.ecg.evaluability import (
        signal_reasons,
    )  # imports scipy, which `status` and a lean install go without

    return [{"code": one.code, "text": one.text} for one in signal_reasons(ecg)]


def write_npz(ecg: Ecg, path: Path) -> None:
    """`signal` (12, N) float32 mV in the order of `leads`, NaN where no sample exists; `sampling_rate` in Hz."""
    with path.open("wb") as file:  # savez would add .npz to any other name
        np.savez_compressed(file, signal=ecg.signal, leads=np.array(LEADS), sampling_rate=np.float64(ecg.sampling_rate))
