"""`model recalibrate`: a version of a model whose head is calibrated, and its threshold chosen, anew. Weights stay.

As in the head's own training it rests on every patient but the test patients: whom the head learnt from by the scores
that were kept of the trainings that saw nothing of them, who came later by the head itself. Where none were kept nobody
knows whom it learnt from, and validation patients alone are looked at.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import Model, segment_logits
from ecgfm.finetuning.candidate import write as write_bundle
from ecgfm.operating_rule import OperatingRule
from ecgfm_clinical.errors import LearningError
from ecgfm_clinical.learning.cohort.members import Cohort
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.experiment import Experiment
from ecgfm_clinical.learning.judged import Judged
from ecgfm_clinical.learning.operating_points import HeldOut
from ecgfm_clinical.learning.out_of_fold import OutOfFold, kept
from ecgfm_clinical.learning.provenance import HeadRecord, Recalibration, after, head_record


def recalibrate(
    experiment: Experiment, base: Bundle, champion: Bundle, rule: OperatingRule, *, site: str, now: datetime
) -> Judged:
    """The new version, judged and published.

    With `site` only that site's threshold is chosen; calibration and all other thresholds stay. Raises LearningError,
    NoHead.
    """
    plan, model = experiment.plan, Model.of(base)
    head = plan.head
    whole, source = experiment.cohort(now)
    cohort = experiment.covering(whole, model)
    held_out = _held_out(experiment, model, base, cohort, source)
    chosen_on: Mapping[str, str] = {}
    try:
        if site:
            spec, chosen_on = held_out.at_sites(model.spec(head), {site: rule})
        else:
            spec = held_out.calibrate(model.spec(head), plan.calibration, rule)
    except ValueError as error:
        raise LearningError(f"{head}: {error}") from error
    candidate = replace(model, specs=tuple(spec if one.name == head else one for one in model.specs))
    record = replace(
        head_record(base, head) or HeadRecord(),
        recalibrated=Recalibration(
            as_of=now,
            cohort_digest=cohort.digest,
            calibration="kept" if site else plan.calibration,
            operating_point=str(rule),
            chosen_on=chosen_on or held_out.whose,
            site=plan.site,
        ),
    )
    bundle = write_bundle(
        candidate,
        experiment.folders.bundles / f"{head}-recalibrated-{now:%Y%m%dT%H%M%S}",
        name=base.name,
        version=f"{head} {now:%Y-%m-%d %H:%M:%S}",
        demo=base.demo,
        provenance=after(base, head, record, [one.name for one in candidate.specs]),
    )
    return experiment.judged_again(candidate, bundle, champion, cohort, source, now)


def _held_out(experiment: Experiment, model: Model, base: Bundle, cohort: Cohort, source: EcgSource) -> HeldOut:
    head = experiment.plan.head
    record = head_record(base, head)
    if record is not None and record.trained is not None:
        models = {base.model_id, *(one.model_id for one in base.provenance.lineage)}
        scores = kept(experiment.folders.runs, head, models, record.trained.as_of)
        if scores is not None:
            return _cross_fitted(scores, model, cohort, source, experiment)
    return HeldOut.validation(model, head, cohort, source, experiment.place)


def _cross_fitted(
    scores: OutOfFold, model: Model, cohort: Cohort, source: EcgSource, experiment: Experiment
) -> HeldOut:
    """All of today's patients but the test patients, less the ECGs of whom the head learnt from that it did not see.

    Those have no score that is free of their patient. Raises TrainingError.
    """
    found = dict(zip(scores.keys, scores.logits, strict=True))
    learnt = {row.patient for row in source.rows() if row.key in found}  # as identities are known today
    members = [*cohort.of("train"), *cohort.of("validation")]
    before = [one for one in members if one.row.key in found]
    later = [one for one in members if one.row.patient not in learnt]
    examples = [one.example for one in later]
    own = segment_logits(model, scores.head, examples, Signals(source=source), experiment.place)
    left_out = len(members) - len(before) - len(later)
    return HeldOut(
        examples=[*(one.example for one in before), *examples],
        sites=[one.row.site for one in (*before, *later)],
        logits=[*(found[one.row.key] for one in before), *own],
        whose=f"training and validation ECGs ({len(before)} out of the folds of the head's training, {len(later)} of "
        f"patients who came later{f'; {left_out} later ones of patients it learnt from left out' if left_out else ''})",
    )
