"""Tables written from public data sets: one row a recording for the learning commands, one a measured outcome."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ecgfm.datasets.entry import STATEMENTS_PARTED, Entry, Measured
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.outputs import written

#: Of a table of recordings, before its labels; `learning.cohort.archive` reads them.
COLUMNS = (
    "record", "patient", "age", "sex", "acquired_at", "device", "site", "codes", "statements", "unit", "leads",
    "samples", "sampling_rate", "split", "fold",
)  # fmt: skip
#: Of a table of outcomes; `ecgfm_connectors.files.outcome_table` reads them.
OUTCOMES = (
    "patient_id", "kind", "value", "comparator", "unit", "observed_at", "code", "assay", "upper_reference_limit",
    "result_id",
)  # fmt: skip


def write_recordings(entries: Iterable[Entry], path: Path) -> int:
    """Rows written, one at a time: nothing is held. Raises InputError, DataError."""
    count = 0
    with _replaced(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        labels: Sequence[str] = ()
        for entry in entries:
            if not count:
                labels = tuple(entry.labels)
                taken = sorted(set(labels) & set(COLUMNS))
                if taken:
                    raise InputError(f"a label is called as a column of the table is: {', '.join(taken)}")
                rows.writerow((*COLUMNS, *labels))
            rows.writerow([*_cells(entry), *(_value(entry.labels.get(label)) for label in labels)])
            count += 1
        if not count:
            raise InputError("the data set holds no recording")
    return count


def _cells(one: Entry) -> Iterator[str]:
    yield one.recording
    yield one.patient
    yield _value(one.age)
    yield one.sex
    yield one.recorded_at
    yield one.device
    yield one.site
    yield " ".join(one.codes)
    yield STATEMENTS_PARTED.join(text.replace("|", "/") for text in one.statements)
    yield one.unit
    yield " ".join(one.leads)
    yield _value(one.samples)
    yield _value(one.sampling_rate)
    yield one.split
    yield one.fold


def write_outcomes(outcomes: Iterable[Measured], path: Path) -> int:
    """Rows written, one at a time. Raises InputError, DataError."""
    count = 0
    with _replaced(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(OUTCOMES)
        for one in outcomes:
            limit = _value(one.upper_reference_limit)
            at = one.observed_at.isoformat()
            told = (one.patient, one.kind, _value(one.value), one.comparator, one.unit, at, one.code, one.assay, limit)
            rows.writerow((*told, one.result_id))
            count += 1
    return count


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


@contextmanager
def _replaced(path: Path) -> Iterator[TextIO]:
    """A file that is whole or not there: what was there before stays until the new one is written."""
    part = path.with_name(f".{path.name}.part")
    with written(path):
        try:
            with part.open("w", newline="", encoding="utf-8") as file:
                yield file
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
