"""What `retrain` and `evaluate` answer."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ecgfm_clinical.cli.common import console, write_json

if TYPE_CHECKING:
    from ecgfm.cost import Cost
    from ecgfm_clinical.learning.external import External
    from ecgfm_clinical.learning.judged import Judged
    from ecgfm_clinical.learning.judging.comparison import Judgement


def tell(done: "Judged", as_json: bool, *, is_evidence: bool = True) -> None:
    """A judged head, for people or as JSON; exits with 1 where the gate refuses. `is_evidence`: for the gate."""
    from ecgfm.cost import cost

    judgement, left_out = done.judgement, done.cohort.rules.labels_left_out
    costs = cost(done.bundle)
    if as_json:
        write_json(
            {
                "model_id": done.bundle.model_id,
                "bundle": str(done.bundle.path),
                "cost": asdict(costs),
                "report": str(done.report),
                "passed": not judgement.refusals if is_evidence else None,
                "refusals": list(judgement.refusals),
                "labels_not_learnt" if is_evidence else "labels_not_judged": dict(left_out),
                "labels": {
                    label: {
                        "metrics": {name: found.to_json() for name, found in own.metrics.items()},
                        "positives": own.positives,
                        "ecgs": own.ecgs,
                    }
                    for label, own in judgement.labels.items()
                },
            }
        )
    else:
        _print(done.bundle.model_id, str(done.bundle.path), costs, judgement, done.report, is_evidence=is_evidence)
        for label, why in left_out.items():
            what = "NOT LEARNT" if is_evidence else "NOT JUDGED"
            console().print(f"{what} {label}: {why}", soft_wrap=True, highlight=False)
    if judgement.refusals:
        raise typer.Exit(1)


def _print(model_id: str, path: str, costs: "Cost", judgement: "Judgement", report: Path, *, is_evidence: bool) -> None:
    from ecgfm_clinical.learning.judging.judgement import interval_text
    from ecgfm_clinical.learning.judging.worth import worth

    out = console()
    for label, own in judgement.labels.items():
        auroc = interval_text(own.metrics["auroc"])
        out.print(f"{label}: AUROC {auroc} on {own.ecgs} test ECGs, {own.positives} positive")
        for name, other in own.compared.items():
            out.print(f"  {name}: {other.auroc.value:.3f}")
        out.print(f"  {worth(own)}", soft_wrap=True)
    out.print(f"model     {model_id}\nbundle    {path}\n          {costs}\nreport    {report}", soft_wrap=True)
    if not is_evidence:
        out.print("Judged by cardiologists who had seen the answers: no evidence for the gate, nothing was registered")
    elif judgement.refusals:
        out.print("The gate refuses:")
        for reason in judgement.refusals:
            out.print(f"  {reason}", soft_wrap=True)
    else:
        out.print(f"The gate passes; `ecgfm-clinical model promote {model_id[:12]}` makes it live")


def tell_external(found: "External", as_json: bool) -> None:
    """A bundle judged on somebody's labelled archive, for people or as JSON."""
    from ecgfm_clinical.learning.judging.judgement import interval_text

    if as_json:
        write_json(
            {
                "model_id": found.model.model_id,
                "report": str(found.folder / "evaluation.html"),
                "predictions": str(found.folder / "predictions.csv"),
                "not_judged": dict(found.not_judged),
                "labels": {
                    label: {
                        "metrics": {name: one.to_json() for name, one in own.metrics.items()},
                        "positives": own.positives,
                        "ecgs": own.ecgs,
                    }
                    for label, own in found.labels.items()
                },
            }
        )
        return
    out = console()
    for label, own in found.labels.items():
        auroc = interval_text(own.metrics["auroc"])
        out.print(f"{label}: AUROC {auroc} on {own.ecgs} ECGs, {own.positives} positive", highlight=False)
    for label, why in found.not_judged.items():
        out.print(f"NOT JUDGED {label}: {why}", soft_wrap=True, highlight=False)
    out.print(f"report       {found.folder / 'evaluation.html'}", soft_wrap=True, highlight=False)
    out.print(f"predictions  {found.folder / 'predictions.csv'}", soft_wrap=True, highlight=False)
