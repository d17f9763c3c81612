"""External evaluation: a head of any bundle, as it is, on any labelled archive. Nothing is trained, nothing registered.

Each label that bundle and archive share is judged on every recording that has it, with intervals over patients, by
subgroup, and with the bundle's own threshold; labels that only one of the two knows are named, never passed over.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import Model, Place, said, segment_logits
from ecgfm.heads import HeadSpec
from ecgfm.provenance import ModelVersion
from ecgfm_clinical.errors import InputError, LearningError
from ecgfm_clinical.learning.cohort.archive import Archive
from ecgfm_clinical.learning.cohort.building import gather
from ecgfm_clinical.learning.cohort.labelling import Given, Labelling
from ecgfm_clinical.learning.cohort.members import Cohort, Flow, Member
from ecgfm_clinical.learning.cohort.sources import Signals
from ecgfm_clinical.learning.documents import Instant, write_document, write_text
from ecgfm_clinical.learning.folders import Folders
from ecgfm_clinical.learning.judging.attributes import subgroups
from ecgfm_clinical.learning.judging.judgement import LabelJudgement
from ecgfm_clinical.learning.judging.label import TestSet, judge
from ecgfm_clinical.learning.report import page
from ecgfm_clinical.learning.report.document import DEMO_NOTE
from ecgfm_clinical.learning.research import COHORT, RULES, site_of
from ecgfm_clinical.learning.taught import learnt_from
from ecgfm_clinical.learning.training import Progress

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """One head of one bundle on one archive."""

    head: str
    target: str  #: what the archive's labels mean
    archive: str  #: the table's name
    as_of: Instant
    model: ModelVersion
    recordings: str  #: which of the archive's: all, or its official test split
    labels: Mapping[str, LabelJudgement]
    not_judged: Mapping[str, str]  #: label -> why
    notes: tuple[str, ...]
    cohort: Flow
    folder: Path = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is evaluated on what."""

    head: str
    bundle: Bundle
    source: Archive
    labelling: Labelling  #: its labels bear the bundle's names
    test_split_only: bool = False
    out: Path
    device: str = "auto"
    replicates: int = 1000
    seed: int = 0


def named_pairs(columns: Sequence[str]) -> dict[str, str]:
    """`LABEL=COLUMN` or `COLUMN` -> label of the bundle -> column of the table. Raises InputError."""
    pairs: dict[str, str] = {}
    for one in columns:
        label, _, column = one.rpartition("=")
        if (label or column) in pairs:
            raise InputError(f"--label names {label or column} twice")
        pairs[label or column] = column
    return pairs


def evaluate(asked: Asked, *, now: datetime, progress: Progress) -> External:
    """Writes `evaluation.json`, `evaluation.html` and `predictions.csv`. Raises InputError, LearningError, NoHead."""
    model = Model.of(asked.bundle)
    spec = model.spec(asked.head)
    shared = [label for label in spec.labels if label in asked.labelling.labels]
    if not shared:
        raise InputError(
            f"{asked.head} knows {', '.join(spec.labels)}; the archive gives {', '.join(asked.labelling.labels)}: no "
            "label is the same. Say which column is which label with --label 'LABEL=COLUMN'"
        )
    progress("cohort", 0, 1)
    cohort = gather(asked.source, asked.labelling, COHORT, RULES, as_of=now)
    members = _chosen(cohort, asked)
    place = Place(
        cache=Folders(root=asked.out).cache,
        device=asked.device,
        progress=lambda done, total: progress("embedding", done, total),
    )
    examples = [member.example for member in members]
    predicted = said(spec, segment_logits(model, asked.head, examples, Signals(source=asked.source), place))
    progress("judging", 0, 1)
    judged, not_judged = _judged(asked, spec, cohort, members, predicted)
    for label in asked.labelling.labels:
        if label not in spec.labels:
            not_judged[label] = "the head has no such label"
    found = External(
        head=asked.head,
        target=asked.labelling.target,
        archive=asked.source.table.name,
        as_of=now,
        model=asked.bundle.named,
        recordings=_whose(asked),
        labels=judged,
        not_judged=not_judged,
        notes=_notes(asked.bundle, not_judged),
        cohort=cohort.flow,
        folder=asked.out,
    )
    write_text(asked.out / "predictions.csv", _predictions(asked.source, spec, cohort, members, predicted))
    write_document(asked.out / "evaluation.json", found)
    write_text(asked.out / "evaluation.html", page.external_page(found))
    if not judged:
        raise LearningError(
            "no label could be judged: " + "; ".join(f"{one}: {why}" for one, why in not_judged.items())
        )
    return found


