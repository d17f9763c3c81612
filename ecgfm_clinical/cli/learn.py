"""Heads of one's own: `retrain`, `evaluate` and `drift`."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.archives import labelled_archive, table_and_out
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, console, write_json
from ecgfm_clinical.cli.learning_answers import tell, tell_external
from ecgfm_clinical.cli.learning_options import (
    AdaptAgainOption,
    AdaptHoursOption,
    AdaptOption,
    AdaptUpdatesOption,
    ArchiveOption,
    BatchOption,
    BudgetOption,
    ClassesOption,
    EpochsOption,
    FromOption,
    HeadArgument,
    LabelOption,
    OutcomesOption,
    PatienceOption,
    PrecisionOption,
    RateOption,
    RetrainMethod,
    RetrainMethodOption,
    RivalOption,
    SeedOption,
    TableOption,
    fine_tuning,
    shown_progress,
)
from ecgfm_clinical.cli.workshops import workshop
from ecgfm_clinical.extras import need

if TYPE_CHECKING:
    from ecgfm_clinical.learning.adaptation import Adaptation
    from ecgfm_clinical.learning.research import LabelledArchive


class LabelsChoice(StrEnum):
    """What a head is judged against."""

    outcomes = "outcomes"
    cardiologists = "cardiologists"


def retrain(
    head: HeadArgument,
    method: RetrainMethodOption = RetrainMethod.auto,
    budget: BudgetOption = None,
    base: FromOption = None,
    epochs: EpochsOption = None,
    learning_rate: RateOption = None,
    batch_size: BatchOption = None,
    patience: PatienceOption = None,
    precision: PrecisionOption = None,
    seed: SeedOption = 1,
    rival: RivalOption = None,
    adapt: AdaptOption = False,
    adapt_again: AdaptAgainOption = False,
    adapt_hours: AdaptHoursOption = None,
    adapt_updates: AdaptUpdatesOption = None,
    archive: ArchiveOption = None,
    table: TableOption = None,
    outcomes: OutcomesOption = None,
    label: LabelOption = None,
    classes: ClassesOption = None,
    partly: Annotated[
        bool, typer.Option("--partly", help="With --archive: exit with 0 although some labels could not be learnt.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="With --archive: folder for the bundle and the report.")] = None,
    networks: Annotated[
        bool, typer.Option(help="With --archive: judge beside both networks trained from nothing as well.")
    ] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a head from the echo and laboratory results that came in by the listeners, judge it,
    register it as candidate.

    Stopped or killed, the same command goes on where it was. On several GPUs: `torchrun --nproc-per-node=2 --no-python
    ecgfm-clinical retrain HEAD --method full`. Exits with 1 where the gate refuses the candidate, which is
    registered all the same, with the reasons, and where some of an archive's labels could not be learnt.
    `model promote` makes a candidate live.
    """
    need("train", "retraining")
    from ecgfm_clinical import wiring
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.learning.planning import BUDGET_SECONDS

    if budget is not None and method is not RetrainMethod.auto:
        raise InputError("--budget belongs to --method auto; a named method takes as long as it takes")
    adaptation = _adaptation(adapt, adapt_again, adapt_hours, adapt_updates)
    if adaptation is not None and archive is not None:
        raise InputError("--adapt learns on from the ECGs of the store; for an archive `pretrain` an encoder on it")
    seconds = BUDGET_SECONDS if budget is None else budget * 60
    tuning = fine_tuning(method, epochs, learning_rate, batch_size, patience, precision)
    if adaptation is not None and tuning.devices * tuning.nodes > 1:
        raise InputError("an encoder is adapted by one process; start --adapt without torchrun first, then train on it")
    if archive is not None:
        from ecgfm_clinical.learning.judging.rivals import Rivals
        from ecgfm_clinical.learning.research import retrain_archive

        table, out = table_and_out(table, out)
        labelled = labelled_archive(archive, table, outcomes, label or (), classes, settings)
        with shown_progress() as progress:
            done = retrain_archive(
                head,
                archive=labelled,
                base=base or "demo",
                out=out,
                method=method.value,
                fine_tuning=tuning,
                budget_seconds=seconds,
                rivals=Rivals(
                    beside=("forest", "cnn", "s4d") if networks else ("forest",), encoders=tuple(rival or ())
                ),
                seed=seed,
                now=wiring.utc_now(),
                progress=progress,
            )
    else:
        with workshop(settings, f"retrain {head}") as place:
            done = place.retrain(
                head,
                method=method.value,
                base=base,
                fine_tuning=tuning,
                budget_seconds=seconds,
                encoders=tuple(rival or ()),
                adaptation=adaptation,
                seed=seed,
            )
    if done is not None:  # None: this process has helped another to train
        tell(done, as_json)
        if archive is not None and done.cohort.rules.labels_left_out and not partly:
            raise typer.Exit(1)


