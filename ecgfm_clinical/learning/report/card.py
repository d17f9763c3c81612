"""A model card from what a bundle carries: what it is for, how it was made, how it did, whom it was tried on.

The headings follow the source attributes that US certification asks of predictive decision support interventions
(HTI-1, 45 CFR 170.315(b)(11)(iv)(B)); where a bundle does not know something, the card says so.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ecgfm.checkpoint import Bundle
from ecgfm_clinical.learning.report.page import DEMO_NOTE, NAMES
from ecgfm_clinical.wording import phrase

UNKNOWN = "Not recorded in this bundle."


def card(bundle: Bundle) -> str:
    """The card as Markdown."""
    return "\n".join(_lines(bundle)) + "\n"


def _lines(bundle: Bundle) -> Iterator[str]:
    provenance = bundle.provenance
    made: Mapping[str, Any] = provenance.get("heads", {})
    yield f"# {bundle.name}, version {bundle.version}"
    yield f"\nModel `{bundle.model_id}`, weights SHA-256 `{bundle.weights_sha256}`, preprocessing `{bundle.preprocessing}`."
    if bundle.demo:
        yield f"\n**NOT FOR CLINICAL USE.** {DEMO_NOTE}"
    yield "\n## Details and output"
    yield "\nInput: a 12-lead ECG of at least 5 s. Output: one probability for each label, and whether it is at or above"
    yield "its operating point; or a coded reason why the ECG is not evaluable."
    for spec in bundle.heads:
        points = ", ".join(f"{label}: {value:.4f}" for label, value in spec.operating_points.items()) or "none"
        yield f"\n- **{spec.name}** ({', '.join(spec.labels)}). Positive means: {spec.target} Operating points: {points}."
        for site, own in spec.site_operating_points.items():
            yield f"  - at {site}: {', '.join(f'{label}: {value:.4f}' for label, value in own.items())}"
    yield "\n## Purpose, intended users and patients"
    yield "\nA second look at a resting ECG by the clinicians who ordered it, at the hospital that trained the head. It"
    yield "finds patients in whom a measurement (echo, troponin) is worth while; it does not replace that measurement."
    yield "\n## Cautions and uses out of scope"
    yield "\nNo use without a person's judgement; no use at other sites without judging it there (`ecgfm-clinical evaluate`); no"
    yield "use in patients or recordings that the cohort below excludes."
    yield "\n## How it was made"
    yield f"\nEncoder: {_origin(provenance)}"
    for step in provenance.get("lineage", []):
        yield f"- from {step['name']} {step['version']} (`{step['model_id'][:12]}`)"
    if not made:
        yield f"\n{UNKNOWN}"
    for head, told in made.items():
        yield from _head(head, told)
    yield "\n## Use of race, ethnicity, language, sexual orientation, gender identity, social determinants"
    yield "\nNone is an input. Sex and age are not inputs either; they are used to check performance by subgroup, above."
    yield "\n## External validation"
    yield "\nNone recorded: every figure above comes from patients of the site named there whom the head was not trained on."
    yield "\n## Maintenance"
    yield "\nInput, score and performance drift: `ecgfm-clinical drift`. A new head passes the gate's rules before it may be"
    yield "promoted; `ecgfm-clinical model rollback` takes it back; `model history` says what was live when."


def _origin(provenance: Mapping[str, Any]) -> str:
    origin = provenance.get("origin") or {
        key: value for key, value in provenance.items() if key not in ("heads", "lineage")
    }
    return (
        "; ".join(f"{key}: {value}" for key, value in origin.items() if isinstance(value, str | int | float)) or UNKNOWN
    )


def _head(head: str, told: Mapping[str, Any]) -> Iterator[str]:
    cohort = told["cohort"]
    yield f"\n### {head}"
    if told.get("note"):
        yield f"\n**{told['note']}**"
    yield f"\nTrained at {told['site'] or 'a site that is not named'} on data as of {told['as_of']}, code {told['code_version']}."
    training = {key: value for key, value in told["training"].items() if key != "tried"}
    yield f"\n- Method and settings: {phrase(training)}"
    yield f"- Labels: {phrase(cohort['rules'].get('labelling'))}"
    yield f"- Calibration: {phrase(told['calibration'])}; operating point: {phrase(told['operating_point'])}"
    for site, rule in told.get("site_operating_points", {}).items():
        yield f"  - at {site}: {phrase(rule)}"
    yield f"- Cohort `{cohort['digest'][:16]}`: {cohort['considered']} ECGs considered, {cohort['included']} of {cohort['patients']} patients"
    for split, own in cohort["splits"].items():
        yield f"  - {split}: {own['ecgs']} ECGs of {own['patients']} patients, positives: {phrase(own['positives'])}"
    yield "- Left out, in this order:"
    for step in cohort["steps"]:
        if step["excluded"]:
            yield f"  - {step['excluded']}: {step['text']}"
    for label, judged in told["metrics"].items():
        yield from _metrics(label, judged)
    refusals = told.get("refusals")
    yield f"- Gate: {'passed' if not refusals else 'refused: ' + '; '.join(refusals)}"


def _metrics(label: str, judged: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n{label} on {judged['ecgs']} test ECGs of {judged['patients']} patients, {judged['positives']} positive:"
    yield "\n| | value | 95 % interval |\n|---|---|---|"
    for name, own in judged["metrics"].items():
        yield f"| {NAMES[name]} | {_row(own)} |"
    for name, other in judged["compared"].items():
        yield f"| AUROC of {name} | {_row(other['auroc'])} |"
    yield "\n| subgroup | ECGs | positives | AUROC |\n|---|---|---|---|"
    for group in judged["subgroups"]:
        auroc = f"{group['auroc']['value']:.3f}" if group["auroc"] else "too few"
        yield f"| {group['attribute']}: {group['value']} | {group['ecgs']} | {group['positives']} | {auroc} |"
    yield ""


def _row(own: Mapping[str, float | None]) -> str:
    return "not defined | " if own["value"] is None else f"{own['value']:.3f} | {own['low']:.3f} to {own['high']:.3f}"
