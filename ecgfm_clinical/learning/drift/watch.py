"""`drift`: gather what was staged, scored and measured, compare it with the reference, keep and show the findings."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import Model
from ecgfm.finetuning.dataset import Example, segment_count
from ecgfm.finetuning.embedding import embed
from ecgfm_clinical.ecg.beats import heart_rate
from ecgfm_clinical.ecg.evaluability import between_beats, signal_reasons
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning import planning
from ecgfm_clinical.learning.cohort.sources import Signals, StoreSource
from ecgfm_clinical.learning.drift import detection as drift
from ecgfm_clinical.learning.drift.detection import Finding, Sample, Scored
from ecgfm_clinical.learning.report import figures
from ecgfm_clinical.learning.report.page import STYLE
from ecgfm_clinical.learning.runs import write_json
from ecgfm_clinical.learning.work import Workshop
from ecgfm_clinical.staging.cohort_rows import EcgRow
from ecgfm_connectors.ecg import Ecg

A_MONTH = 200  #: ECGs whose signals are looked at, chosen by a hash of their key
REFERENCE_SHARE = (
    0.5  #: where the model does not say as of when it was made, the older half of the months is the reference
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One drift report."""

    findings: tuple[Finding, ...]
    told: dict[str, Any]
    report: Path


def watch(workshop: Workshop) -> Watched:
    """Compare what came after the live model was made with what came before. Raises LearningError with too few ECGs."""
    now = workshop.clock()
    live = planning.live_model(workshop.settings, workshop.registry, now=now, actor=workshop.actor)
    bundle = planning.opened(workshop.settings, live)
    source = StoreSource(workshop.store.cohorts, as_of=now)
    rows = [row for row in source.rows() if row.acquired_at is not None and not row.test_data and not row.superseded]
    old, new = _parts(rows, bundle)
    told, findings = _inputs(workshop, bundle, source, old, new)
    reference, current = {row.key for row in old}, {row.key for row in new}
    by_key = {row.key: row for row in rows}
    for spec in bundle.heads:
        for label in spec.labels:
            scored = _scored(workshop, bundle, spec.name, label, by_key, now)
            head, found = _label(bundle, spec.name, label, scored, reference, current)
            told["heads"][f"{spec.name}: {label}" if label != spec.name else label] = head
            findings += found
    told |= {"model": f"{bundle.name} {bundle.version}", "model_id": bundle.model_id, "as_of": now.isoformat()}
    told["findings"] = [asdict(finding) for finding in findings]
    folder = planning.folders(workshop.settings).root / "drift" / f"{now:%Y%m%dT%H%M%S}"
    write_json(folder / "drift.json", told)
    path = folder / "drift.html"
    path.write_text(page(told), encoding="utf-8")
    workshop.registry.keep_drift(bundle.model_id, told["findings"], {"file": str(path)}, now=now, actor=workshop.actor)
    return Watched(findings=tuple(findings), told=told, report=path)


def _parts(rows: Sequence[EcgRow], bundle: Bundle) -> tuple[list[EcgRow], list[EcgRow]]:
    """Reference and current ECGs: before and after the model's data ended, else the older and the newer months."""
    ends = [told["as_of"] for told in bundle.provenance.get("heads", {}).values() if "as_of" in told]
    cut = max(map(datetime.fromisoformat, ends), default=None)
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
    workshop: Workshop, bundle: Bundle, source: StoreSource, old: Sequence[EcgRow], new: Sequence[EcgRow]
) -> tuple[dict[str, Any], list[Finding]]:
    told: dict[str, Any] = {"reference_ecgs": len(old), "current_ecgs": len(new), "inputs": {}, "heads": {}}
    kept = [[row for row in part if row.kept] for part in (old, new)]
    if not all(kept):  # scores and outcomes can still be compared
        return told | {"inputs_missing": "retention has removed every signal of one of the two periods"}, []
    samples = [_samples(workshop, bundle, source, _sampled(part)) for part in kept]
    found, findings = drift.inputs(*samples)
    return told | {"inputs": found}, findings


def _sampled(rows: Sequence[EcgRow]) -> list[EcgRow]:
    """At most `A_MONTH` a month, the same ones at every run."""
    months: defaultdict[str, list[EcgRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.key.encode()).digest()):
        if len(months[month_of(row)]) < A_MONTH:
            months[month_of(row)].append(row)
    return [row for own in months.values() for row in own]