def _adaptation(adapt: bool, again: bool, hours: float | None, updates: int | None) -> "Adaptation | None":
    """What was asked for; every option of an adaptation asks for one."""
    from ecgfm.adaptation import Bound
    from ecgfm_clinical.learning.adaptation import Adaptation

    if not adapt and not again and hours is None and updates is None:
        return None
    return Adaptation(bound=Bound(updates=updates, seconds=None if hours is None else hours * 3600), again=again)


def evaluate(
    head: Annotated[str, typer.Argument(help="reduced_lvef, troponin or interpretation; any head with --archive.")],
    model: Annotated[
        str | None, typer.Option(help="Bundle folder or registered model; the live one if not given.")
    ] = None,
    labels: Annotated[
        LabelsChoice,
        typer.Option(
            help="outcomes: what came in by the listeners; cardiologists: what they said of answers in the console."
        ),
    ] = LabelsChoice.outcomes,
    rival: RivalOption = None,
    adapt: AdaptOption = False,
    adapt_again: AdaptAgainOption = False,
    adapt_hours: AdaptHoursOption = None,
    adapt_updates: AdaptUpdatesOption = None,
    archive: ArchiveOption = None,
    table: TableOption = None,
    outcomes: OutcomesOption = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            help="Column of the table that holds a label (0, 1); `LABEL=COLUMN` where the head names it LABEL.",
        ),
    ] = None,
    classes: ClassesOption = None,
    test_split: Annotated[
        bool, typer.Option("--test-split", help="With --archive: only the official test split, not every recording.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --archive: folder for the report and the prediction of each recording.")
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a model on the test patients known today, against the live one and its rivals, and write the report.

    Exits with 1 where the gate refuses. Cardiologists saw the answers that they judged: what is found by their words is
    written into the report alone, and is no evidence for `model promote`. With --archive a bundle (--model, `demo` if
    not given) is judged as it is on a labelled archive, without a store and without a gate; labels that only one of the
    two knows are named.
    """
    need("train", "judging a head")
    from ecgfm_clinical.learning.external import named_pairs

    if archive is not None:
        table, out = table_and_out(table, out)
        pairs = named_pairs(label or ())
        labelled = labelled_archive(archive, table, outcomes, tuple(pairs.values()), classes, settings)
        _evaluate_archive(head, model or "demo", labelled, pairs, test_split, out, as_json)
        return
    with workshop(settings, f"evaluate {head}") as place:
        done = place.evaluate(
            head,
            model=model,
            encoders=tuple(rival or ()),
            by_cardiologists=labels is LabelsChoice.cardiologists,
        )
    tell(done, as_json, is_evidence=labels is LabelsChoice.outcomes)


def _evaluate_archive(
    head: str,
    model: str,
    labelled: "LabelledArchive",
    pairs: "Mapping[str, str]",
    test_split: bool,
    out: Path,
    as_json: bool,
) -> None:
    from ecgfm_clinical import wiring
    from ecgfm_clinical.learning import external, models

    source = labelled.open()
    asked = external.Asked(
        head=head,
        bundle=models.read_bundle(model),
        source=source,
        labelling=external.renamed(labelled.labelling(source, head), pairs),
        test_split_only=test_split,
        out=out,
    )
    with shown_progress() as progress:
        found = external.evaluate(asked, now=wiring.utc_now(), progress=progress)
    tell_external(found, as_json)


def drift(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Compare inputs, scores and, where outcomes are known, performance with the time the live model was made on.

    Exits with 1 where there are findings; `status` shows them until the next report.
    """
    need("train", "looking for drift")
    from ecgfm_clinical.learning.documents import plain
    from ecgfm_clinical.learning.drift.watch import watch

    with workshop(settings, "drift") as place:
        done = watch(place)
    if as_json:
        write_json(plain(done.told))
    else:
        for finding in done.told.findings:
            console().print(f"{finding.month}: {finding.text}", soft_wrap=True)
        console().print(f"{len(done.told.findings)} findings; report {done.report}", soft_wrap=True)
    if done.told.findings:
        raise typer.Exit(1)
