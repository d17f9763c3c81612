"""What drift looks at, from the store: signals of some ECGs a month, every score of the live model,
outcomes as they came.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import Model
from ecgfm.finetuning.dataset import Example
from ecgfm.finetuning.embedding import embed
from ecgfm.signal import segment_count
from ecgfm_clinical.ecg.beats import heart_rate
from ecgfm_clinical.ecg.evaluability import between_beats, signal_reasons
from ecgfm_clinical.learning import planning
from ecgfm_clinical.learning.cohort.sources import Signals, StagedEcgs
from ecgfm_clinical.learning.drift.samples import Number, Sample, Scored
from ecgfm_clinical.learning.provenance import TrainingRecord
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.staging.cohort_rows import EcgRow
from ecgfm_connectors.ecg import Ecg

A_MONTH = 200  #: ECGs whose signals are looked at, chosen by a hash of their key


def month_of(row: EcgRow) -> str:
    """The UTC month of acquisition, 2031-05."""
    assert row.acquired_at is not None
    return f"{row.acquired_at.astimezone(UTC):%Y-%m}"


def sampled(rows: Sequence[EcgRow]) -> list[EcgRow]:
    """At most `A_MONTH` a month, the same ones at every run."""
    months: defaultdict[str, list[EcgRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.key.encode()).digest()):
        if len(months[month_of(row)]) < A_MONTH:
            months[month_of(row)].append(row)
    return [row for own in months.values() for row in own]


def samples(workshop: Workshop, bundle: Bundle, source: StagedEcgs, rows: Sequence[EcgRow]) -> list[Sample]:
    """What the ECGs themselves look like; those that no head may score have no embedding."""
    plain: list[Sample] = []
    usable: set[str] = set()
    for row, one in zip(rows, source.ecgs([row.key for row in rows]), strict=True):
        plain.append(_sample(row, one))
        if not signal_reasons(one):
            usable.add(row.key)
    examples = [
        Example(key=row.key, patient=row.patient, labels=(), segments=segment_count(row.samples, row.sampling_rate))
        for row in rows
        if row.key in usable
    ]
    kept = workshop.folders.cache
    device = workshop.settings.model.device
    embedded = embed(Model.of(bundle).network, examples, Signals(source=source), cache=kept, device=device)
    means = {example.key: one.mean(axis=0).astype(np.float64) for example, one in zip(examples, embedded, strict=True)}
    return [replace(one, embedding=means.get(row.key)) for row, one in zip(rows, plain, strict=True)]


def _sample(row: EcgRow, ecg: Ecg) -> Sample:
    """What needs no network."""
    whole = ecg.signal[~np.isnan(ecg.signal).any(axis=1)].astype(np.float64)
    numbers: dict[Number, float] = {"amplitude": float("nan"), "noise": float("nan"), "rate": float("nan")}
    if len(whole) and whole.shape[1] >= ecg.sampling_rate:
        numbers["amplitude"] = float(np.median(np.ptp(whole, axis=1)))
        numbers["noise"] = float(np.median(between_beats(whole.astype(np.float32), ecg.sampling_rate)))
        numbers["rate"] = heart_rate(np.nan_to_num(ecg.signal.astype(np.float64)), ecg.sampling_rate)
    return Sample(month=month_of(row), device=row.device, site=row.site, numbers=numbers)


def scored(
    workshop: Workshop, bundle: Bundle, head: str, label: str, rows: Mapping[str, EcgRow], outcomes: Mapping[str, float]
) -> dict[str, Scored]:
    """ECG key -> the score that the live model gave it, with its outcome where that is known."""
    return {
        key: Scored(
            month=month_of(rows[key]),
            device=rows[key].device,
            site=rows[key].site,
            patient=rows[key].patient,
            probability=probability,
            outcome=outcomes.get(key),
        )
        for key, model_id, probability, _ in workshop.store.cohorts.scored(head, label)
        if model_id == bundle.model_id and key in rows
    }


def outcomes(
    workshop: Workshop, head: str, record: TrainingRecord | None, now: datetime
) -> Mapping[str, Mapping[str, float]]:
    """Label -> ECG key -> outcome: of test patients, and of everyone's ECGs recorded after the model's data ended."""
    if head not in planning.heads(workshop.settings.learning):
        return {}
    cohort, _ = workshop.cohort(head, now)
    cut = record.as_of if record else now
    untrained = [
        member
        for member in cohort.members
        if member.split == "test" or (member.row.acquired_at is not None and member.row.acquired_at > cut)
    ]
    return {
        label: {
            member.example.key: member.example.labels[column]
            for member in untrained
            if np.isfinite(member.example.labels[column])
        }
        for column, label in enumerate(cohort.labels)
    }
