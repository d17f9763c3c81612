"""A drift report: kept as `drift.json`, shown as one page that loads nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer

from ecgfm_clinical.learning.documents import Instant, plain, write_document, write_text
from ecgfm_clinical.learning.drift.samples import NUMBERS, Inputs, Measure, Monthly, Performance, ScoreMonth
from ecgfm_clinical.learning.report import figures
from ecgfm_clinical.learning.report.figures import Dot
from ecgfm_clinical.learning.report.page import STYLE
from ecgfm_clinical.staging.model_records import DriftFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDrift:
    """One label of one head of the live model."""

    scores: tuple[ScoreMonth, ...]
    performance: Performance
    expected_auroc: float | None  #: when it was judged; None where the bundle does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What came after the live model was made beside what came before."""

    model: str
    model_id: str
    as_of: Instant
    reference_ecgs: int
    current_ecgs: int
    inputs: Annotated[Inputs | None, PlainSerializer(lambda own: {} if own is None else plain(own))]
    inputs_missing: str = ""  #: why inputs were not compared
    heads: Mapping[str, LabelDrift]
    findings: tuple[DriftFinding, ...]


def write(report: DriftReport, folder: Path) -> Path:
    """`drift.json` and `drift.html`; the path of the latter. Raises LearningError where the disk refuses."""
    write_document(folder / "drift.json", report)
    write_text(folder / "drift.html", page(report))
    return folder / "drift.html"


def page(report: DriftReport) -> str:
    """The report as one page."""
    body = [
        "<h1>Drift</h1>",
        f"<p>Model: {escape(report.model)} ({report.model_id[:12]}). As of {report.as_of:%Y-%m-%d %H:%M %Z}:",
        f" {report.current_ecgs} ECGs against {report.reference_ecgs} of the reference. Bands: 95 % intervals.</p>",
        "<h2>Findings</h2>",
    ]
    found = [f"<li>{escape(one.month)}: {escape(one.text)}</li>" for one in report.findings]
    body.append(f"<ul>{''.join(found)}</ul>" if found else "<p>None.</p>")
    body.append('<h2>Inputs by month</h2><div class="figures">')
    if report.inputs is not None:
        numbers = (report.inputs.amplitude, report.inputs.noise, report.inputs.rate)
        for months, text in zip(numbers, NUMBERS.values(), strict=True):
            body.append(_by_month(_dots(months), text))
        body.append(_by_month(_dots(report.inputs.embedding), "distance of embeddings, deviations"))
    else:
        body.append(f"<p>Not compared: {escape(report.inputs_missing)}.</p>")
    body.append("</div>")
    for label, own in report.heads.items():
        body.append(f'<h2>{escape(label)}</h2><div class="figures">')
        body.append(_by_month(_dots(own.scores), "mean probability"))
        body.append(_by_month(_auroc_dots(own.performance.month), "AUROC"))
        body.append("</div>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Drift</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _by_month(dots: list[Dot], name: str) -> str:
    """A picture, or that there is nothing to draw: empty axes say nothing."""
    return figures.by_month(dots, name) if dots else f"<p>{escape(name)}: too few ECGs in every month.</p>"


def _dots(months: tuple[Monthly, ...]) -> list[Dot]:
    return [
        Dot(month=one.month, value=one.value, low=one.low, high=one.high) for one in months if one.value is not None
    ]


def _auroc_dots(months: tuple[Measure, ...]) -> list[Dot]:
    return [
        Dot(month=one.of, value=one.auroc.value, low=one.auroc.low, high=one.auroc.high) for one in months if one.auroc
    ]
