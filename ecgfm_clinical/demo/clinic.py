"""A year of invented patients for `retrain`: one ECG each, an echo within days, a troponin within hours, all as
messages.

Signals are the generated recordings of the package, stretched, scaled and altered by the demo's rules; outcomes come
from `demo.outcomes`, which reads the same ECG. Whatever a model reaches on them is circular: it shows that the path
works.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.random import Generator

from ecgfm_clinical.demo.alterations import RULES
from ecgfm_clinical.demo.cases import AUTHORITY, unique_id
from ecgfm_clinical.demo.outcomes import UPPER_REFERENCE_LIMIT, Simulated, simulate
from ecgfm_clinical.ecg.beats import Signal
from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.ecg import LEADS, AcquiredAt, Device, Ecg, Order
from ecgfm_connectors.patient import Identifier, Patient, Sex

NOTE = (
    "Simulated: patients are invented, ECGs generated and altered by rules, and both outcomes drawn by written rules "
    "(ecgfm_clinical/demo/outcomes.py) from the same ECGs that the model sees. The figures are circular; they show "
    "that the path works and say nothing about patients."
)

#: How often each set of alterations occurs.
MIX: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.46, ()),
    (0.20, ("wide QRS",)),
    (0.18, ("ST elevation",)),
    (0.10, ("atrial fibrillation",)),
    (0.03, ("atrial fibrillation", "wide QRS")),
    (0.03, ("noise",)),
)
#: Strength of an infarction's ST elevation, and of the harmless shift that everyone else has, as shares of the full
#: rule.
MARKED, BENIGN = (0.25, 1.0), (-0.15, 0.2)
CARTS = (("Simulated", "Cart A", "North"), ("Simulated", "Cart B", "South"))
STATEMENTS = {
    (): ("Sinus rhythm",),
    ("wide QRS",): ("Sinus rhythm", "Left bundle branch block"),
    ("ST elevation",): ("Sinus rhythm",),
    ("atrial fibrillation",): ("Atrial fibrillation",),
    ("atrial fibrillation", "wide QRS"): ("Atrial fibrillation", "Left bundle branch block"),
    ("noise",): ("Poor data quality",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One invented patient's day in the clinic."""

    number: int
    ecg: Ecg
    outcome: Simulated
    echo_at: datetime
    drawn_at: datetime
    findings: tuple[str, ...]


def visits(count: int, *, now: datetime, seed: int = 0) -> Iterator[Visit]:
    """`count` patients whose ECGs were recorded over the year before `now`; the same seed gives the same patients."""
    for number in range(1, count + 1):
        yield _visit(number, np.random.default_rng([seed, number]), now, count)


def _visit(number: int, rng: Generator, now: datetime, count: int) -> Visit:
    findings = MIX[int(rng.choice(len(MIX), p=[weight for weight, _ in MIX]))][1]
    signal = varied(recordings.load(int(rng.integers(recordings.count()))), rng)
    signal = altered(signal, findings, rng)
    age = float(rng.uniform(25, 90))
    outcome = simulate(signal, recordings.SAMPLING_RATE, findings, age=age, rng=rng)
    acquired = now - timedelta(days=10 + 350 * (1 - number / count), minutes=float(rng.uniform(0, 600)))
    acquired = acquired.replace(microsecond=0)
    return Visit(
        number=number,
        ecg=_ecg(number, signal, findings, age, acquired, rng),
        outcome=outcome,
        echo_at=acquired + timedelta(days=float(rng.uniform(-5, 6))),
        drawn_at=acquired + timedelta(hours=float(rng.uniform(-1.5, 5))),
        findings=findings,
    )


def varied(signal: Signal, rng: Generator) -> Signal:
    """Another person's version of a recording: slower by up to a third, leads of other heights, a little noise."""
    samples = signal.shape[1]
    places = np.arange(samples) / rng.uniform(1.0, 1.35)
    stretched = np.stack([np.interp(places, np.arange(samples), lead) for lead in signal])
    gains = rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, 8)
    stored = [LEADS.index(lead) for lead in recordings.STORED]
    return recordings.twelve(stretched[stored] * gains[:, None] + rng.normal(0, 0.004, (8, samples)))


