"""`retrain` and `evaluate` on the staging store: from the command line's words to a judged model in the registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ecgfm.calibration import OperatingRule
from ecgfm.checkpoint import Bundle
from ecgfm.finetuning import candidate as models
from ecgfm.finetuning.candidate import Model, Place
from ecgfm.finetuning.train import FineTuning, Method
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning import governance, planning
from ecgfm_clinical.learning.cohort.building import Cohort, build
from ecgfm_clinical.learning.cohort.sources import Reasons, Signals, StoreSource
from ecgfm_clinical.learning.experiment import LEAST, Progress, Retrained, learnable, quiet, retrain
from ecgfm_clinical.learning.judging.comparison import Judge, Judgement
from ecgfm_clinical.learning.report import page as report
from ecgfm_clinical.learning.runs import begin
from ecgfm_clinical.settings import OperatingPoint, Settings
from ecgfm_clinical.staging.registry import Registry
from ecgfm_clinical.staging.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One model's head judged anew."""

    bundle: Bundle
    judgement: Judgement
    report: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Learning on one installation."""

    settings: Settings
    store: Store
    actor: str
    clock: Callable[[], datetime]
    progress: Progress = quiet

    @property
    def registry(self) -> Registry:
        """The models of the store."""
        return self.store.models

    def retrain(
        self,
        head: str,
        *,
        method: Method = "linear",
        base: str | None = None,
        fine_tuning: FineTuning | None = None,
        note: str = "",
        seed: int = 0,
        replicates: int = 1000,
    ) -> Retrained | None:
        """Train and judge a candidate from the store and register it. Raises LearningError, TrainingError, ModelError.

        None in all but the first of several processes that torchrun started: they have helped to train, and are done.
        """
        now = self.clock()
        champion = self._live(now)
        start = champion if base is None else planning.chosen(self.settings, self.registry, base)
        kept = planning.folders(self.settings)
        # The rules decide which run this is; the moment it looks at is the run's own, so that a killed one can go on.
        rules, _ = planning.labelling(head, self.settings.learning, StoreSource(self.store.cohorts, as_of=now), now=now)
        made = planning.plan(
            head,
            rules,
            self.settings,
            method=method,
            fine_tuning=fine_tuning,
            note=note,
            seed=seed,
            replicates=replicates,
        )
        team = made.team()
        asked = planning.options(head, method, start, rules, made)
        # All processes look at the store as of one moment, the first one's.
        run = team.share(lambda: begin(kept.runs, asked, now=now)) if team else begin(kept.runs, asked, now=now)
        source = StoreSource(self.store.cohorts, as_of=run.as_of)
        rules, left_out = planning.labelling(head, self.settings.learning, source, now=run.as_of)
        done = retrain(
            replace(made, labelling=rules),
            source,
            base=start,
            champion=champion,
            run=run,
            bundles=kept.bundles,
            place=self._place(),
            team=team,
            outcomes_left_out=left_out,
            progress=self.progress if team is None or team.first else quiet,
        )
        if done is None:
            return None
        self._register(done.bundle, head, champion, done.cohort, done.judgement, done.report)
        run.finish({"model_id": done.bundle.model_id, "refusals": list(done.judgement.refusals)})
        return done

    def evaluate(self, head: str, *, model: str | None = None, replicates: int = 1000, note: str = "") -> Evaluated:
        """Judge a model (the live one where none is named) on today's test patients. Raises LearningError, ModelError."""
        now = self.clock()
        champion = self._live(now)
        bundle = champion if model is None else planning.chosen(self.settings, self.registry, model)
        Model.of(bundle).spec(head)
        cohort, source = self.cohort(head, now)
        return self._judged(head, bundle, champion, learnable(cohort), source, now, replicates=replicates, note=note)

    def recalibrate(
        self, head: str, point: OperatingPoint, *, site: str = "", model: str | None = None, replicates: int = 1000
    ) -> Evaluated:
        """A new version of a model whose head is calibrated, and its threshold chosen, on today's validation patients.

        With `site` only that site's threshold is chosen; calibration and all other thresholds stay. Weights stay in any
        case; the new bundle is judged and registered as a candidate. Raises LearningError, ModelError.
        """
        now = self.clock()
        champion = self._live(now)
        base = champion if model is None else planning.chosen(self.settings, self.registry, model)
        cohort, source = self.cohort(head, now)
        cohort = learnable(cohort)
        candidate = Model.of(base)
        validation = cohort.examples("validation")
        logits = models.segment_logits(candidate, head, validation, Signals(source=source), self._place())
        rule = planning.operating_rule(point)
        spec = candidate.spec(head)
        chosen_on: dict[str, str] = {}
        try:
            if site:
                sites = [member.row.site for member in cohort.of("validation")]
                found, chosen_on = models.with_site_operating_points(
                    spec, validation, logits, sites, {site: rule}, least=LEAST["validation"]
                )
                every = {**spec.site_operating_points, **found.site_operating_points}
                spec = replace(spec, site_operating_points=every)
            else:
                spec = models.calibrated(spec, validation, logits, self.settings.learning.calibration)
                spec = models.with_operating_points(spec, validation, logits, rule)
        except ValueError as error:
            raise LearningError(f"{head}: {error}") from error
        specs = tuple(spec if one.name == head else one for one in candidate.specs)
        bundle = models.write(
            replace(candidate, specs=specs),
            planning.folders(self.settings).bundles / f"{head}-recalibrated-{now:%Y%m%dT%H%M%S}",
            name=base.name,
            version=f"{head} {now:%Y-%m-%d %H:%M:%S}",
            demo=base.demo,
            provenance=self._recalibrated(base, head, cohort, rule, chosen_on, now),
        )
        return self._judged(head, bundle, champion, cohort, source, now, replicates=replicates, note="")

    def _recalibrated(
        self,
        base: Bundle,
        head: str,
        cohort: Cohort,
        rule: OperatingRule,
        chosen_on: Mapping[str, str],
        now: datetime,
    ) -> dict[str, Any]:
        """The base's provenance with what was done to this head, and the base as parent."""
        earlier = dict(base.provenance)
        told = dict(earlier.get("heads", {}).get(head, {}))
        told["recalibrated"] = {
            "as_of": now.isoformat(),
            "cohort_digest": cohort.digest,
            "calibration": "kept" if chosen_on else self.settings.learning.calibration,
            "operating_point": str(rule),
            "chosen_on": dict(chosen_on) or "validation",
            "site": self.settings.site.name,
        }
        parent = {"name": base.name, "version": base.version, "model_id": base.model_id}
        return {
            **earlier,
            "heads": {**earlier.get("heads", {}), head: told},
            "lineage": [*earlier.get("lineage", []), parent],
        }

    def _judged(
        self,
        head: str,
        bundle: Bundle,
        champion: Bundle,
        cohort: Cohort,
        source: StoreSource,
        now: datetime,
        *,
        replicates: int,
        note: str,
    ) -> Evaluated:
        """Judge, report, register."""
        candidate = Model.of(bundle)
        if cohort.labels != candidate.spec(head).labels:
            raise LearningError(f"{head}: the outcomes cover {', '.join(cohort.labels)}, the model has other labels")
        against = None if champion.model_id == bundle.model_id else Model.of(champion)
        judge = Judge(
            cohort=cohort,
            source=source,
            place=self._place(),
            gate=planning.gate_rules(self.settings.learning),
            replicates=replicates,
        )
        judgement = judge.compare(candidate, against, head)
        told = bundle.provenance.get("heads", {}).get(head)
        path = report.write(
            report.document(
                head=head,
                candidate=bundle,
                champion=None if against is None else champion,
                cohort=cohort.to_json(),
                judged=judgement.labels,
                refusals=judgement.refusals,
                site=self.settings.site.name,
                note=note or (told or {}).get("note", ""),
                as_of=now,
                training=told,
            ),
            planning.folders(self.settings).root / "evaluations" / f"{head}-{bundle.model_id[:8]}-{now:%Y%m%dT%H%M%S}",
        )
        self._register(bundle, head, champion, cohort, judgement, path)
        return Evaluated(bundle=bundle, judgement=judgement, report=path)

    def cohort(self, head: str, as_of: datetime) -> tuple[Cohort, StoreSource]:
        """The head's cohort as of a moment, and where its signals are."""
        source = StoreSource(self.store.cohorts, as_of=as_of)
        rules, left_out = planning.labelling(head, self.settings.learning, source, now=as_of)
        made = planning.plan(head, rules, self.settings, method="linear")
        cohort = build(
            source.rows(),
            rules,
            made.cohort,
            now=as_of,
            evaluable=Reasons(source=source, rules=made.evaluability),
            outcomes_left_out=dict(left_out),
        )
        return cohort, source

    def _live(self, now: datetime) -> Bundle:
        row = planning.live_model(self.settings, self.registry, now=now, actor=self.actor)
        return planning.opened(self.settings, row)

    def _place(self) -> Place:
        return Place(
            cache=planning.folders(self.settings).cache,
            device=self.settings.model.device,
            progress=lambda done, total: self.progress("embedding", done, total),
        )

    def _register(
        self, bundle: Bundle, head: str, champion: Bundle, cohort: Cohort, judgement: Judgement, path: Path
    ) -> None:
        now = self.clock()
        row = governance.model_row(bundle, path=planning.registered_path(self.settings, bundle), now=now)
        self.registry.register(row, now=now, actor=self.actor, reason=f"judged for {head}")
        self.registry.judge(
            bundle.model_id,
            head,
            fingerprint=row.heads[head],
            champion_id=champion.model_id,
            cohort_digest=cohort.digest,
            reasons=judgement.refusals,
            report={"file": str(path)},
            now=now,
            actor=self.actor,
        )
