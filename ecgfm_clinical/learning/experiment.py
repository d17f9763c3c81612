"""One experiment: cohort → train → calibrate → judge → publish, on the store or on an archive, every step written down.

Nothing is published unless everything before it went well; a run that was killed goes on where it was.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ecgfm.calibration import NoOperatingPoint
from ecgfm.checkpoint import Bundle
from ecgfm.errors import TrainingError
from ecgfm.finetuning.candidate import Model, Place, joined
from ecgfm.finetuning.candidate import write as write_bundle
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.trained import Trained
from ecgfm.operating_rule import OperatingRule
from ecgfm.provenance import ModelName
from ecgfm.training.team import Team
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.cohort.building import gather
from ecgfm_clinical.learning.cohort.learnable import learnable
from ecgfm_clinical.learning.cohort.members import Cohort
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.documents import write_document
from ecgfm_clinical.learning.folders import Folders
from ecgfm_clinical.learning.judging.comparison import Judge, Judgement
from ecgfm_clinical.learning.operating_points import Validation
from ecgfm_clinical.learning.plan import Plan
from ecgfm_clinical.learning.predictions import Predicted, write_predictions
from ecgfm_clinical.learning.provenance import (
    CalibrationRecord,
    HeadRecord,
    MainPoint,
    Recalibration,
    SitePoint,
    TrainingRecord,
    after,
    head_record,
)
from ecgfm_clinical.learning.report import page
from ecgfm_clinical.learning.report.document import DEMO_NOTE, Report, Verdict
from ecgfm_clinical.learning.runs import Run, begin
from ecgfm_clinical.learning.training import Progress, head_spec, quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came out: a bundle on disk, its judgement, its report."""

    head: str
    bundle: Bundle
    champion: Bundle | None
    cohort: Cohort = field(repr=False)
    judgement: Judgement
    report: Path


OpenSource = Callable[[datetime], EcgSource]  #: the ECGs and outcomes as they were known at a moment
Publish = Callable[[Judged], None]