def altered(signal: Signal, findings: tuple[str, ...], rng: Generator) -> Signal:
    """The findings drawn into the signal. ST elevation comes in all degrees, and a little of it in people
    without it.
    """
    for name in findings:
        changed = RULES[name](signal, recordings.SAMPLING_RATE, rng)
        strength = rng.uniform(*MARKED) if name == "ST elevation" else 1.0
        signal = signal + strength * (changed - signal)
    if "ST elevation" not in findings:
        benign = RULES["ST elevation"](signal, recordings.SAMPLING_RATE, rng)
        signal = signal + rng.uniform(*BENIGN) * (benign - signal)
    return signal


def _ecg(number: int, signal: Signal, findings: tuple[str, ...], age: float, acquired: datetime, rng: Generator) -> Ecg:
    manufacturer, model, institution = CARTS[int(rng.integers(len(CARTS)))]
    sex: Sex = "F" if rng.random() < 0.5 else "M"
    return Ecg(
        source_id=unique_id(f"clinic {number} {acquired.isoformat()}"),
        format="dicom",
        patient=Patient(
            identifiers=(Identifier(authority=AUTHORITY, value=f"CLINIC-{number:05d}"),),
            birth_date=(acquired - timedelta(days=age * 365.25)).date(),
            sex=sex,
            family_name="DEMO",
            given_name=f"Clinic {number:05d}",
        ),
        acquired=AcquiredAt(at=acquired, zone_source="offset", original=acquired.isoformat()),
        sampling_rate=recordings.SAMPLING_RATE,
        signal=signal.astype(np.float32),
        stored_leads=LEADS,
        device=Device(manufacturer=manufacturer, model=model, institution=institution),
        order=Order(placer=f"CLINIC-P{number:05d}", accession=f"CLINIC-A{number:05d}"),
        statements=STATEMENTS[findings],
    )


def echo_message(visit: Visit, *, sent_at: datetime) -> bytes:
    """The echo laboratory's ORU^R01: ejection fraction as a number in percent, LOINC 10230-1."""
    obx = (
        "OBX|1|NM|10230-1^Left ventricular Ejection fraction^LN"
        f"||{visit.outcome.lvef:g}|%|||||F|||{_time(visit.echo_at)}"
    )
    return _message(visit, "ECHO", "34552-0^Cardiac 2D echo^LN", visit.echo_at, obx, sent_at)


def laboratory_message(visit: Visit, *, sent_at: datetime) -> bytes:
    """The laboratory's ORU^R01: high-sensitivity troponin T in ng/L with its 99th percentile in OBX-7, LOINC
    67151-1.
    """
    obx = (
        f"OBX|1|NM|67151-1^Troponin T cardiac high sensitivity^LN||{visit.outcome.troponin:g}|ng/L|"
        f"0-{UPPER_REFERENCE_LIMIT:g}||||F|||{_time(visit.drawn_at)}"
    )
    return _message(visit, "LAB", "67151-1^Troponin T cardiac high sensitivity^LN", visit.drawn_at, obx, sent_at)


def _message(visit: Visit, sender: str, service: str, at: datetime, obx: str, sent_at: datetime) -> bytes:
    patient = visit.ecg.patient
    (identifier,) = patient.identifiers
    assert patient.birth_date is not None
    number = f"{sender}{visit.number:05d}"
    name = f"{patient.family_name}^{patient.given_name}"
    segments = (
        f"MSH|^~\\&|{sender}|DEMO|ECGFM|DEMO|{_time(sent_at)}||ORU^R01^ORU_R01|{number}|P|2.5.1",
        f"PID|1||{identifier.value}^^^{identifier.authority}^MR||{name}||{patient.birth_date:%Y%m%d}|{patient.sex}",
        f"OBR|1||{number}|{service}|||{_time(at)}" + "|" * 18 + "F",
        obx,
    )
    return "".join(segment + "\r" for segment in segments).encode("utf-8")


def _time(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S%z")
