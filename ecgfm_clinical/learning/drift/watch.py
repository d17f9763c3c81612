"""`drift`: gather what was staged, scored and measured, compare it with the reference, keep and show the findings."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import Model
from ecgfm.finetuning.dataset import Example, segment_count
from ecgfm.finetuning.embedding import embed
from ecgfm.metrics import finite
from ecgfm_clinical.ecg.beats import heart_rate
from ecgfm_clinical.ecg.evaluability import between_beats, signal_reasons
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning import models, planning
from ecgfm_clinical.learning.cohort.sources import Signals, StagedEcgs
from ecgfm_clinical.learning.documents import plain
from ecgfm_clinical.learning.drift import detection, report
from ecgfm_clinical.learning.drift.detection import Finding, Floats, Inputs, Number, Sample, Scored
from ecgfm_clinical.learning.drift.report import DriftReport, LabelDrift
from ecgfm_clinical.learning.provenance import HeadRecord, Provenance, TrainingRecord
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.staging.cohort_rows import EcgRow
from ecgfm_connectors.ecg import Ecg

A_MONTH = 200  #: ECGs whose signals are looked at, chosen by a hash of their key
REFERENCE_SHARE = (
    0.5  #: where the model does not say as of when it was made, the older half of the months is the reference
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One drift report."""

    told: DriftReport
    report: Path


def watch(workshop: Workshop) -> Watched:
    """Compare what came after the live model was made with what came before. Raises LearningError with too few ECGs."""
    now = workshop.clock()
    live = models.live_model(workshop.settings, workshop.registry, now=now, actor=workshop.actor)
    bundle = models.opened(workshop.settings, live)
    provenance = Provenance.of(bundle)
    source = StagedEcgs(workshop.store.cohorts, now)
    rows = [row for row in source.rows() if row.acquired_at is not None and not row.test_data and not row.superseded]
    old, new = _parts(rows, provenance)
    inputs, missing, findings = _inputs(workshop, bundle, source, old, new)
    reference, current = {row.key for row in old}, {row.key for row in new}
    by_key = {row.key: row for row in rows}
    heads = {}
    for spec in bundle.heads:
        record = provenance.heads.get(spec.name, HeadRecord()).trained
        for label in spec.labels:
            scored = _scored(workshop, bundle, record, spec.name, label, by_key, now)
            head, found = _label(record, label, scored, reference, current)
            heads[f"{spec.name}: {label}" if label != spec.name else label] = head
            findings += found
    told = DriftReport(
        model=f"{bundle.name} {bundle.version}",
        model_id=bundle.model_id,
        as_of=now,
        reference_ecgs=len(old),
        current_ecgs=len(new),
        inputs=inputs,
        inputs_missing=missing,
        heads=heads,
        findings=tuple(findings),
    )
    path = report.write(told, workshop.folders.drift / f"{now:%Y%m%dT%H%M%S}")
    kept = [plain(finding) for finding in findings]
    workshop.registry.keep_drift(bundle.model_id, kept, {"file": str(path)}, now=now, actor=workshop.actor)
    return Watched(told=told, report=path)


def _parts(rows: Sequence[EcgRow], provenance: Provenance) -> tuple[list[EcgRow], list[EcgRow]]:
    """Reference and current ECGs: before and after the model's data ended, else the older and the newer months."""
    cut = max((head.trained.as_of for head in provenance.heads.values() if head.trained), default=None)
    old = [row for row in rows if cut is not None and row.acquired_at is not None and row.acquired_at <= cut]
    new = [row for row in rows if cut is not None and row.acquired_at is not None and row.acquired_at > cut]
    if not old or not new:
        months = sorted({month_of(row) for row in rows})
        first = set(months[: max(1, int(REFERENCE_SHARE * len(months)))])
        old = [row for row in rows if month_of(row) in first]
        new = [row for row in rows if month_of(row) not in first]
    if not old or not new:
        raise LearningError("all ECGs are of one month; drift needs an earlier and a later one")
    return old, new


def month_of(row: EcgRow) -> str:
    """The UTC month of acquisition, 2031-05."""
    assert row.acquired_at is not None
    return f"{row.acquired_at.astimezone(UTC):%Y-%m}"


def _inputs(
    workshop: Workshop, bundle: Bundle, source: StagedEcgs, old: Sequence[EcgRow], new: Sequence[EcgRow]
) -> tuple[Inputs | None, str, list[Finding]]:
    """What the ECGs look like, or why that cannot be compared; scores and outcomes can be compared all the same."""
    kept = [[row for row in part if row.kept] for part in (old, new)]
    if not all(kept):
        return None, "retention has removed every signal of one of the two periods", []
    found, findings = detection.inputs(*(_samples(workshop, bundle, source, _sampled(part)) for part in kept))
    return found, "", findings