def in_its_folder(judged: Judged) -> None:
    """Published by lying there: bundle and report are in their folders, no registry knows of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One plan, where its ECGs come from, and where things go."""

    plan: Plan
    open_source: OpenSource
    folders: Folders
    device: str = "auto"
    publish: Publish = in_its_folder
    progress: Progress = quiet

    @property
    def place(self) -> Place:
        return Place(
            cache=self.folders.cache,
            device=self.device,
            progress=lambda done, total: self.progress("embedding", done, total),
        )

    def cohort(self, as_of: datetime) -> tuple[Cohort, EcgSource]:
        """The head's cohort as of a moment, and where its signals are."""
        source, plan = self.open_source(as_of), self.plan
        return gather(source, plan.labelling, plan.cohort, plan.evaluability, as_of=as_of), source

    def retrain(self, base: Bundle, champion: Bundle | None, *, now: datetime) -> Judged | None:
        """A head trained on the base's encoder, calibrated, judged against the champion, and published.

        Of several processes that train together only the first does more than that: the others return None. Raises
        LearningError (too few of either kind, no operating point), TrainingError (interrupted, disk full), BundleError.
        """
        team = self.plan.training.team()
        quietly = self if team is None or team.first else replace(self, progress=quiet)
        return quietly._retrain(base, champion, team, now)

    def _retrain(self, base: Bundle, champion: Bundle | None, team: Team | None, now: datetime) -> Judged | None:
        run = self._begin(base, team, now)
        self.progress("cohort", 0, 1)
        cohort, source = self.cohort(run.as_of)
        if team is None or team.first:
            write_document(run.folder / "cohort.json", cohort.flow)
            page.draw_flow(cohort.flow, run.folder / "cohort.svg")
        cohort = learnable(cohort)
        start = Model.of(base)
        trained = self._train(start, cohort, source, run, team)
        if team is not None and not team.first:
            return None
        candidate, chosen_on = self._calibrated(start, trained, cohort, source)
        live = None if champion is None else start if champion.model_id == base.model_id else Model.of(champion)
        judgement = self._judge(candidate, live, cohort, source)
        record = self._record(champion, cohort, trained, judgement, chosen_on, run)
        bundle = self._bundle(base, candidate, record, run)
        judged = Judged(
            head=self.plan.head,
            bundle=bundle,
            champion=champion,
            cohort=cohort,
            judgement=judgement,
            report=self._report(bundle, champion, cohort, judgement, record, run.as_of, run.folder),
        )
        self.publish(judged)
        run.finish({"model_id": bundle.model_id, "refusals": list(judgement.refusals)})
        return judged

    def evaluate(self, bundle: Bundle, champion: Bundle, *, now: datetime) -> Judged:
        """A model's head judged on today's test patients. Raises LearningError, NoHead."""
        candidate = Model.of(bundle)
        candidate.spec(self.plan.head)
        cohort, source = self.cohort(now)
        return self._judged_again(candidate, bundle, champion, learnable(cohort), source, now)

    def recalibrate(self, base: Bundle, champion: Bundle, rule: OperatingRule, *, site: str, now: datetime) -> Judged:
        """A new version of a model whose head is calibrated, and its threshold chosen, on today's validation patients.

        With `site` only that site's threshold is chosen; calibration and all other thresholds stay. Weights stay in any
        case. Raises LearningError, NoHead.
        """
        head = self.plan.head
        whole, source = self.cohort(now)
        cohort = learnable(whole)
        model = Model.of(base)
        validation = Validation.of(model, head, cohort, source, self.place)
        chosen_on: Mapping[str, str] = {}
        try:
            if site:
                spec, chosen_on = validation.at_sites(model.spec(head), {site: rule})
            else:
                spec = validation.calibrate(model.spec(head), self.plan.calibration, rule)
        except ValueError as error:
            raise LearningError(f"{head}: {error}") from error
        candidate = replace(model, specs=tuple(spec if one.name == head else one for one in model.specs))
        record = replace(
            head_record(base, head) or HeadRecord(),
            recalibrated=Recalibration(
                as_of=now,
                cohort_digest=cohort.digest,
                calibration="kept" if site else self.plan.calibration,
                operating_point=str(rule),
                chosen_on=chosen_on or "validation",
                site=self.plan.site,
            ),
        )
        bundle = write_bundle(
            candidate,
            self.folders.bundles / f"{head}-recalibrated-{now:%Y%m%dT%H%M%S}",
            name=base.name,
            version=f"{head} {now:%Y-%m-%d %H:%M:%S}",
            demo=base.demo,
            provenance=after(base, head, record, [one.name for one in candidate.specs]),
        )
        return self._judged_again(candidate, bundle, champion, cohort, source, now)

    # The steps

    def _begin(self, base: Bundle, team: Team | None, now: datetime) -> Run:
        """All processes look at the source as of one moment:
        the first one's, or that of the run that was interrupted.
        """
        asked = self.plan.options(base)
        if team is None:
            return begin(self.folders.runs, asked, now=now)
        return team.share(lambda: begin(self.folders.runs, asked, now=now))

    def _train(self, start: Model, cohort: Cohort, source: EcgSource, run: Run, team: Team | None) -> Trained:
        return self.plan.training.train(
            start.network,
            head_spec(self.plan.head, cohort.labels, self.plan.labelling.target),
            Split(train=cohort.examples("train"), validation=cohort.examples("validation")),
            Signals(source=source),
            self.place,
            folder=run.folder,
            team=team,
            progress=self.progress,
        )

    def _calibrated(
        self, start: Model, trained: Trained, cohort: Cohort, source: EcgSource
    ) -> tuple[Model, Mapping[str, str]]:
        """The trained head calibrated and with its operating points, joined with what stays of the base;
        and per site with a rule of its own, on which ECGs its point was chosen.
        """
        plan = self.plan
        raw = Model(network=trained.network, specs=trained.network.specs, origin="candidate")
        validation = Validation.of(raw, plan.head, cohort, source, self.place)
        try:
            spec = validation.calibrate(raw.spec(plan.head), plan.calibration, plan.operating_point)
            spec, chosen_on = validation.at_sites(spec, plan.site_operating_points)
        except NoOperatingPoint as error:
            raise LearningError(
                f"{plan.head}: {error}; ask for less in [learning.operating_points.{plan.head}]"
            ) from error
        except ValueError as error:
            raise TrainingError(f"{plan.head} cannot be calibrated: {error}") from error
        return joined(start, trained.network, spec), chosen_on

    def _judge(self, candidate: Model, live: Model | None, cohort: Cohort, source: EcgSource) -> Judgement:
        self.progress("judging", 0, 1)
        judge = Judge(
            cohort=cohort,
            source=source,
            place=self.place,
            gate=self.plan.gate,
            replicates=self.plan.replicates,
            seed=self.plan.seed,
        )
        return judge.compare(candidate, live, self.plan.head)

    def _record(
        self,
        champion: Bundle | None,
        cohort: Cohort,
        trained: Trained,
        judgement: Judgement,
        chosen_on: Mapping[str, str],
        run: Run,
    ) -> HeadRecord:
        plan = self.plan
        sites = plan.site_operating_points.items()
        return HeadRecord(
            trained=TrainingRecord(
                head=plan.head,
                training=trained.record,
                as_of=run.as_of,
                site=plan.site,
                note=plan.note,
                code_version=plan.code_version,
                cohort=cohort.flow,
                evaluability=plan.evaluability.model_dump() | {"allow": list(plan.evaluability.allow)},
                calibration=CalibrationRecord(method=plan.calibration),
                operating_point=MainPoint(**asdict(plan.operating_point), site=plan.site),
                site_operating_points={
                    site: SitePoint(**asdict(rule), chosen_on=chosen_on[site]) for site, rule in sites
                },
                gate=plan.gate,
                seed=plan.seed,
                champion=None if champion is None else ModelName(name=champion.name, model_id=champion.model_id),
                metrics=judgement.labels,
                refusals=judgement.refusals,
            )
        )

    def _bundle(self, base: Bundle, candidate: Model, record: HeadRecord, run: Run) -> Bundle:
        folder, head = self.folders.bundles / run.folder.name, self.plan.head
        if folder.exists():  # written before a kill: a bundle is whole or not there, so it is this run's result
            return Bundle.read(folder)
        return write_bundle(
            candidate,
            folder,
            name=base.name if len(candidate.specs) > 1 else f"{base.name} {head}",
            version=f"{head} {run.as_of:%Y-%m-%d %H:%M:%S}",
            demo=base.demo,
            provenance=after(base, head, record, [spec.name for spec in candidate.specs]),
        )

    def _judged_again(
        self, candidate: Model, bundle: Bundle, champion: Bundle, cohort: Cohort, source: EcgSource, now: datetime
    ) -> Judged:
        head = self.plan.head
        if cohort.labels != candidate.spec(head).labels:
            raise LearningError(f"{head}: the outcomes cover {', '.join(cohort.labels)}, the model has other labels")
        live = None if champion.model_id == bundle.model_id else Model.of(champion)
        judgement = self._judge(candidate, live, cohort, source)
        record = head_record(bundle, head)
        folder = self.folders.evaluations / f"{head}-{bundle.model_id[:8]}-{now:%Y%m%dT%H%M%S}"
        against = None if live is None else champion
        judged = Judged(
            head=head,
            bundle=bundle,
            champion=champion,
            cohort=cohort,
            judgement=judgement,
            report=self._report(bundle, against, cohort, judgement, record, now, folder),
        )
        self.publish(judged)
        return judged

    def _report(
        self,
        bundle: Bundle,
        against: Bundle | None,
        cohort: Cohort,
        judgement: Judgement,
        record: HeadRecord | None,
        as_of: datetime,
        folder: Path,
    ) -> Path:
        trained = record.trained if record else None
        note = self.plan.note or (trained.note if trained else "")
        write_predictions(folder / "predictions.csv", _predicted(judgement))
        spec = next(spec for spec in bundle.heads if spec.name == self.plan.head)
        return page.write(
            Report(
                head=spec.name,
                target=spec.target,
                site=self.plan.site,
                as_of=as_of,
                notes=tuple(text for text in (note, *_not_learnt(cohort), DEMO_NOTE if bundle.demo else "") if text),
                candidate=bundle.named,
                champion=None if against is None else against.named,
                verdict=Verdict(passed=not judgement.refusals, refusals=judgement.refusals),
                labels=judgement.labels,
                cohort=cohort.flow,
                training=record,
            ),
            folder,
        )


def _predicted(judgement: Judgement) -> Iterator[Predicted]:
    for label, test in judgement.tests.items():
        live = {} if test.champion is None else {"live model": test.champion}
        scores = {"model": test.probabilities, **live, **test.baselines}
        yield Predicted(label=label, keys=test.keys, patients=test.patients, truth=test.labels, scores=scores)


def _not_learnt(cohort: Cohort) -> list[str]:
    """A sentence for each label that was asked for and is not in the head: nobody may find that out later."""
    return [f"NOT LEARNT: {label}: {why}." for label, why in cohort.rules.labels_left_out.items()]
