"""A judgement on paper: one self-contained HTML page with plots and a TRIPOD+AI-shaped table, and the same as JSON.

TRIPOD+AI: Collins et al. 2024, doi:10.1136/bmj-2023-078378. The page loads nothing from anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from ecgfm.checkpoint import Bundle
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.report import figures
from ecgfm_clinical.learning.runs import remedy, write_json
from ecgfm_clinical.wording import phrase

DEMO_NOTE = (
    "A demo model stands behind these numbers; it was trained on generated recordings with invented outcomes. Where the "
    "outcomes judged here are invented too, they were drawn by written rules from the very ECGs that the model sees: the "
    "figures are circular, they show that the path works and say nothing about patients. NOT FOR CLINICAL USE."
)

NAMES = {
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


def document(
    *,
    head: str,
    candidate: Bundle,
    champion: Bundle | None,
    cohort: Mapping[str, Any],
    judged: Mapping[str, Mapping[str, Any]],
    refusals: Sequence[str],
    site: str,
    note: str,
    as_of: datetime,
    training: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Everything the report says, as JSON."""
    spec = next(spec for spec in candidate.heads if spec.name == head)
    notes = [text for text in (note, DEMO_NOTE if candidate.demo else "") if text]
    return {
        "head": head,
        "target": spec.target,
        "site": site,
        "as_of": as_of.isoformat(),
        "notes": notes,
        "candidate": _named(candidate),
        "champion": None if champion is None else _named(champion),
        "verdict": {"passed": not refusals, "refusals": list(refusals)},
        "labels": {label: dict(own) for label, own in judged.items()},
        "cohort": dict(cohort),
        "training": None if training is None else dict(training),
    }


def _named(bundle: Bundle) -> dict[str, str]:
    return {"name": bundle.name, "version": bundle.version, "model_id": bundle.model_id}


def draw_flow(cohort: Mapping[str, Any], path: Path) -> None:
    """The flow of exclusions as a picture."""
    _write(path, figures.flow(cohort))


