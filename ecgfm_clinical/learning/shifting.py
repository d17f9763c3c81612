"""`model shift`: a version of a model for people among whom an outcome is more common, or rarer, than among those its
head was calibrated on. Weights and operating points stay; a person promotes it.
"""

from dataclasses import dataclass, replace

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import Model
from ecgfm.finetuning.candidate import write as write_bundle
from ecgfm.heads import HeadSpec
from ecgfm.prior_shift import PriorShift
from ecgfm_clinical.errors import InputError, LearningError
from ecgfm_clinical.learning import governance, models
from ecgfm_clinical.learning.cohort.members import SplitName
from ecgfm_clinical.learning.provenance import HeadRecord, ShiftRecord, after, head_record
from ecgfm_clinical.learning.workshop import Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifted:
    """A registered candidate with a prior shift."""

    bundle: Bundle
    label: str
    shift: PriorShift


def shift(
    workshop: Workshop,
    head: str,
    stated: float,
    *,
    label: str | None = None,
    learnt: float | None = None,
    model: str | None = None,
) -> Shifted:
    """A candidate made from a model: the live one where none is named.

    `stated`: the share of positive ECGs that is to be expected; `learnt`: the share where the label was calibrated,
    where the bundle does not tell it. Raises InputError, LearningError, ModelError, NoHead.
    """
    now = workshop.clock()
    settings, registry = workshop.settings, workshop.registry
    live = models.opened(settings, models.live_model(settings, registry, now=now, actor=workshop.actor))
    base = live if model is None else models.chosen(settings, registry, model)
    model_of_base = Model.of(base)
    spec = model_of_base.spec(head)
    named = _label(spec, label)
    found = _shift(base, spec, named, stated, learnt)
    return _written(workshop, base, model_of_base, spec, named, found, "stated by a person", "")


def proposed(workshop: Workshop, base: Bundle, head: str, label: str, fits: float, source: str) -> Shifted:
    """The candidate with the share that outcomes ask for: one a month. Raises LearningError, ModelError."""
    model = Model.of(base)
    spec = model.spec(head)
    found = _shift(base, spec, label, fits, None)
    how = f"proposed-{base.model_id[:12]}-{spec.labels.index(label)}"
    return _written(workshop, base, model, spec, label, found, source, how)


def _label(spec: HeadSpec, label: str | None) -> str:
    if label is None and len(spec.labels) > 1:
        raise InputError(f"{spec.name} has {len(spec.labels)} labels; say which by --label: {', '.join(spec.labels)}")
    if label is not None and label not in spec.labels:
        raise InputError(f"{spec.name} has no label {label!r}; it has {', '.join(spec.labels)}")
    return label or spec.labels[0]


def _shift(base: Bundle, spec: HeadSpec, label: str, stated: float, learnt: float | None) -> PriorShift:
    if learnt is None:
        earlier = spec.prior_shifts.get(label)
        learnt = earlier.learnt if earlier else learnt_share(head_record(base, spec.name), label)
    try:
        return PriorShift(learnt=learnt, stated=stated)
    except ValueError as error:
        raise InputError(str(error)) from error


def learnt_share(record: HeadRecord | None, label: str) -> float:
    """The share of positive ECGs among those on which the label was calibrated. Raises LearningError."""
    trained = record.trained if record else None
    again = record.recalibrated if record else None
    if trained is None or (again is not None and again.calibration != "kept"):
        raise LearningError(
            f"the model does not tell how common {label} was where it was calibrated; give that share by --learnt"
        )
    validation: tuple[SplitName, ...] = ("validation",)
    splits = validation if trained.calibration.fitted_on.startswith("validation") else ("train", *validation)
    counts = [trained.cohort.splits[name] for name in splits]
    positives = sum(one.positives.get(label, 0) for one in counts)
    negatives = sum(one.negatives.get(label, 0) for one in counts)
    if not positives or not negatives:
        raise LearningError(f"the model's record counts no ECGs of both kinds of {label}; give the share by --learnt")
    return positives / (positives + negatives)


def _written(
    workshop: Workshop,
    base: Bundle,
    model: Model,
    spec: HeadSpec,
    label: str,
    found: PriorShift,
    source: str,
    how: str,
) -> Shifted:
    """`how`: the folder's name after the head's and before the month, for what is made once a month and label."""
    now, head = workshop.clock(), spec.name
    folder = workshop.folders.bundles / (f"{head}-{how}-{now:%Y%m}" if how else f"{head}-shifted-{now:%Y%m%dT%H%M%S}")
    if how and folder.exists():
        bundle = models.read_bundle(folder)
        return Shifted(bundle=bundle, label=label, shift=Model.of(bundle).spec(head).prior_shifts[label])
    record = head_record(base, head) or HeadRecord()
    spec = replace(spec, prior_shifts={**spec.prior_shifts, label: found})
    told = ShiftRecord(as_of=now, learnt=found.learnt, stated=found.stated, source=source)
    bundle = write_bundle(
        replace(model, specs=tuple(spec if one.name == head else one for one in model.specs)),
        folder,
        name=base.name,
        version=f"{head} {now:%Y-%m-%d %H:%M:%S}",
        demo=base.demo,
        provenance=after(
            base,
            head,
            replace(record, shifted={**record.shifted, label: told}),
            [one.name for one in model.specs],
        ),
    )
    path = models.registered_path(workshop.settings, bundle)
    governance.keep_shifted(workshop.registry, base, bundle, head, path=path, now=now, actor=workshop.actor)
    return Shifted(bundle=bundle, label=label, shift=found)
