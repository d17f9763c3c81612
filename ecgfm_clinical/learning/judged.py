"""What an experiment comes to: a judged bundle with its report, and how that is published."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ecgfm.checkpoint import Bundle
from ecgfm.cost import cost
from ecgfm_clinical.learning.cohort.members import Cohort
from ecgfm_clinical.learning.judging.comparison import Judgement
from ecgfm_clinical.learning.judging.gate import demanded
from ecgfm_clinical.learning.plan import Plan
from ecgfm_clinical.learning.predictions import Predicted, write_predictions
from ecgfm_clinical.learning.provenance import HeadRecord
from ecgfm_clinical.learning.report import page
from ecgfm_clinical.learning.report.document import DEMO_NOTE, Report, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came out: a bundle on disk, its judgement, its report."""

    head: str
    bundle: Bundle
    champion: Bundle | None
    cohort: Cohort = field(repr=False)
    judgement: Judgement
    report: Path


Publish = Callable[[Judged], None]


def in_its_folder(judged: Judged) -> None:
    """Published by lying there: bundle and report are in their folders, no registry knows of them."""


def write_report(
    plan: Plan,
    bundle: Bundle,
    against: Bundle | None,
    cohort: Cohort,
    judgement: Judgement,
    record: HeadRecord | None,
    as_of: datetime,
    folder: Path,
) -> Path:
    """The report of a judged bundle, and the predictions that it rests on; where the report lies.

    `against`: the live model, where the bundle is not that one itself. `record`: how the head was made, where known.
    """
    trained = record.trained if record else None
    note = plan.note or (trained.note if trained else "")
    write_predictions(folder / "predictions.csv", _predicted(judgement))
    spec = next(spec for spec in bundle.heads if spec.name == plan.head)
    return page.write(
        Report(
            head=spec.name,
            target=plan.labelling.target if plan.judges_only else spec.target,
            site=plan.site,
            as_of=as_of,
            notes=tuple(
                text
                for text in (note, *_left_out(plan, cohort), _several(bundle), DEMO_NOTE if bundle.demo else "")
                if text
            ),
            candidate=bundle.named,
            champion=None if against is None else against.named,
            verdict=None
            if plan.judges_only
            else Verdict(passed=not judgement.refusals, refusals=judgement.refusals, must_beat=demanded(plan.gate)),
            labels=judgement.labels,
            cohort=cohort.flow,
            training=record,
        ),
        folder,
    )


def _several(bundle: Bundle) -> str:
    """What the heads cost that do not share an encoder; nothing where all of them do."""
    return f"{cost(bundle)}." if len(bundle.encoders) > 1 else ""


def _predicted(judgement: Judgement) -> Iterator[Predicted]:
    for label, test in judgement.tests.items():
        live = {} if test.champion is None else {"live model": test.champion}
        scores = {"model": test.probabilities, **live, **test.baselines}
        yield Predicted(label=label, keys=test.keys, patients=test.patients, truth=test.labels, scores=scores)


def _left_out(plan: Plan, cohort: Cohort) -> list[str]:
    """A sentence for each label that was asked for and is not in the head, or not judged: nobody may find that out
    later.
    """
    what = "NOT JUDGED" if plan.judges_only else "NOT LEARNT"
    return [f"{what}: {label}: {why}." for label, why in cohort.rules.labels_left_out.items()]
