"""A cohort is written for others: whole, or not at all.

Everything goes into a hidden folder beside the one that was named, which gets its name as the last step. Just before,
the store is asked again: where somebody objects meanwhile, was erased, or turned out to be another person, nothing
is handed over.
"""

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ecgfm_clinical.deidentification import files, texts
from ecgfm_clinical.deidentification.remains import Remains, remains
from ecgfm_clinical.deidentification.rows import Released, Row, released
from ecgfm_clinical.deidentification.rules import Rules
from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.files.outputs import put_in_place, sync_tree, written
from ecgfm_clinical.learning.cohort.sources import EcgSource
from ecgfm_clinical.learning.documents import write_document, write_text
from ecgfm_clinical.learning.training import Progress, quiet
from ecgfm_clinical.learning.workshop import Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One cohort, ready to be written."""

    workshop: Workshop
    rules: Rules
    labels: tuple[str, ...]
    target: str
    source: EcgSource = field(repr=False)
    released: Released = field(repr=False)
    remains: Remains
    people: dict[str, str] = field(repr=False)  #: key of each ECG -> whose it was when the cohort was found


def random_key() -> bytes:
    """For pseudonyms that nobody can make again: it is kept nowhere."""
    return secrets.token_bytes(32)


def prepare(workshop: Workshop, head: str, rules: Rules) -> Export:
    """What would be written of a head's cohort as it is now. Raises InputError, also where it holds nobody."""
    experiment = workshop.experiment(head)
    cohort, source = experiment.cohort(workshop.clock())
    if not cohort.members:
        steps = "; ".join(f"{step.text}: {step.excluded}" for step in cohort.steps if step.excluded)
        raise InputError(f"the cohort of {head} holds no ECG ({steps or 'the store holds none'})")
    rows = released(cohort.members, rules)
    return Export(
        workshop=workshop,
        rules=rules,
        labels=cohort.labels,
        target=experiment.plan.labelling.target,
        source=source,
        released=rows,
        remains=remains(head, cohort, rows, rules),
        people={member.row.key: member.row.patient for member in cohort.members},
    )


def check_folder(folder: Path) -> None:
    """Raises InputError where no new folder can be made there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already; name a new folder as --out")
    if not folder.parent.is_dir():
        raise InputError(f"{folder.parent} is not a folder; create it first (mkdir -p {folder.parent})")
    hidden = _hidden(folder)
    with written(folder):
        hidden.mkdir(exist_ok=True)
        hidden.rmdir() if not any(hidden.iterdir()) else None


def write(export: Export, folder: Path, *, note: Callable[[], None], progress: Progress = quiet) -> None:
    """Write everything; `note` puts it into the audit trail before anybody has it. Raises InputError, LearningError."""
    hidden, rows = _hidden(folder), export.released.rows
    with written(folder):
        shutil.rmtree(hidden, ignore_errors=True)  # of an export that was killed
        (hidden / "data").mkdir(parents=True)
        try:
            _write_signals(export, rows, hidden / "data", progress)
            files.write_table(hidden / "data" / "table.csv", rows, export.rules.form, export.labels)
            readme = texts.for_the_recipient(export.remains, export.labels, export.target)
            write_text(hidden / "data" / "README.md", readme)
            write_text(hidden / "remains.md", texts.report(export.remains))
            write_document(hidden / "remains.json", export.remains)
            _still_allowed(export)
            note()
            sync_tree(hidden)  # before the name: what has it is whole, also after a power cut
            put_in_place(hidden, folder)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _write_signals(export: Export, rows: Sequence[Row], folder: Path, progress: Progress) -> None:
    with files.writer(folder, rows, export.rules.form, export.labels) as write_one:
        try:
            for done, (row, ecg) in enumerate(zip(rows, export.source.ecgs([row.key for row in rows]), strict=True)):
                write_one(row, ecg.signal)
                progress("writing signals", done + 1, len(rows))
        except NotFound as error:
            raise InputError(f"an ECG of the cohort was removed meanwhile ({error}); {_REPEAT}") from error


def _still_allowed(export: Export) -> None:
    """Whether each ECG may still be used, and is of whom it was. Raises InputError."""
    now = {
        row.key: row.patient
        for row in export.workshop.store.cohorts.ecgs()
        if row.kept and not (row.objected or row.doubtful or row.test_data)
    }
    changed = sum(now.get(key) != patient for key, patient in export.people.items())
    if changed:
        raise InputError(
            f"of {changed} ECGs the patient objects, was erased or became another one meanwhile; {_REPEAT}"
        )


_REPEAT = "nothing was kept; give the same command again"


def audit(workshop: Workshop, export: Export, *, now: datetime) -> None:
    """That somebody takes a cohort out, and with which choices."""
    rules = export.rules
    detail: dict[str, str | int | bool] = {
        "head": export.remains.head,
        "count": export.remains.ecgs,
        "patients": export.remains.patients,
        "form": rules.form,
        "dates": rules.dates,
        "device": rules.device,
        "site": rules.site,
        "statements": rules.statements,
        "phi": False,
    }
    workshop.store.audit_spool.note("cohort.exported", now=now, actor=workshop.actor, detail=detail)


def _hidden(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.part")
