"""Scores of every patient who may be looked at, each by a training that saw nothing of that patient.

A calibration fitted on them rests on all but the test patients, not on the 15 % of the validation split. The recipe is
the head's own with what its training chose (the penalty, the number of epochs), because it is that head's scores that
are to be calibrated.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import TrainingError
from ecgfm.finetuning.candidate import Model, Place, segment_logits
from ecgfm.finetuning.dataset import Example
from ecgfm.finetuning.split import Split
from ecgfm.finetuning.trained import Trained
from ecgfm.heads import HeadSpec
from ecgfm.network import EcgFm
from ecgfm.training.team import Team
from ecgfm_clinical.learning.cohort.folds import dealt
from ecgfm_clinical.learning.cohort.members import Cohort, Member
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.operating_points import HeldOut
from ecgfm_clinical.learning.out_of_fold import read_logits, write_logits
from ecgfm_clinical.learning.training import Progress, Training, quiet


def cross_fitted(
    network: EcgFm,
    spec: HeadSpec,
    training: Training,
    chosen: Trained,
    cohort: Cohort,
    source: EcgSource,
    place: Place,
    *,
    folds: int,
    folder: Path,
    team: Team | None = None,
    progress: Progress = quiet,
) -> HeldOut:
    """Training and validation ECGs with the logits of the fold in which they were held out.

    In each fold the others keep their splits. `folder` keeps what fine-tuning needs to go on after a kill; of several
    processes only the first has logits at the end. Raises TrainingError where there are too few
    patients, or a fold lacks a class.
    """
    members = [*cohort.of("train"), *cohort.of("validation")]
    if len({member.example.patient for member in members}) < 2 * folds:
        raise TrainingError(
            f"too few patients for {folds} folds to calibrate on; ask for fewer in learning.calibration_folds"
        )
    placed, recipe, read = dealt(members, folds), training.as_chosen(chosen), Signals(source=source)
    logits: list[NDArray[np.float64]] = [np.zeros((0, len(spec.labels)))] * len(members)
    for fold in range(folds):
        progress("calibrating across folds", fold, folds)
        held = np.flatnonzero(placed == fold).tolist()
        kept = folder / f"fold-{fold + 1}.npz"
        if kept.exists():  # from before a kill
            _put(logits, held, read_logits(kept)[0])
            continue
        others = [member for member, own in zip(members, placed, strict=True) if own != fold]
        split = Split(train=_examples(others, "train"), validation=_examples(others, "validation"))
        trained = recipe.train(network, spec, split, read, place, folder=folder / f"fold-{fold + 1}", team=team)
        if team is None or team.first:
            fitted = Model(network=trained.network, specs=trained.network.specs, origin=f"fold {fold + 1}")
            _put(logits, held, segment_logits(fitted, spec.name, [members[i].example for i in held], read, place))
            write_logits(kept, [logits[i] for i in held])
            shutil.rmtree(folder / f"fold-{fold + 1}", ignore_errors=True)  # checkpoints are several times a network
    return HeldOut(
        examples=[member.example for member in members],
        sites=[member.row.site for member in members],
        logits=logits,
        whose=f"training and validation ECGs, out of {folds} folds",
    )


def _put(logits: list[NDArray[np.float64]], places: Sequence[int], found: Sequence[NDArray[np.float64]]) -> None:
    for place, own in zip(places, found, strict=True):
        logits[place] = own


def _examples(members: Sequence[Member], split: str) -> list[Example]:
    return [member.example for member in members if member.split == split]
