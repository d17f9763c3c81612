"""The same cohort, training and judging code on a research archive, without a store:
`retrain --archive`, `cross-validate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from ecgfm.config import EncoderConfig
from ecgfm.finetuning.candidate import Model, Place, random_from
from ecgfm.finetuning.settings import FineTuning, Method
from ecgfm.version import version
from ecgfm_clinical.learning import models, planning
from ecgfm_clinical.learning.cohort.archive import CLASSES, Archive, diagnostic_classes
from ecgfm_clinical.learning.cohort.building import gather
from ecgfm_clinical.learning.cohort.labelling import Given, Labelling
from ecgfm_clinical.learning.cohort.members import CohortRules
from ecgfm_clinical.learning.documents import FORMAT_VERSION, plain, write_json
from ecgfm_clinical.learning.experiment import Experiment
from ecgfm_clinical.learning.folders import Folders
from ecgfm_clinical.learning.judged import Judged, in_its_folder
from ecgfm_clinical.learning.judging.cross_validation import CrossValidated, CrossValidation
from ecgfm_clinical.learning.judging.rivals import Rivals
from ecgfm_clinical.learning.plan import Plan
from ecgfm_clinical.learning.taught import refuse_taught
from ecgfm_clinical.learning.training import Progress, Training
from ecgfm_clinical.settings import HeadRules, Learning
from ecgfm_connectors.outcomes.site import NO_TABLE, SiteTable

#: Sizes of encoders with random weights: the published one, and one that trains on a laptop.
RANDOM = {
    "random-base": EncoderConfig(),
    "random-small": EncoderConfig(
        conv_layers=((64, 2, 2),) * 4,
        width=128,
        layers=4,
        ffn_width=512,
        heads=4,
        conv_pos_kernel=64,
    ),
}
#: In research data everything that can be read counts; only what would crash the network is left out.
COHORT = CohortRules(min_age=None, serial="all")
RULES = HeadRules(min_age=None, paced="score", allow=("noise", "clipped-lead", "amplitude-implausible"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledArchive:
    """An archive as a command names it, and where a head's labels come from: columns of its table, PTB-XL's diagnostic
    classes, coded statements, or a table of measured results by the rules of a head, which settings may declare.
    """

    folder: Path
    table: Path
    outcomes: Path | None = None  #: a table of measured results, as `ingest` takes it
    columns: Sequence[str] = ()
    classes: Path | None = None  #: PTB-XL's scp_statements.csv
    learning: Learning = field(
        default_factory=Learning
    )  #: the rules of heads: the program's own, and those that settings declare
    site: SiteTable = NO_TABLE  #: kinds of results that settings declare

    def open(self) -> Archive:
        """Raises InputError."""
        return Archive.open(self.folder, self.table, self.outcomes, self.site)

    def labelling(self, archive: Archive, head: str) -> Labelling:
        """What gives the head its labels. Raises InputError."""
        if self.classes is None:
            return planning.table_labelling(archive, head, self.columns, self.learning)
        return Given(
            table=diagnostic_classes(archive, self.classes),
            labels=CLASSES,
            source=self.classes.name,
            meaning="A diagnostic superclass of PTB-XL, from any of its SCP statements.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveValidation:
    """A cross-validation with what was asked for."""

    head: str
    start: str  #: bundle folder, or the name of a random encoder
    method: Method
    folds: int
    seed: int
    figures: CrossValidated

    def to_json(self) -> dict[str, object]:
        asked = {"head": self.head, "from": self.start, "method": self.method, "folds": self.folds, "seed": self.seed}
        return {"format_version": FORMAT_VERSION, **plain(self.figures), **asked}


def retrain_archive(
    head: str,
    *,
    archive: LabelledArchive,
    base: str,
    out: Path,
    method: Method | Literal["auto"],
    fine_tuning: FineTuning,
    seed: int,
    now: datetime,
    progress: Progress,
    budget_seconds: float = planning.BUDGET_SECONDS,
    rivals: Rivals | None = None,
) -> Judged | None:
    """Train and judge a head on an archive; nothing is registered. Raises InputError, LearningError, TrainingError.

    None in all but the first of several processes that torchrun started.
    """
    source = archive.open()
    plan = Plan(
        head=head,
        labelling=archive.labelling(source, head),
        training=Training(method="linear" if method == "auto" else method, fine_tuning=replace(fine_tuning, seed=seed)),
        budget_seconds=budget_seconds if method == "auto" else None,
        cohort=COHORT,
        evaluability=RULES,
        rivals=rivals or Rivals(),
        site=site_of(source),
        code_version=version(),
        seed=seed,
    )
    start = models.read_bundle(base)
    refuse_taught(start, plan.site)
    experiment = Experiment(
        plan=plan, open_source=lambda _: source, folders=Folders(root=out), publish=in_its_folder, progress=progress
    )
    return experiment.retrain(start, None, now=now)


def cross_validate_archive(
    head: str,
    *,
    archive: LabelledArchive,
    base: str,
    out: Path,
    method: Method,
    fine_tuning: FineTuning,
    folds: int,
    seed: int,
    now: datetime,
    progress: Progress,
) -> ArchiveValidation:
    """Out-of-fold AUROC per label; also written to `out`. Raises InputError, LearningError, TrainingError."""
    source = archive.open()
    cohort = gather(source, archive.labelling(source, head), COHORT, RULES, as_of=now)
    name = f"{head}-{base.replace('/', '-').strip('-')}-{method}"
    folders = Folders(root=out)
    validation = CrossValidation(
        cohort=cohort,
        source=source,
        model=_model(base, seed, site_of(source)),
        place=Place(cache=folders.cache, progress=lambda done, total: progress("embedding", done, total)),
        training=Training(method=method, fine_tuning=replace(fine_tuning, seed=seed)),
        folds=folds,
        runs=folders.runs / name,
    )
    figures = validation.run(lambda text: progress(text, 0, 1))
    found = ArchiveValidation(head=head, start=base, method=method, folds=folds, seed=seed, figures=figures)
    write_json(out / f"{name}.json", found.to_json())
    return found


def site_of(archive: Archive) -> str:
    """Whose patients they are, as bundles keep it: archives are told apart by the name of their table."""
    return f"archive {archive.table.name}"


def _model(base: str, seed: int, site: str) -> Model:
    if base in RANDOM:
        return random_from(RANDOM[base], seed=seed)
    bundle = models.read_bundle(base)
    refuse_taught(bundle, site)
    return Model.of(bundle)