def _chosen(cohort: Cohort, asked: Asked) -> Sequence[Member]:
    members = [one for one in cohort.members if not asked.test_split_only or one.row.split == "test"]
    if _learnt_here(asked):
        members = [one for one in members if one.split == "test"]  # the others were trained on
    if not members:
        raise LearningError(
            "no recording is left to be judged"
            + ("; the table's column `split` puts none into test" if asked.test_split_only else "")
            + ("; the model was trained on this archive, and none is of its test patients" * _learnt_here(asked))
        )
    return members


def _learnt_here(asked: Asked) -> bool:
    return learnt_from(asked.bundle, site_of(asked.source))


def _whose(asked: Asked) -> str:
    those = "the official test split" if asked.test_split_only else "all that have a label"
    if not _learnt_here(asked):
        return those
    return f"of {those}, only those of test patients: the model was trained on the other patients of this archive"


def _judged(
    asked: Asked, spec: HeadSpec, cohort: Cohort, members: Sequence[Member], predicted: Floats
) -> tuple[dict[str, LabelJudgement], dict[str, str]]:
    groups = subgroups(members, asked.source)
    judged: dict[str, LabelJudgement] = {}
    not_judged: dict[str, str] = {}
    for column, label in enumerate(spec.labels):
        if label not in cohort.labels:
            not_judged[label] = "the archive has no such label"
            continue
        truth = _truth(cohort, members, label)
        known = np.flatnonzero(np.isfinite(truth))
        positives = int(truth[known].sum())
        if not 0 < positives < len(known):
            not_judged[label] = f"{positives} of {len(known)} recordings are positive; both kinds are needed"
            continue
        test = TestSet(
            labels=truth[known],
            probabilities=predicted[known, column],
            patients=[members[i].example.patient for i in known.tolist()],
            threshold=spec.threshold(label),
            subgroups={name: [values[i] for i in known] for name, values in groups.items()},
        )
        judged[label] = judge(test, replicates=asked.replicates, seed=asked.seed)
    return judged, not_judged


def _truth(cohort: Cohort, members: Sequence[Member], label: str) -> Floats:
    column = cohort.labels.index(label)
    return np.array([member.example.labels[column] for member in members], dtype=np.float64)


def _notes(bundle: Bundle, not_judged: Mapping[str, str]) -> tuple[str, ...]:
    reasons = dict.fromkeys(not_judged.values())
    notes = [
        f"NOT JUDGED: {', '.join(label for label, own in not_judged.items() if own == why)}: {why}." for why in reasons
    ]
    notes.append(
        "Nothing shows here whether the model saw these recordings before: the published ECG-FM weights were "
        "pretrained on PTB-XL, CPSC, Georgia, Chapman, Ningbo and MIMIC-IV-ECG."
    )
    return (*notes, DEMO_NOTE) if bundle.demo else tuple(notes)


def _predictions(source: Archive, spec: HeadSpec, cohort: Cohort, members: Sequence[Member], predicted: Floats) -> str:
    """A line a recording: its name, the patient's opaque key, and per label what is true and what was predicted."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    labels = [(label, column) for column, label in enumerate(spec.labels)]
    lines.writerow(
        ["record", "patient", "split", *(f"{name} {label}" for label, _ in labels for name in ("true", "p"))]
    )
    truths = {label: _truth(cohort, members, label) for label, _ in labels if label in cohort.labels}
    for row, member in enumerate(members):
        values = []
        for label, column in labels:
            truth = truths[label][row] if label in truths else math.nan
            values += ["" if math.isnan(truth) else f"{truth:g}", f"{predicted[row, column]:.6f}"]
        lines.writerow([source.record(member.example.key), member.example.patient, member.row.split, *values])
    return text.getvalue()


def renamed(labelling: Labelling, pairs: Mapping[str, str]) -> Labelling:
    """A table's labelling under the bundle's names of its labels. Raises InputError."""
    if not isinstance(labelling, Given):
        return labelling
    back = {column: label for label, column in pairs.items()}
    return replace(labelling, labels=tuple(back.get(one, one) for one in labelling.labels))
