"""`drift`: gather what was staged, scored and measured, compare it with the reference, keep and show the findings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecgfm.checkpoint import Bundle
from ecgfm.heads import HeadSpec
from ecgfm.metrics import finite
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning import models, shifting
from ecgfm_clinical.learning.cohort.sources import StagedEcgs
from ecgfm_clinical.learning.drift import detection, gathering, prevalence, report
from ecgfm_clinical.learning.drift.report import DriftReport, LabelDrift
from ecgfm_clinical.learning.drift.samples import Inputs, Scored
from ecgfm_clinical.learning.provenance import HeadRecord, TrainingRecord, head_records
from ecgfm_clinical.learning.workshop import Workshop
from ecgfm_clinical.staging.cohort_rows import EcgRow
from ecgfm_clinical.staging.model_records import DriftFinding

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
    past = head_records(bundle)
    source = StagedEcgs(workshop.store.cohorts, now)
    rows = [
        row
        for row in source.rows()
        if row.acquired_at is not None and not row.test_data and not (row.superseded or row.doubtful or row.objected)
    ]
    old, new = _parts(rows, past)
    inputs, missing, findings = _inputs(workshop, bundle, source, old, new)
    reference, current = {row.key for row in old}, {row.key for row in new}
    by_key = {row.key: row for row in rows}
    heads = {}
    for spec in bundle.heads:
        record = past.get(spec.name, HeadRecord()).trained
        known = gathering.outcomes(workshop, spec.name, record, now)
        for label in spec.labels:
            scored = gathering.scored(workshop, bundle, spec.name, label, by_key, known.get(label, {}))
            head, found = _label(record, label, scored, reference, current)
            heads[f"{spec.name}: {label}" if label != spec.name else label] = head
            findings += found
            findings += _prevalence(workshop, bundle, spec, label, [*scored.values()])
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
    workshop.registry.keep_drift(bundle.model_id, findings, str(path), now=now, actor=workshop.actor)
    return Watched(told=told, report=path)


def _parts(rows: Sequence[EcgRow], past: Mapping[str, HeadRecord]) -> tuple[list[EcgRow], list[EcgRow]]:
    """Reference and current ECGs: before and after the model's data ended, else the older and the newer months."""
    cut = max((head.trained.as_of for head in past.values() if head.trained), default=None)
    old = [row for row in rows if cut is not None and row.acquired_at is not None and row.acquired_at <= cut]
    new = [row for row in rows if cut is not None and row.acquired_at is not None and row.acquired_at > cut]
    if not old or not new:
        months = sorted({gathering.month_of(row) for row in rows})
        first = set(months[: max(1, int(REFERENCE_SHARE * len(months)))])
        old = [row for row in rows if gathering.month_of(row) in first]
        new = [row for row in rows if gathering.month_of(row) not in first]
    if not old or not new:
        raise LearningError("all ECGs are of one month; drift needs an earlier and a later one")
    return old, new


def _inputs(
    workshop: Workshop, bundle: Bundle, source: StagedEcgs, old: Sequence[EcgRow], new: Sequence[EcgRow]
) -> tuple[Inputs | None, str, list[DriftFinding]]:
    """What the ECGs look like, or why that cannot be compared; scores and outcomes can be compared all the same."""
    kept = [[row for row in part if row.kept] for part in (old, new)]
    if not all(kept):
        return None, "retention has removed every signal of one of the two periods", []
    found, findings = detection.inputs(
        *(gathering.samples(workshop, bundle, source, gathering.sampled(part)) for part in kept)
    )
    return found, "", findings


def _prevalence(
    workshop: Workshop, bundle: Bundle, spec: HeadSpec, label: str, scored: Sequence[Scored]
) -> list[DriftFinding]:
    """Where the share of the label's prior shift does not fit: said, with the candidate that a person may promote."""
    shift = spec.prior_shifts.get(label)
    found = None if shift is None else prevalence.recheck(shift, scored)
    if found is None or not found.differs:
        return []
    source = f"outcomes of {found.ecgs} ECGs, {found.positives} positive"
    candidate = shifting.proposed(workshop, bundle, spec.name, label, found.fits.value, source)
    return [prevalence.finding(label, found, candidate.bundle.model_id)]


def _label(
    record: TrainingRecord | None,
    label: str,
    scored: Mapping[str, Scored],
    reference: set[str],
    current: set[str],
) -> tuple[LabelDrift, list[DriftFinding]]:
    old = [one for key, one in scored.items() if key in reference]
    new = [one for key, one in scored.items() if key in current]
    rows, findings = detection.scores(label, old, new)
    judged = record.metrics.get(label) if record else None
    expected = finite(judged.metrics["auroc"].value) if judged else None
    measured, more = detection.performance(label, [*scored.values()], expected=expected)
    return LabelDrift(scores=rows, performance=measured, expected_auroc=expected), findings + more
