"""The contents of one ECG file, for people and programs, with identifying values masked unless they are asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ecgfm_clinical.extras import have
from ecgfm_connectors import ages
from ecgfm_connectors.ecg import LEADS, Ecg, Finding, Order
from ecgfm_connectors.statements.understanding import understood
from ecgfm_connectors.statements.vocabularies import VOCABULARIES

MASK = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownNumber:
    """A patient's number and who assigned it."""

    authority: str
    type: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAge:
    """The ages that the ECG gives, in years, or `***`, and what makes them doubtful."""

    years: list[float] | str = field(repr=False)
    doubts: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """One of the device's statements as it was understood."""

    category: str
    concept: str
    certainty: str
    source: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Everything read from one ECG; identifying values may be `***`. The names of the fields are the keys of
    `inspect --json`.
    """

    format: str
    source_id: str = field(repr=False)
    identifiers: tuple[ShownNumber, ...] = field(repr=False)
    name: str | None = field(repr=False)
    birth_date: str | None = field(repr=False)
    sex: str
    age: ShownAge
    orders: Mapping[str, str] = field(repr=False)  #: placer, filler, accession, study_uid, visit: those it has
    stat: bool
    acquired_at: str | None  #: ISO 8601
    zone_source: str | None
    device: Mapping[str, str]  #: manufacturer, model, software
    filters_hz: Mapping[str, float | None]  #: high_pass, low_pass, notch
    sampling_rate: float  #: Hz
    samples: int
    duration_seconds: float
    stored_leads: list[str]
    derived_leads: list[str]
    missing_leads: list[str]
    peak_to_peak_mv: Mapping[str, float]  #: lead -> mV
    test_data: bool
    findings: tuple[Finding, ...]
    quality: tuple[Finding, ...] | None  #: None where the extra `score` is not installed: the signal was not judged
    measurements: Mapping[str, str]
    statements: list[str] = field(repr=False)
    understood: tuple[Understood, ...]

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def describe(ecg: Ecg, *, phi: bool) -> Inspection:
    """Everything read from one ECG. Identifying values are `***` unless `phi`; numbers of orders that the file lacks
    are left out.
    """

    def masked(value: str) -> str:
        return value if phi else MASK

    patient, device, filters = ecg.patient, ecg.device, ecg.filters
    age = ages.of(ecg)
    missing = {lead: bool(np.isnan(row).all()) for lead, row in zip(LEADS, ecg.signal, strict=True)}
    return Inspection(
        format=ecg.format,
        source_id=masked(ecg.source_id),
        identifiers=tuple(
            ShownNumber(authority=one.authority, type=one.type, value=masked(one.value)) for one in patient.identifiers
        ),
        name=masked(f"{patient.family_name}, {patient.given_name}") if patient.family_name else None,
        birth_date=masked(patient.birth_date.isoformat()) if patient.birth_date else None,
        sex=patient.sex,
        age=ShownAge(years=[round(one, 1) for one in age.candidates] if phi else MASK, doubts=list(age.doubts)),
        orders={name: masked(value) for name, value in _orders(ecg.order) if value},
        stat=ecg.order.stat,
        acquired_at=ecg.acquired.at.isoformat() if ecg.acquired else None,
        zone_source=ecg.acquired.zone_source if ecg.acquired else None,
        device={"manufacturer": device.manufacturer, "model": device.model, "software": device.software},
        filters_hz={"high_pass": filters.high_pass, "low_pass": filters.low_pass, "notch": filters.notch},
        sampling_rate=ecg.sampling_rate,
        samples=ecg.signal.shape[1],
        duration_seconds=round(ecg.duration, 3),
        stored_leads=list(ecg.stored_leads),
        derived_leads=list(ecg.derived_leads),
        missing_leads=[lead for lead in LEADS if missing[lead]],
        peak_to_peak_mv={
            lead: round(float(np.nanmax(row) - np.nanmin(row)), 4)
            for lead, row in zip(LEADS, ecg.signal, strict=True)
            if not missing[lead]
        },
        test_data=ecg.test_data,
        findings=ecg.findings,
        quality=_quality(ecg),
        measurements=dict(ecg.measurements),
        statements=[masked(statement) for statement in ecg.statements],
        understood=tuple(
            Understood(
                category=one.category,
                concept=one.concept,
                certainty=one.certainty,
                source=one.source,
                code=one.code if one.source in VOCABULARIES else masked(one.code),
            )
            for one in understood(ecg)
        ),
    )


def _orders(order: Order) -> tuple[tuple[str, str], ...]:
    return (
        ("placer", order.placer),
        ("filler", order.filler),
        ("accession", order.accession),
        ("study_uid", order.study_uid),
        ("visit", order.visit),
    )


def _quality(ecg: Ecg) -> tuple[Finding, ...] | None:
    if not have("score"):
        return None
    from ecgfm_clinical.ecg.evaluability import (
        signal_reasons,
    )  # imports scipy, which `status` and a lean install go without

    return tuple(Finding(code=one.code, text=one.text) for one in signal_reasons(ecg))


def write_npz(ecg: Ecg, path: Path) -> None:
    """`signal` (12, N) float32 mV in the order of `leads`, NaN where no sample exists; `sampling_rate` in Hz."""
    with path.open("wb") as file:  # savez would add .npz to any other name
        np.savez_compressed(file, signal=ecg.signal, leads=np.array(LEADS), sampling_rate=np.float64(ecg.sampling_rate))
