"""A judgement on paper: one self-contained HTML page with plots and a TRIPOD+AI-shaped table, and the same as JSON.

TRIPOD+AI: Collins et al. 2024, doi:10.1136/bmj-2023-078378. The page loads nothing from anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Protocol

from ecgfm.metrics import Interval, wilson
from ecgfm.provenance import ModelVersion
from ecgfm_clinical.learning.cohort.members import Flow
from ecgfm_clinical.learning.documents import plain, write_document, write_text
from ecgfm_clinical.learning.judging.judgement import CHAMPION, LabelJudgement, Metric, interval_text, shown
from ecgfm_clinical.learning.judging.worth import worth
from ecgfm_clinical.learning.provenance import HeadRecord, TrainingRecord
from ecgfm_clinical.learning.report import figures
from ecgfm_clinical.learning.report.document import Report
from ecgfm_clinical.learning.selected import Selection, selection_of, without_selection
from ecgfm_clinical.rules import BEST
from ecgfm_clinical.wording import phrase

NAMES: Mapping[Metric, str] = {
    "auroc": "AUROC",
    "auprc": "AUPRC (average precision)",
    "brier": "Brier score",
    "calibration_slope": "Calibration slope",
    "calibration_intercept": "Calibration intercept (in the large)",
    "ece": "Expected calibration error",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "Positive predictive value",
    "npv": "Negative predictive value",
}


def draw_flow(cohort: Flow, path: Path) -> None:
    """The flow of exclusions as a picture."""
    write_text(path, figures.flow(cohort))


def write(report: Report, folder: Path) -> Path:
    """`report.json` and `report.html`; the path of the latter. Raises LearningError where the disk refuses."""
    write_document(folder / "report.json", report)
    write_text(folder / "report.html", page(report))
    return folder / "report.html"


class Evaluated(Protocol):
    """What `external_page` shows of an external evaluation."""

    @property
    def head(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def archive(self) -> str: ...
    @property
    def recordings(self) -> str: ...
    @property
    def model(self) -> ModelVersion: ...
    @property
    def labels(self) -> Mapping[str, LabelJudgement]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def cohort(self) -> Flow: ...


def external_page(found: Evaluated) -> str:
    """A model on an archive that is not its own: the same figures without a gate."""
    title = f"External evaluation of {found.head}: {found.model.name} {found.model.version} on {found.archive}"
    return _html(title, _external(found, title))


def _external(found: Evaluated, title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    for note in found.notes:
        yield f'<p class="note">{escape(note)}</p>'
    yield f"<p>{escape(found.target)} Recordings: {escape(found.recordings)}. Model {escape(found.model.model_id)}.</p>"
    for label, judged in found.labels.items():
        yield f"<h2>{escape(label)}</h2>"
        yield from _label(judged)
    yield _flow(found.cohort)


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; }
td, th { border: 1px solid #d0d5da; padding: .25rem .6rem; text-align: left; vertical-align: top; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; } .figures svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; } .wide svg { min-width: 40rem; height: auto; }
@media print { .wide { overflow: visible; } .wide svg { min-width: 0; } tr, svg { break-inside: avoid; } }
.note { border-left: 4px solid #b45f06; background: #fff6ea; padding: .5rem .8rem; }
.pass { color: #19692c; font-weight: 600; } .refuse { color: #a61b1b; font-weight: 600; } svg { max-width: 100%; }
"""


def page(report: Report) -> str:
    """The whole page."""
    title = f"Judgement of {report.head}"
    return _html(f"{title}: {report.candidate.name} {report.candidate.version}", _sections(report, title))


