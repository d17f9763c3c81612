"""A model card from what a bundle carries: what it is for, how it was made, how it did, whom it was tried on.

The headings follow the source attributes that US certification asks of predictive decision support interventions
(HTI-1, 45 CFR 170.315(b)(11)(iv)(B)); where a bundle does not know something, the card says so.
"""

import math
from collections.abc import Iterator

from ecgfm.checkpoint import Bundle
from ecgfm.cost import cost
from ecgfm.metrics import Interval
from ecgfm.provenance import Provenance
from ecgfm_clinical.learning.documents import plain
from ecgfm_clinical.learning.judging.judgement import Figures, shown
from ecgfm_clinical.learning.provenance import TrainingRecord, head_records
from ecgfm_clinical.learning.report.document import DEMO_NOTE
from ecgfm_clinical.learning.report.page import NAMES
from ecgfm_clinical.learning.selected import selection_of, without_selection
from ecgfm_clinical.wording import phrase

UNKNOWN = "Not recorded in this bundle."


def card(bundle: Bundle) -> str:
    """The card as Markdown."""
    return "\n".join(_lines(bundle)) + "\n"


def _lines(bundle: Bundle) -> Iterator[str]:
    yield f"# {bundle.name}, version {bundle.version}"
    yield (
        f"\nModel `{bundle.model_id}`, weights SHA-256 `{bundle.weights_sha256}`, preprocessing "
        f"`{bundle.preprocessing}`."
    )
    if bundle.demo:
        yield f"\n**NOT FOR CLINICAL USE.** {DEMO_NOTE}"
    yield "\n## Details and output"
    yield (
        "\nInput: a 12-lead ECG of at least 5 s. Output: one probability for each label, and whether it is at or "
        "above\nits operating point; or a coded reason why the ECG is not evaluable."
    )
    if len(bundle.encoders) > 1:
        yield f"\nCost: {cost(bundle)}."
    for spec in bundle.heads:
        points = ", ".join(f"{label}: {value:.4f}" for label, value in spec.operating_points.items()) or "none"
        yield (
            f"\n- **{spec.name}** ({', '.join(spec.labels)}). Positive means: {spec.target} Operating points: {points}."
            + (f" Encoder {spec.encoder + 1} of {len(bundle.encoders)}." if bundle.further_encoders else "")
        )
        for label, shift in spec.prior_shifts.items():
            yield (
                f"  - {label}: probabilities and thresholds are moved from a prevalence of {shift.learnt:.4g} to "
                f"{shift.stated:.4g}; the operating points above are those before"
            )
        for site, own in spec.site_operating_points.items():
            yield f"  - at {site}: {', '.join(f'{label}: {value:.4f}' for label, value in own.items())}"
    yield "\n## Purpose, intended users and patients"
    yield "\nA second look at a resting ECG by the clinicians who ordered it, at the hospital that trained the head. It"
    yield "finds patients in whom a measurement (echo, troponin) is worth while; it does not replace that measurement."
    yield "\n## Cautions and uses out of scope"
    yield (
        "\nNo use without a person's judgement; no use at other sites without judging it there (`ecgfm-clinical "
        "evaluate`); no\nuse in patients or recordings that the cohort below excludes."
    )
    yield "\n## How it was made"
    yield f"\nEncoder: {_origin(bundle.provenance)}"
    for step in bundle.provenance.lineage:
        yield f"- from {step.name} {step.version} (`{step.model_id[:12]}`)"
    records = head_records(bundle)
    if not any(record.trained for record in records.values()):
        yield f"\n{UNKNOWN}"
    for head, record in records.items():
        if record.trained:
            yield from _head(head, record.trained)
        if record.recalibrated:
            yield f"\n{head} was calibrated anew, and no figure above is of that: {phrase(plain(record.recalibrated))}"
    yield "\n## Use of race, ethnicity, language, sexual orientation, gender identity, social determinants"
    yield (
        "\nNone is an input. Sex and age are not inputs either; they are used to check performance by subgroup, above."
    )
    yield "\n## External validation"
    yield (
        "\nNone recorded: every figure above comes from patients of the site named there whom the head was not trained "
        "on."
    )
    yield "\n## Maintenance"
    yield (
        "\nInput, score and performance drift: `ecgfm-clinical drift`. A new head passes the gate's rules before it "
        "may be\npromoted; `ecgfm-clinical model rollback` takes it back; `model history` says what was live when."
    )


def _origin(provenance: Provenance) -> str:
    told = (f"{key}: {value}" for key, value in provenance.origin.items() if isinstance(value, str | int | float))
    return "; ".join(told) or UNKNOWN


def _head(head: str, trained: TrainingRecord) -> Iterator[str]:
    cohort = trained.cohort
    yield f"\n### {head}"
    if trained.note:
        yield f"\n**{trained.note}**"
    yield (
        f"\nTrained at {trained.site or 'a site that is not named'} on data as of {trained.as_of.isoformat()}, code "
        f"{trained.code_version}."
    )
    settings = {key: value for key, value in without_selection(trained.training).items() if key != "tried"}
    yield f"\n- Method and settings: {phrase(settings)}"
    if selection := selection_of(trained.training):
        yield f"- Chosen among {len(selection.tried)} ways: {selection.why}"
    yield f"- Labels: {phrase(cohort.rules.labelling)}"
    yield (
        f"- Calibration: {phrase(plain(trained.calibration))}; operating point: "
        f"{phrase(plain(trained.operating_point))}"
    )
    for site, point in trained.site_operating_points.items():
        yield f"  - at {site}: {phrase(plain(point))}"
    yield (
        f"- Cohort `{cohort.digest[:16]}`: {cohort.considered} ECGs considered, {cohort.included} of {cohort.patients} "
        "patients"
    )
    for split, own in cohort.splits.items():
        yield f"  - {split}: {own.ecgs} ECGs of {own.patients} patients, positives: {phrase(own.positives)}"
    yield "- Left out, in this order:"
    for step in cohort.steps:
        if step.excluded:
            yield f"  - {step.excluded}: {step.text}"
    for label, figures in trained.metrics.items():
        yield from _metrics(label, figures)
    yield f"- Gate: {'passed' if not trained.refusals else 'refused: ' + '; '.join(trained.refusals)}"


def _metrics(label: str, figures: Figures) -> Iterator[str]:
    yield f"\n{label} on {figures.ecgs} test ECGs of {figures.patients} patients, {figures.positives} positive:"
    yield "\n| | value | 95 % interval |\n|---|---|---|"
    for name, own in figures.metrics.items():
        yield f"| {NAMES[name]} | {_row(own)} |"
    for other_name, other in figures.compared.items():
        yield f"| AUROC of {shown(other_name)} | {_row(other.auroc)} |"
    yield "\n| subgroup | ECGs | positives | AUROC |\n|---|---|---|---|"
    for group in figures.subgroups:
        auroc = f"{group.auroc.value:.3f}" if group.auroc else "too few"
        yield f"| {group.attribute}: {group.value} | {group.ecgs} | {group.positives} | {auroc} |"
    yield ""


def _row(own: Interval) -> str:
    return f"{own.value:.3f} | {own.low:.3f} to {own.high:.3f}" if math.isfinite(own.value) else "not defined | "
