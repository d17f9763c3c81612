"""Learning on one installation: experiments on the staging store, published to its registry."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Literal

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import Model, Place
from ecgfm.finetuning.settings import FineTuning, Method
from ecgfm.operating_rule import OperatingRule
from ecgfm.provenance import ModelVersion
from ecgfm_clinical.errors import InputError, ModelError, NotFound
from ecgfm_clinical.learning import governance, models, planning
from ecgfm_clinical.learning.adaptation import Adaptation, Adapter, same_encoder
from ecgfm_clinical.learning.cohort.labelling import Exclusion, Given
from ecgfm_clinical.learning.cohort.learnable import learnable
from ecgfm_clinical.learning.cohort.members import Cohort
from ecgfm_clinical.learning.cohort.sources import EcgSource, StagedEcgs
from ecgfm_clinical.learning.experiment import Experiment
from ecgfm_clinical.learning.folders import Folders
from ecgfm_clinical.learning.judged import Judged, in_its_folder
from ecgfm_clinical.learning.learning_curve import CurveMaker, LearningCurve
from ecgfm_clinical.learning.recalibration import recalibrate
from ecgfm_clinical.learning.selection import Seconds
from ecgfm_clinical.learning.taught import before_teaching
from ecgfm_clinical.learning.training import Progress, quiet
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.registry import Registry
from ecgfm_clinical.staging.store import Store

SEEN = (
    "Judged by what cardiologists said in the console of answers that they had seen: no gate was asked, and this is no "
    "evidence for a promotion."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """An installation's settings and store, and who works there."""

    settings: Settings
    store: Store
    actor: str
    clock: Callable[[], datetime]
    progress: Progress = quiet
    seconds: Seconds = monotonic  #: for budgets of time

    @property
    def registry(self) -> Registry:
        """The models of the store."""
        return self.store.models

    @property
    def folders(self) -> Folders:
        return planning.folders(self.settings)

    def retrain(
        self,
        head: str,
        *,
        method: Method | Literal["auto"] = "linear",
        base: str | None = None,
        fine_tuning: FineTuning | None = None,
        budget_seconds: float = planning.BUDGET_SECONDS,
        encoders: tuple[Path, ...] = (),
        adaptation: Adaptation | None = None,
        note: str = "",
        seed: int = 0,
        replicates: int = 1000,
    ) -> Judged | None:
        """Train and judge a candidate from the store and register it. Raises LearningError, TrainingError, ModelError.

        With `adaptation` on an encoder that learnt on from this site's ECGs; where the method is chosen, that one and
        the other are tried.

        None in all but the first of several processes that torchrun started: they have helped to train, and are done.
        """
        now = self.clock()
        champion = self._live(now)
        asked = champion if base is None else models.chosen(self.settings, self.registry, base)
        start = self._untaught(asked)
        made = self.experiment(
            head,
            method=method,
            fine_tuning=fine_tuning,
            budget_seconds=budget_seconds,
            encoders=encoders,
            note=note,
            seed=seed,
            replicates=replicates,
        )
        adapted = None if adaptation is None else self._adapted(start, adaptation, made, now)
        if adapted is not None and same_encoder(adapted, start):
            adapted = None
        return made.retrain(asked, champion, now=now, start=start, adapted=adapted)

    def _untaught(self, asked: Bundle) -> Bundle:
        """The model to start from: the one asked for, or the one before labels of this site's patients were in its
        encoder. Raises LearningError.
        """
        start = before_teaching(asked, self.settings.site.name, self._of_lineage)
        if start is not asked:
            self.progress(
                f"starting from {start.name} {start.version}: the encoder of {asked.name} {asked.version} was "
                "fine-tuned on labels of patients who are to be held out",
                0,
                1,
            )
        return start

    def _of_lineage(self, named: ModelVersion) -> Bundle | None:
        """A registered model, or an adapted encoder, where its folder is still there."""
        try:
            return models.opened(self.settings, self.registry.find(named.model_id))
        except (NotFound, ModelError):
            bundles = (models.read_bundle(path.parent) for path in self.folders.adapted.glob("encoder-*/bundle.json"))
            return next((one for one in bundles if one.model_id == named.model_id), None)

    def _adapted(self, start: Bundle, how: Adaptation, made: Experiment, now: datetime) -> Bundle:
        """The start's encoder adapted, lately or now: not for hours only to hear that there are too few outcomes."""
        adapter = self.adapter()
        last = adapter.last(start, how)
        if last is not None:
            return last
        learnable(made.cohort(now)[0])
        return adapter.adapted(start, how, now=now)

    def learning_curves(
        self, head: str, *, base: str | None = None, sizes: int = 10, repeats: int = 5, seed: int = 0
    ) -> tuple[LearningCurve, ...]:
        """How good the head would be with fewer ECGs, one curve a label. Raises LearningError, ModelError."""
        now = self.clock()
        start = self._untaught(self._live(now) if base is None else models.chosen(self.settings, self.registry, base))
        experiment = self.experiment(head)
        cohort, source = experiment.cohort(now)
        maker = CurveMaker(
            head=head,
            cohort=learnable(cohort),
            source=source,
            model=Model.of(start),
            place=experiment.place,
            gate=experiment.plan.gate,
            sizes=sizes,
            repeats=repeats,
            seed=seed,
            progress=self.progress,
        )
        return maker.curves()

    def adapter(self) -> Adapter:
        """What adapts encoders to this site, and keeps them."""
        return Adapter(
            store=self.store,
            folders=self.folders,
            place=Place(cache=self.folders.cache, device=self.settings.model.kind),
            seconds=self.seconds,
            progress=self.progress,
        )

    def evaluate(
        self,
        head: str,
        *,
        model: str | None = None,
        encoders: tuple[Path, ...] = (),
        replicates: int = 1000,
        note: str = "",
        by_cardiologists: bool = False,
    ) -> Judged:
        """Judge a model (the live one where none is named) on today's test patients.

        `by_cardiologists`: against what cardiologists said of the live model's answers in the console, not against
        outcomes; they saw the answers, so the registry, and with it the gate, does not hear of it. Raises
        LearningError, ModelError.
        """
        now = self.clock()
        champion = self._live(now)
        bundle = champion if model is None else models.chosen(self.settings, self.registry, model)
        experiment = self.experiment(head, encoders=encoders, replicates=replicates, note=note)
        if by_cardiologists:
            if encoders:
                raise InputError("--rival learns from outcomes: nobody stands beside a model that words judge")
            experiment = self._by_cardiologists(experiment, bundle)
        return experiment.evaluate(bundle, champion, now=now)

    def _by_cardiologists(self, experiment: Experiment, bundle: Bundle) -> Experiment:
        head = experiment.plan.head
        labels = Model.of(bundle).spec(head).labels
        said = Given(
            table=self.store.opinions.labels(head, labels),
            labels=labels,
            source="cardiologists in the console",
            meaning="What most cardiologists said who had seen the model's answer: present, or absent.",
            missing=Exclusion(code="no-label", text="no cardiologist said, or as many said yes as no"),
        )
        plan = replace(experiment.plan, labelling=said, judges_only=True, note=SEEN)
        return replace(experiment, plan=plan, publish=in_its_folder)

    def recalibrate(
        self, head: str, rule: OperatingRule, *, site: str = "", model: str | None = None, replicates: int = 1000
    ) -> Judged:
        """A new version of a model (the live one where none is named), calibrated anew.

        Raises LearningError, ModelError.
        """
        now = self.clock()
        champion = self._live(now)
        base = champion if model is None else models.chosen(self.settings, self.registry, model)
        return recalibrate(self.experiment(head, replicates=replicates), base, champion, rule, site=site, now=now)

    def cohort(self, head: str, as_of: datetime) -> tuple[Cohort, EcgSource]:
        """The head's cohort as of a moment, and where its signals are. Raises InputError."""
        return self.experiment(head).cohort(as_of)

    def experiment(
        self,
        head: str,
        *,
        method: Method | Literal["auto"] = "linear",
        fine_tuning: FineTuning | None = None,
        budget_seconds: float = planning.BUDGET_SECONDS,
        encoders: tuple[Path, ...] = (),
        note: str = "",
        seed: int = 0,
        replicates: int = 1000,
    ) -> Experiment:
        """What the settings say of this head, on this store. Raises InputError."""
        plan = planning.plan(
            head,
            planning.labelling(head, self.settings.learning),
            self.settings,
            method=method,
            fine_tuning=fine_tuning,
            budget_seconds=budget_seconds,
            encoders=encoders,
            note=note,
            seed=seed,
            replicates=replicates,
        )
        return Experiment(
            plan=plan,
            open_source=partial(StagedEcgs, self.store.cohorts),
            folders=self.folders,
            device=self.settings.model.device,
            publish=self._register,
            progress=self.progress,
            seconds=self.seconds,
        )

    def _live(self, now: datetime) -> Bundle:
        row = models.live_model(self.settings, self.registry, now=now, actor=self.actor)
        return models.opened(self.settings, row)

    def _register(self, judged: Judged) -> None:
        """Publish to the registry: a candidate, and the gate's verdict on it."""
        now = self.clock()
        path = models.registered_path(self.settings, judged.bundle)
        governance.keep(self.registry, judged, path=path, now=now, actor=self.actor)
