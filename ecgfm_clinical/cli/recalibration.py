"""`model recalibrate` and `model shift`: what a head's logits mean here, found anew; the weights stay."""

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, console, write_json
from ecgfm_clinical.cli.workshops import workshop


class RuleChoice(StrEnum):
    """What an operating point is chosen by."""

    sensitivity = "sensitivity"
    specificity = "specificity"
    ppv = "ppv"


def recalibrate(
    head: Annotated[str, typer.Argument(help="Head whose threshold is chosen anew.")],
    what: Annotated[
        RuleChoice, typer.Option(help="What the threshold is to reach on those ECGs.")
    ] = RuleChoice.sensitivity,
    at_least: Annotated[float, typer.Option(min=0.01, max=1.0, help="How much of it.")] = 0.9,
    prevalence: Annotated[
        float | None, typer.Option(min=0.0001, max=0.9999, help="For ppv: of the people who are scored.")
    ] = None,
    site: Annotated[
        str, typer.Option(help="Choose the threshold of this site only; all else stays as it is in the model.")
    ] = "",
    model: Annotated[str | None, typer.Option(help="Model to start from; the live one if not given.")] = None,
    settings: SettingsOption = None,
) -> None:
    """Calibrate a head and choose its operating point anew on today's patients but the test patients:
    a new version, a new candidate.

    Whom the head learnt from it is calibrated on by the scores of its training's folds, whoever came later by its own.
    """
    from ecgfm.operating_rule import OperatingRule
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.learning.provenance import head_record

    if what is RuleChoice.ppv and prevalence is None:
        raise InputError("--what ppv needs --prevalence: the share of the people who are scored that has the condition")
    rule = OperatingRule(what=what.value, at_least=at_least, prevalence=prevalence)
    with workshop(settings, f"model recalibrate {head}") as place:
        done = place.recalibrate(head, rule, site=site, model=model)
    record = head_record(done.bundle, head)
    told = record.recalibrated.chosen_on if record and record.recalibrated else ""
    chosen_on = told if isinstance(told, str) else "; ".join(f"{name}: {ecgs}" for name, ecgs in told.items())
    console().print(f"{done.bundle.model_id}\nchosen on {chosen_on}\nreport    {done.report}", soft_wrap=True)
    for refusal in done.judgement.refusals:
        console().print(f"The gate refuses: {refusal}", soft_wrap=True)
    if done.judgement.refusals:
        raise typer.Exit(1)


def shift(
    head: Annotated[str, typer.Argument(help="Head whose probabilities are moved.")],
    prevalence: Annotated[
        float, typer.Option(min=0.0001, max=0.9999, help="Share of the people who are scored that has the condition.")
    ],
    learnt: Annotated[
        float | None,
        typer.Option(
            min=0.0001,
            max=0.9999,
            help="The same share where the head was calibrated; as the model tells it if not given.",
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Which label, where the head has several.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to start from; the live one if not given.")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a head's probabilities to the prevalence that is to be expected here, before any outcome has come:
    a new version, a new candidate.

    Who is positive stays the same: the threshold moves along. The probability before is stored beside the one that is
    told. Once outcomes have come, `drift` checks the share and makes the candidate that fits.
    """
    from ecgfm_clinical.learning import shifting

    with workshop(settings, f"model shift {head}") as place:
        done = shifting.shift(place, head, prevalence, label=label, learnt=learnt, model=model)
    name = done.bundle.model_id
    if as_json:
        write_json({"model_id": name, "label": done.label, **asdict(done.shift)})
        return
    half = done.shift.probability(0.5)
    console().print(
        f"{name}\n{done.label}: from a prevalence of {done.shift.learnt:.4g} to {done.shift.stated:.4g}; what was 0.5 "
        f"is {half:.3f}\nlive once you say so: ecgfm-clinical model promote {name[:12]} --reason …",
        soft_wrap=True,
    )