def _sampled(rows: Sequence[EcgRow]) -> list[EcgRow]:
    """At most `A_MONTH` a month, the same ones at every run."""
    months: defaultdict[str, list[EcgRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.key.encode()).digest()):
        if len(months[month_of(row)]) < A_MONTH:
            months[month_of(row)].append(row)
    return [row for own in months.values() for row in own]


def _samples(workshop: Workshop, bundle: Bundle, source: StagedEcgs, rows: Sequence[EcgRow]) -> list[Sample]:
    given = zip(rows, source.ecgs([row.key for row in rows]), strict=True)
    usable = {row.key for row, one in given if not signal_reasons(one)}
    examples = [
        Example(key=row.key, patient=row.patient, labels=(), segments=segment_count(row.samples, row.sampling_rate))
        for row in rows
        if row.key in usable
    ]
    kept = workshop.folders.cache
    device = workshop.settings.model.device
    embedded = embed(Model.of(bundle).network, examples, Signals(source=source), cache=kept, device=device)
    means = {example.key: one.mean(axis=0).astype(np.float64) for example, one in zip(examples, embedded, strict=True)}
    again = zip(rows, source.ecgs([row.key for row in rows]), strict=True)
    return [_sample(row, one, means.get(row.key)) for row, one in again]


def _sample(row: EcgRow, ecg: Ecg, embedding: Floats | None) -> Sample:
    whole = ecg.signal[~np.isnan(ecg.signal).any(axis=1)].astype(np.float64)
    numbers: dict[Number, float] = {"amplitude": float("nan"), "noise": float("nan"), "rate": float("nan")}
    if len(whole) and whole.shape[1] >= ecg.sampling_rate:
        numbers["amplitude"] = float(np.median(np.ptp(whole, axis=1)))
        numbers["noise"] = float(np.median(between_beats(whole.astype(np.float32), ecg.sampling_rate)))
        numbers["rate"] = heart_rate(np.nan_to_num(ecg.signal.astype(np.float64)), ecg.sampling_rate)
    return Sample(month=month_of(row), device=row.device, site=row.site, numbers=numbers, embedding=embedding)


def _scored(
    workshop: Workshop,
    bundle: Bundle,
    record: TrainingRecord | None,
    head: str,
    label: str,
    rows: Mapping[str, EcgRow],
    now: datetime,
) -> list[tuple[str, Scored]]:
    """Every score that the live model gave, with its outcome where the patient was not trained on."""
    outcomes = _outcomes(workshop, record, head, label, now)
    given = workshop.store.cohorts.scored(head, label)
    return [
        (
            key,
            Scored(
                month=month_of(rows[key]),
                device=rows[key].device,
                site=rows[key].site,
                patient=rows[key].patient,
                probability=probability,
                outcome=outcomes.get(key),
            ),
        )
        for key, model_id, probability, _ in given
        if model_id == bundle.model_id and key in rows
    ]


def _outcomes(
    workshop: Workshop, record: TrainingRecord | None, head: str, label: str, now: datetime
) -> dict[str, float]:
    """Outcomes of test patients, and of everyone's ECGs recorded after the model's data ended."""
    if head not in planning.HEADS:
        return {}
    cohort, _ = workshop.cohort(head, now)
    if label not in cohort.labels:
        return {}
    column = cohort.labels.index(label)
    cut = record.as_of if record else now
    return {
        member.example.key: member.example.labels[column]
        for member in cohort.members
        if np.isfinite(member.example.labels[column])
        and (member.split == "test" or (member.row.acquired_at is not None and member.row.acquired_at > cut))
    }


def _label(
    record: TrainingRecord | None,
    label: str,
    scored: Sequence[tuple[str, Scored]],
    reference: set[str],
    current: set[str],
) -> tuple[LabelDrift, list[Finding]]:
    old = [one for key, one in scored if key in reference]
    new = [one for key, one in scored if key in current]
    rows, findings = detection.scores(label, old, new)
    judged = record.metrics.get(label) if record else None
    expected = finite(judged.metrics["auroc"].value) if judged else None
    measured, more = detection.performance(label, [one for _, one in scored], expected=expected)
    return LabelDrift(scores=rows, performance=measured, expected_auroc=expected), findings + more
