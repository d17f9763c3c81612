"""One experiment: cohort → train → calibrate → judge → publish, on the store or on an archive, every step written down.

Nothing is published unless everything before it went well; a run that was killed goes on where it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic

from ecgfm.calibration import NoOperatingPoint
from ecgfm.checkpoint import Bundle
from ecgfm.errors import TrainingError
from ecgfm.finetuning.candidate import Model, Place, fingerprints, joined
from ecgfm.finetuning.candidate import write as write_bundle
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.trained import Trained
from ecgfm.heads import HeadSpec
from ecgfm.training.team import Team
from ecgfm_clinical.errors import InputError, LearningError
from ecgfm_clinical.learning.cohort.building import gather
from ecgfm_clinical.learning.cohort.learnable import judgeable, learnable
from ecgfm_clinical.learning.cohort.members import Cohort
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.cross_fitting import cross_fitted
from ecgfm_clinical.learning.documents import Notes, write_document
from ecgfm_clinical.learning.folders import Folders
from ecgfm_clinical.learning.judged import Judged, Publish, in_its_folder, write_report
from ecgfm_clinical.learning.judging.comparison import Judge, Judgement
from ecgfm_clinical.learning.operating_points import HeldOut
from ecgfm_clinical.learning.out_of_fold import OutOfFold
from ecgfm_clinical.learning.plan import Plan
from ecgfm_clinical.learning.provenance import HeadRecord, after, head_record, record_of_training
from ecgfm_clinical.learning.report import page
from ecgfm_clinical.learning.runs import Run, begin
from ecgfm_clinical.learning.selected import Selection
from ecgfm_clinical.learning.selection import ADAPTED, LIVE, Chooser, Seconds, Way, ways
from ecgfm_clinical.learning.training import Progress, head_spec, quiet

OpenSource = Callable[[datetime], EcgSource]  #: the ECGs and outcomes as they were known at a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One plan, where its ECGs come from, and where things go."""

    plan: Plan
    open_source: OpenSource
    folders: Folders
    device: str = "auto"
    publish: Publish = in_its_folder
    progress: Progress = quiet
    seconds: Seconds = monotonic  #: for budgets of time

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

    def retrain(
        self,
        base: Bundle,
        champion: Bundle | None,
        *,
        now: datetime,
        start: Bundle | None = None,
        adapted: Bundle | None = None,
    ) -> Judged | None:
        """A head trained on the base's encoder, calibrated, judged against the champion, and published; the other heads
        of the base stay beside it, each on its own encoder.

        On the encoder of `start` where the base's knows labels of patients who are to be held out. With `adapted`, an
        encoder adapted to this site, on that one; where the method is chosen, on the better of both. Of several
        processes that train together only the first does more than that: the others return None. Raises LearningError
        (too few of either kind, no operating point), TrainingError (interrupted, disk full), BundleError.
        """
        team = self._team()
        quietly = self if team is None or team.first else replace(self, progress=quiet)
        return quietly._retrain(base, start or base, adapted, champion, team, now)

    def _team(self) -> Team | None:
        tuning = self.plan.training.fine_tuning
        if self.plan.budget_seconds is not None and tuning.devices * tuning.nodes > 1:
            raise InputError("--method auto is chosen by one process; name a method, or start it without torchrun")
        return self.plan.training.team()

    def _retrain(
        self,
        base: Bundle,
        start: Bundle,
        adapted: Bundle | None,
        champion: Bundle | None,
        team: Team | None,
        now: datetime,
    ) -> Judged | None:
        run = self._begin(self.plan.options(base, start, adapted), team, now)
        self.progress("cohort", 0, 1)
        cohort, source = self.cohort(run.as_of)
        if team is None or team.first:
            write_document(run.folder / "cohort.json", cohort.flow)
            page.draw_flow(cohort.flow, run.folder / "cohort.svg")
        begun = _Begun(
            base=base,
            parent=start if adapted is None else adapted,
            champion=champion,
            cohort=learnable(cohort),
            source=source,
            run=run,
            team=team,
        )
        if self.plan.budget_seconds is None:
            return self._finish(begun)
        offered = {LIVE: start} if adapted is None else {ADAPTED: adapted, LIVE: start}
        way, selection = self._chosen(offered, begun)
        settled = replace(self, plan=replace(self.plan, training=way.training, budget_seconds=None))
        return settled._finish(replace(begun, parent=offered[way.encoder], selection=selection))

    def _finish(self, begun: "_Begun") -> Judged | None:
        """From the training on."""
        parent, champion, cohort, run = begun.parent, begun.champion, begun.cohort, begun.run
        start = Model.of(parent)
        trained = self._train(start, begun)
        held_out = self._held_out(start, trained, begun)
        if begun.team is not None and not begun.team.first:
            return None
        base = start if begun.base.model_id == parent.model_id else Model.of(begun.base)
        candidate, chosen_on = self._calibrated(base, trained, held_out)
        live = None if champion is None else start if champion.model_id == parent.model_id else Model.of(champion)
        judgement = self._judge(candidate, live, cohort, begun.source)
        record = record_of_training(
            self.plan,
            cohort,
            trained,
            judgement,
            as_of=run.as_of,
            champion=champion,
            selection=begun.selection,
            calibrated_on=held_out.whose,
            chosen_on=chosen_on,
            adaptation=parent.provenance.origin.get("adaptation"),
        )
        bundle = self._bundle(begun, start, candidate, record)
        judged = Judged(
            head=self.plan.head,
            bundle=bundle,
            champion=champion,
            cohort=cohort,
            judgement=judgement,
            report=write_report(self.plan, bundle, champion, cohort, judgement, record, run.as_of, run.folder),
        )
        if self.plan.calibration_folds > 1:
            OutOfFold(
                head=self.plan.head,
                model_id=bundle.model_id,
                as_of=run.as_of,
                keys=[one.key for one in held_out.examples],
                logits=held_out.logits,
            ).keep(run.folder)
        self.publish(judged)
        run.finish({"model_id": bundle.model_id, "refusals": list(judgement.refusals)})
        return judged

    def evaluate(self, bundle: Bundle, champion: Bundle, *, now: datetime) -> Judged:
        """A model's head judged on today's test patients. Raises LearningError, NoHead."""
        candidate = Model.of(bundle)
        candidate.spec(self.plan.head)
        whole, source = self.cohort(now)
        cohort = judgeable(whole) if self.plan.judges_only else self.covering(whole, candidate)
        return self.judged_again(candidate, bundle, champion, cohort, source, now)

    def covering(self, whole: Cohort, model: Model) -> Cohort:
        """What can be learnt from; it must cover the labels of the model's head."""
        head, cohort = self.plan.head, learnable(whole)
        if cohort.labels != model.spec(head).labels:
            raise LearningError(f"{head}: the outcomes cover {', '.join(cohort.labels)}, the model has other labels")
        return cohort

    def judged_again(
        self, candidate: Model, bundle: Bundle, champion: Bundle, cohort: Cohort, source: EcgSource, now: datetime
    ) -> Judged:
        """A bundle judged on today's test patients and published, with its report in a folder of its own."""
        head = self.plan.head
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
            report=write_report(self.plan, bundle, against, cohort, judgement, record, now, folder),
        )
        self.publish(judged)
        return judged

    # The steps

    def _begin(self, asked: Notes, team: Team | None, now: datetime) -> Run:
        """All processes look at the source as of one moment:
        the first one's, or that of the run that was interrupted.
        """
        if team is None:
            return begin(self.folders.runs, asked, now=now)
        return team.share(lambda: begin(self.folders.runs, asked, now=now))

    def _spec(self, cohort: Cohort) -> HeadSpec:
        return head_spec(self.plan.head, cohort.labels, self.plan.labelling.target)

    def _chosen(self, offered: Mapping[str, Bundle], begun: "_Begun") -> tuple[Way, Selection]:
        """How the head is to be trained, and on which encoder; raises LearningError where nothing could be tried."""
        plan = self.plan
        assert plan.budget_seconds is not None
        chooser = Chooser(
            networks={encoder: Model.of(bundle).network for encoder, bundle in offered.items()},
            spec=self._spec(begun.cohort),
            cohort=begun.cohort,
            source=begun.source,
            place=self.place,
            folder=begun.run.folder,
            budget_seconds=plan.budget_seconds,
            clock=self.seconds,
            after=1 + (plan.calibration_folds if plan.calibration_folds > 1 else 0),
            progress=self.progress,
        )
        return chooser.choose(ways(plan.training.fine_tuning, tuple(offered)))

    def _train(self, start: Model, begun: "_Begun") -> Trained:
        cohort = begun.cohort
        return self.plan.training.train(
            start.network,
            self._spec(cohort),
            Split(train=cohort.examples("train"), validation=cohort.examples("validation")),
            Signals(source=begun.source),
            self.place,
            folder=begun.run.folder,
            team=begun.team,
            progress=self.progress,
        )

    def _held_out(self, start: Model, trained: Trained, begun: "_Begun") -> HeldOut:
        """What the head is calibrated on."""
        plan, cohort = self.plan, begun.cohort
        if plan.calibration_folds < 2:
            return HeldOut.validation(_raw(trained), plan.head, cohort, begun.source, self.place)
        return cross_fitted(
            start.network,
            self._spec(cohort),
            plan.training,
            trained,
            cohort,
            begun.source,
            self.place,
            folds=plan.calibration_folds,
            folder=begun.run.folder,
            team=begun.team,
            progress=self.progress,
        )

    def _calibrated(self, base: Model, trained: Trained, held_out: HeldOut) -> tuple[Model, Mapping[str, str]]:
        """The trained head calibrated and with its operating points, joined with the other heads of the base;
        and per site with a rule of its own, on which ECGs its point was chosen.
        """
        plan = self.plan
        try:
            spec = held_out.calibrate(_raw(trained).spec(plan.head), plan.calibration, plan.operating_point)
            spec, chosen_on = held_out.at_sites(spec, plan.site_operating_points)
        except NoOperatingPoint as error:
            raise LearningError(
                f"{plan.head}: {error}; ask for less in [learning.operating_points.{plan.head}]"
            ) from error
        except ValueError as error:
            raise TrainingError(f"{plan.head} cannot be calibrated: {error}") from error
        return joined(base, trained.network, spec), chosen_on

    def _judge(self, candidate: Model, live: Model | None, cohort: Cohort, source: EcgSource) -> Judgement:
        self.progress("judging", 0, 1)
        judge = Judge(
            cohort=cohort,
            source=source,
            place=self.place,
            gate=None if self.plan.judges_only else self.plan.gate,
            rivals=None if self.plan.judges_only else self.plan.rivals,
            progress=self.progress,
            replicates=self.plan.replicates,
            seed=self.plan.seed,
        )
        return judge.compare(candidate, live, self.plan.head)

    def _bundle(self, begun: "_Begun", start: Model, candidate: Model, record: HeadRecord) -> Bundle:
        run, head = begun.run, self.plan.head
        folder = self.folders.bundles / run.folder.name
        if folder.exists():  # written before a kill: a bundle is whole or not there, so it is this run's result
            return Bundle.read(folder)
        kept = {name: own for name, own in fingerprints(candidate).items() if name != head}
        # It is a version of the bundle that has the heads beside it: of the one it was trained from where that has them
        base = begun.parent if kept.items() <= fingerprints(start).items() else begun.base
        return write_bundle(
            candidate,
            folder,
            name=base.name if len(candidate.specs) > 1 else f"{base.name} {head}",
            version=f"{head} {run.as_of:%Y-%m-%d %H:%M:%S}",
            demo=base.demo,
            provenance=after(base, head, record, [spec.name for spec in candidate.specs]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A run whose cohort is known."""

    base: Bundle  #: whose other heads stay beside the new one
    parent: (
        Bundle  #: whose first encoder the head is trained on: the base's, one without the labels of its patients, or
    )
    #: one adapted to this site
    champion: Bundle | None
    cohort: Cohort = field(repr=False)
    source: EcgSource = field(repr=False)
    run: Run
    team: Team | None
    selection: Selection | None = None  #: where the method was chosen


def _raw(trained: Trained) -> Model:
    """The trained head as it is before calibration."""
    return Model(network=trained.network, specs=trained.network.specs, origin="candidate")