def _html(title: str, sections: Iterator[str]) -> str:
    body = "\n".join(sections)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _sections(report: Report, title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    for note in report.notes:
        yield f'<p class="note">{escape(note)}</p>'
    candidate = report.candidate
    yield f"<p>{escape(report.target)} Data as of {report.as_of:%Y-%m-%d %H:%M %Z}.</p>"
    yield f"<p>Model: {escape(candidate.name)}, version {escape(candidate.version)} ({candidate.model_id[:12]}).</p>"
    yield from _verdict(report)
    for label, judged in report.labels.items():
        yield f"<h2>{escape(label)}</h2>"
        yield from _label(judged)
    if report.training and report.training.trained:
        yield from _selection(selection_of(report.training.trained.training))
    yield _flow(report.cohort)
    yield "<h2>What a reader of a prediction model study asks (TRIPOD+AI)</h2>" + _table(_tripod(report))


def _verdict(report: Report) -> Iterator[str]:
    verdict = report.verdict
    if verdict is None:
        return
    if verdict.passed:
        yield '<p class="pass">The gate passes: this head may be promoted.</p>'
    else:
        yield '<p class="refuse">The gate refuses:</p>'
        yield "<ul>" + "".join(f"<li>{escape(reason)}</li>" for reason in verdict.refusals) + "</ul>"
    if verdict.must_beat is None:
        return
    asked = ", ".join(verdict.must_beat) or "no rival"
    beside = dict.fromkeys(name for own in report.labels.values() for name in own.compared if name != CHAMPION)
    free = [] if BEST in verdict.must_beat else [name for name in beside if name not in verdict.must_beat]
    rest = f" It did not demand it of: {', '.join(free)} (learning.gate.must_beat)." if free else ""
    yield f"<p>{escape(f'The gate demanded an AUROC above that of: {asked}.{rest}')}</p>"


def _selection(selection: Selection | None) -> Iterator[str]:
    if selection is None:
        return
    yield "<h2>How the method was chosen</h2>"
    minutes = f"{round(selection.budget_seconds / 60, 1):g}"
    yield (
        f"<p>{escape(selection.chosen.capitalize())} on the {escape(selection.encoder)}: {escape(selection.why)}. By "
        f"cross-validation inside the training patients, within {minutes} minutes.</p>"
    )
    rows: list[tuple[str, ...]] = [
        ("Way", "Encoder", "AUROC, mean over folds (each fold)", "Seconds", "Skipped, because")
    ]
    for one in selection.tried:
        folds = f" ({', '.join(f'{own:.3f}' for own in one.folds)})" if one.folds else ""
        rows.append(
            (
                one.name,
                one.encoder,
                _plain(one.auroc) + folds,
                f"{one.seconds:.0f}",
                one.skipped,
            )
        )
    yield _table(rows)


def _label(judged: LabelJudgement) -> Iterator[str]:
    yield (
        f"<p>{judged.ecgs} test ECGs of {judged.patients} patients, {judged.positives} positive "
        f"(prevalence {judged.prevalence:.3f}); intervals: 95 %, {judged.replicates} bootstrap samples of patients.</p>"
    )
    yield _table(
        [("Figure", "Value (95 % interval)")] + [(NAMES[k], interval_text(v)) for k, v in judged.metrics.items()]
    )
    compared = [("Compared with", "its AUROC", "candidate minus it", "DeLong p")]
    for name, other in judged.compared.items():
        p = "patients repeat" if other.delong_p is None else f"{other.delong_p:.3g}"
        compared.append((shown(name), interval_text(other.auroc), interval_text(other.difference), p))
    if judged.compared:
        yield _table(compared)
    if sentence := worth(judged):
        yield f"<p><strong>{escape(sentence)}</strong></p>"
    drawings = (figures.roc, figures.reliability, figures.decision, figures.histogram)
    yield '<div class="figures">' + "".join(draw(judged) for draw in drawings) + "</div>"
    if any(group.auroc for group in judged.subgroups):
        yield f'<div class="wide">{figures.subgroups(judged)}</div>'
    yield _table(_subgroups(judged))


def _flow(cohort: Flow) -> str:
    return f'<h2>Who was looked at</h2><div class="wide">{figures.flow(cohort)}</div>'


def _subgroups(judged: LabelJudgement) -> list[tuple[str, ...]]:
    """Where there is a live model, with the difference to it; where there is a threshold, with rates and Wilson's
    interval.
    """
    live = CHAMPION in judged.compared
    beside = ("AUROC minus live model",) if live else ()
    threshold = any(group.sensitivity is not None or group.specificity is not None for group in judged.subgroups)
    rates = ("sensitivity", "specificity") if threshold else ()
    rows: list[tuple[str, ...]] = [("Subgroup", "ECGs", "positives", "AUROC", *beside, *rates)]
    for group in judged.subgroups:
        difference = interval_text(group.difference_champion) if group.difference_champion else ""
        found = (
            _share(group.sensitivity, group.positives),
            _share(group.specificity, group.ecgs - group.positives),
        )
        rows.append(
            (
                f"{group.attribute}: {group.value}",
                str(group.ecgs),
                str(group.positives),
                interval_text(group.auroc) if group.auroc else "too few",
                *((difference,) if live else ()),
                *(found if threshold else ()),
            )
        )
    return rows


def _share(value: float | None, count: int) -> str:
    if value is None:
        return ""
    low, high = wilson(value * count, count)
    return interval_text(Interval(value=value, low=low, high=high))


def _tripod(report: Report) -> list[tuple[str, ...]]:
    cohort = report.cohort
    splits = "; ".join(f"{name}: {own.ecgs} ECGs of {own.patients} patients" for name, own in cohort.splits.items())
    return [
        ("Item", "Here"),
        ("Source of data, setting", f"{report.site or 'not named'}; data as of {report.as_of:%Y-%m-%d %H:%M %Z}"),
        ("Participants, exclusions", f"{cohort.considered} ECGs considered, {cohort.included} included; see the flow"),
        ("Outcome, how measured", report.target),
        ("Rules of linkage", phrase(cohort.rules.to_json())),
        ("Predictors", "12-lead ECG, 10 s as two 5 s segments, z-scored; no age, no sex, no text"),
        ("Sample size, missing data", f"{splits}; outcomes left out: {phrase(cohort.outcomes_left_out)}"),
        ("Splits", "by a hash of the patient key, the same over years; a patient is in one split only"),
        *_how_trained(report.training.trained if report.training else None),
        *_calibrated_anew(report.training),
        ("Fairness", "performance and counts by age, sex, device, site, rate and rhythm; see the subgroups"),
        ("Comparators", ", ".join(sorted({shown(name) for own in report.labels.values() for name in own.compared}))),
        ("Cohort digest", cohort.digest),
        ("Model digest", report.candidate.model_id),
        ("Code version", report.training.trained.code_version if report.training and report.training.trained else ""),
        (
            "Interpretation, limits",
            " ".join(report.notes) or "judged on this site's own patients; no external validation",
        ),
    ]


def _how_trained(trained: TrainingRecord | None) -> Iterator[tuple[str, str]]:
    fitted = "as registered"
    if trained is not None:
        fitted = phrase({name: own for name, own in without_selection(trained.training).items() if name != "tried"})
    yield "Model", f"ECG-FM encoder with a linear head; {fitted}"
    yield (
        "Class imbalance",
        "positive weights in fine-tuning, none in a linear probe; probabilities are calibrated after",
    )
    if trained is None:
        yield "Calibration, threshold", "as in the bundle"
        return
    yield "Calibration", f"{trained.calibration.method}, fitted on {trained.calibration.fitted_on}"
    point = trained.operating_point
    yield "Threshold", f"{point}, chosen on {point.chosen_on}" + (f", at {point.site}" if point.site else "")
    for site, own in trained.site_operating_points.items():
        yield f"Threshold at {site}", f"{own}, chosen on {own.chosen_on}"


def _calibrated_anew(record: HeadRecord | None) -> Iterator[tuple[str, str]]:
    if record and record.recalibrated:
        yield "Calibrated anew", phrase(plain(record.recalibrated))


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *rest = rows
    cells = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    cells += ["<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rest]
    return f'<div class="wide"><table>{"".join(cells)}</table></div>'