def write(told: Mapping[str, Any], folder: Path) -> Path:
    """`report.json` and `report.html`; the path of the latter. Raises LearningError where the disk refuses."""
    write_json(folder / "report.json", told)
    _write(folder / "report.html", page(told))
    return folder / "report.html"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LearningError(f"{path} cannot be written ({error.strerror}); {remedy(error)}") from error


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; }
td, th { border: 1px solid #d0d5da; padding: .25rem .6rem; text-align: left; vertical-align: top; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; } .figures svg { max-width: 100%; height: auto; }
.note { border-left: 4px solid #b45f06; background: #fff6ea; padding: .5rem .8rem; }
.pass { color: #19692c; font-weight: 600; } .refuse { color: #a61b1b; font-weight: 600; } svg { max-width: 100%; }
"""


def page(told: Mapping[str, Any]) -> str:
    """The whole page."""
    title = f"Judgement of {told['head']}: {told['candidate']['name']} {told['candidate']['version']}"
    body = "\n".join(_sections(told, title))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _sections(told: Mapping[str, Any], title: str) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    for note in told["notes"]:
        yield f'<p class="note">{escape(note)}</p>'
    yield f"<p>{escape(told['target'])} Data as of {escape(told['as_of'])}.</p>"
    yield from _verdict(told["verdict"])
    for label, judged in told["labels"].items():
        yield f"<h2>{escape(label)}</h2>"
        yield from _label(judged)
    yield "<h2>Who was looked at</h2>" + figures.flow(told["cohort"])
    yield "<h2>What a reader of a prediction model study asks (TRIPOD+AI)</h2>" + _table(_tripod(told))


def _verdict(verdict: Mapping[str, Any]) -> Iterator[str]:
    if verdict["passed"]:
        yield '<p class="pass">The gate passes: this head may be promoted.</p>'
        return
    yield '<p class="refuse">The gate refuses:</p>'
    yield "<ul>" + "".join(f"<li>{escape(reason)}</li>" for reason in verdict["refusals"]) + "</ul>"


def _label(judged: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"<p>{judged['ecgs']} test ECGs of {judged['patients']} patients, {judged['positives']} positive "
        f"(prevalence {judged['prevalence']:.3f}); intervals: 95 %, {judged['replicates']} bootstrap samples of patients.</p>"
    )
    yield _table([("Figure", "Value (95 % interval)")] + [(NAMES[k], _value(v)) for k, v in judged["metrics"].items()])
    compared = [("Compared with", "its AUROC", "candidate minus it", "DeLong p")]
    for name, other in judged["compared"].items():
        p = "patients repeat" if other["delong_p"] is None else f"{other['delong_p']:.3g}"
        compared.append((name, _value(other["auroc"]), _value(other["difference"]), p))
    yield _table(compared)
    drawings = (figures.roc, figures.reliability, figures.decision, figures.histogram)
    yield '<div class="figures">' + "".join(draw(judged) for draw in drawings) + "</div>"
    if any(group["auroc"] for group in judged["subgroups"]):
        yield figures.subgroups(judged)
    yield _table(_subgroups(judged))


def _subgroups(judged: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("Subgroup", "ECGs", "positives", "AUROC", "minus live model", "sensitivity", "specificity")
    ]
    for group in judged["subgroups"]:
        rows.append(
            (
                f"{group['attribute']}: {group['value']}",
                str(group["ecgs"]),
                str(group["positives"]),
                _value(group["auroc"]) if group["auroc"] else "too few",
                _value(group["difference_champion"]) if group["difference_champion"] else "",
                _plain(group["sensitivity"]),
                _plain(group["specificity"]),
            )
        )
    return rows


def _tripod(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    cohort, training = told["cohort"], told["training"] or {}
    splits = "; ".join(
        f"{name}: {own['ecgs']} ECGs of {own['patients']} patients" for name, own in cohort["splits"].items()
    )
    fitted = training.get("training", {})
    rule = training.get("operating_point", {})
    return [
        ("Item", "Here"),
        ("Source of data, setting", f"{told['site'] or 'not named'}; data as of {told['as_of']}"),
        (
            "Participants, exclusions",
            f"{cohort['considered']} ECGs considered, {cohort['included']} included; see the flow",
        ),
        ("Outcome, how measured", told["target"]),
        ("Rules of linkage", phrase(cohort["rules"])),
        ("Predictors", "12-lead ECG, 10 s as two 5 s segments, z-scored; no age, no sex, no text"),
        ("Sample size, missing data", f"{splits}; outcomes left out: {phrase(cohort['outcomes_left_out'])}"),
        ("Splits", "by a hash of the patient key, the same over years; a patient is in one split only"),
        ("Model", f"ECG-FM encoder with a linear head; {phrase(fitted) if fitted else 'as registered'}"),
        (
            "Class imbalance",
            "positive weights in fine-tuning, none in a linear probe; probabilities are calibrated after",
        ),
        (
            "Calibration, threshold",
            f"{phrase(training.get('calibration', 'as in the bundle'))}; {phrase(rule or 'as in the bundle')}",
        ),
        *((f"Threshold at {site}", phrase(own)) for site, own in training.get("site_operating_points", {}).items()),
        ("Fairness", "performance and counts by age, sex, device, site, rate and rhythm; see the subgroups"),
        ("Comparators", ", ".join(sorted({name for own in told["labels"].values() for name in own["compared"]}))),
        ("Cohort digest", cohort["digest"]),
        ("Model digest", told["candidate"]["model_id"]),
        ("Code version", training.get("code_version", "")),
        (
            "Interpretation, limits",
            " ".join(told["notes"]) or "judged on this site's own patients; no external validation",
        ),
    ]


def _value(interval: Mapping[str, Any]) -> str:
    if interval["value"] is None:
        return "not defined"
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *rest = rows
    cells = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    cells += ["<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rest]
    return "<table>" + "".join(cells) + "</table>"