def _samples(workshop: Workshop, bundle: Bundle, source: StoreSource, rows: Sequence[EcgRow]) -> list[Sample]:
    given = zip(rows, source.ecgs([row.key for row in rows]), strict=True)
    usable = {row.key for row, one in given if not signal_reasons(one)}
    examples = [
        Example(key=row.key, patient=row.patient, labels=(), segments=segment_count(row.samples, row.sampling_rate))
        for row in rows
        if row.key in usable
    ]
    kept = planning.folders(workshop.settings).cache
    device = workshop.settings.model.device
    embedded = embed(Model.of(bundle).network, examples, Signals(source=source), cache=kept, device=device)
    means = {example.key: one.mean(axis=0).astype(np.float64) for example, one in zip(examples, embedded, strict=True)}
    again = zip(rows, source.ecgs([row.key for row in rows]), strict=True)
    return [_sample(row, one, means.get(row.key)) for row, one in again]


def _sample(row: EcgRow, ecg: Ecg, embedding: Any) -> Sample:
    whole = ecg.signal[~np.isnan(ecg.signal).any(axis=1)].astype(np.float64)
    numbers = {"amplitude": float("nan"), "noise": float("nan"), "rate": float("nan")}
    if len(whole) and whole.shape[1] >= ecg.sampling_rate:
        numbers["amplitude"] = float(np.median(np.ptp(whole, axis=1)))
        numbers["noise"] = float(np.median(between_beats(whole.astype(np.float32), ecg.sampling_rate)))
        numbers["rate"] = heart_rate(np.nan_to_num(ecg.signal.astype(np.float64)), ecg.sampling_rate)
    return Sample(month=month_of(row), device=row.device, site=row.site, numbers=numbers, embedding=embedding)


def _scored(
    workshop: Workshop, bundle: Bundle, head: str, label: str, rows: Mapping[str, EcgRow], now: datetime
) -> list[tuple[str, Scored]]:
    """Every score that the live model gave, with its outcome where the patient was not trained on."""
    outcomes = _outcomes(workshop, bundle, head, label, now)
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


def _outcomes(workshop: Workshop, bundle: Bundle, head: str, label: str, now: datetime) -> dict[str, float]:
    """Outcomes of test patients, and of everyone's ECGs recorded after the model's data ended."""
    if head not in planning.HEADS:
        return {}
    cohort, _ = workshop.cohort(head, now)
    if label not in cohort.labels:
        return {}
    column = cohort.labels.index(label)
    ended = bundle.provenance.get("heads", {}).get(head, {}).get("as_of")
    cut = datetime.fromisoformat(ended) if ended else now
    return {
        member.example.key: member.example.labels[column]
        for member in cohort.members
        if np.isfinite(member.example.labels[column])
        and (member.split == "test" or (member.row.acquired_at is not None and member.row.acquired_at > cut))
    }


def _label(
    bundle: Bundle,
    head: str,
    label: str,
    scored: Sequence[tuple[str, Scored]],
    reference: set[str],
    current: set[str],
) -> tuple[dict[str, Any], list[Finding]]:
    old = [one for key, one in scored if key in reference]
    new = [one for key, one in scored if key in current]
    rows, findings = drift.scores(label, old, new)
    judged = bundle.provenance.get("heads", {}).get(head, {}).get("metrics", {}).get(label)
    expected = judged["metrics"]["auroc"]["value"] if judged else None
    measured, more = drift.performance(label, [one for _, one in scored], expected=expected)
    return {"scores": rows, "performance": measured, "expected_auroc": expected}, findings + more


def page(told: Mapping[str, Any]) -> str:
    """The report as one page that loads nothing."""
    body = [
        f"<h1>Drift of {escape(told['model'])}</h1>",
        f"<p>As of {escape(told['as_of'])}: {told['current_ecgs']} ECGs",
    ]
    body.append(f" against {told['reference_ecgs']} of the reference.</p><h2>Findings</h2>")
    found = [f"<li>{escape(one['month'])}: {escape(one['text'])}</li>" for one in told["findings"]]
    body.append(f"<ul>{''.join(found)}</ul>" if found else "<p>None.</p>")
    body.append('<h2>Inputs by month</h2><div class="figures">')
    if told["inputs"]:
        body += [figures.by_month(told["inputs"][name], text) for name, text in drift.NUMBERS.items()]
        body.append(figures.by_month(told["inputs"]["embedding"], "distance of embeddings, deviations"))
    else:
        body.append(f"<p>Not compared: {escape(told['inputs_missing'])}.</p>")
    body.append("</div>")
    for label, head in told["heads"].items():
        body.append(f'<h2>{escape(label)}</h2><div class="figures">')
        body.append(figures.by_month(head["scores"], "mean probability"))
        months = [{"month": row["of"], **(row["auroc"] or {})} for row in head["performance"]["month"]]
        body.append(figures.by_month(months, "AUROC"))
        body.append("</div>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Drift</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )
