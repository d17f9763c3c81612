"""One part: the answers of so many rows of the manifest, put on the disk whole, and the record that says so."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from ecgfm_clinical.backfill.disk import DataSet, Place, write_whole
from ecgfm_clinical.backfill.plan import Plan, as_json
from ecgfm_clinical.files.answers import (
    EMBEDDED,
    OUTCOMES,
    Answer,
    Kind,
    embedded_row,
    predicted_columns,
    predicted_row,
)
from ecgfm_clinical.files.tables import ROW_GROUP, Row, schema_of, table_of

#: Columns of identifiers; those of a patient, a recording and an accession number are pseudonyms.
IDENTIFIED: tuple[tuple[str, Kind], ...] = (
    *EMBEDDED,
    ("patient", "text"),
    ("patient_also", "text"),  # joined by `;`
    ("recording", "text"),
    ("accession", "text"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One Parquet file of a part."""

    rows: int
    size: int  #: bytes
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A file without an answer."""

    file: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The record of a part."""

    number: int
    rows: int  #: of the manifest
    outcomes: dict[str, int]  #: ECGs, and files that gave none, by what came of them
    files: dict[DataSet, Written]
    unreadable: tuple[Unread, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One data set: its schema, and which answers have a row."""

    schema: object = field(repr=False)
    row: Row
    has: Callable[[Answer], bool]


def tables_of(plan: Plan, labels: Mapping[str, Sequence[str]], width: int) -> dict[DataSet, Table]:
    """The data sets of a run by a model with these labels and embeddings of this width."""
    found: dict[DataSet, Table] = {
        "predictions": Table(
            schema=schema_of(predicted_columns(labels), plan.origin, title="predictions/1"),
            row=predicted_row,
            has=lambda one: not one.found.passed_over,
        )
    }
    if plan.embeddings:
        columns = (*EMBEDDED, ("embedding", "vector"))
        schema = schema_of(columns, plan.origin, title="embeddings/1", width=width)
        found["embeddings"] = Table(schema=schema, row=embedded_row, has=lambda one: one.embedding is not None)
    if plan.identifiers:
        schema = schema_of(IDENTIFIED, plan.origin, title="identifiers/1")
        found["identifiers"] = Table(
            schema=schema, row=identified_row, has=lambda one: one.found.pseudonyms is not None
        )
    return found


def identified_row(answer: Answer) -> Mapping[str, object]:
    """Column -> value."""
    known = answer.found.pseudonyms
    assert known is not None
    return {
        "file": answer.found.file,
        "ecg": answer.found.ecg,
        "input_digest": answer.input_digest,
        "patient": known.patient,
        "patient_also": ";".join(known.also),
        "recording": known.recording,
        "accession": known.accession,
    }


def write_part(place: Place, number: int, files: Sequence[Sequence[Answer]], tables: Mapping[DataSet, Table]) -> Part:
    """Put the answers of a part's files on the disk. Raises InputError where they cannot be written."""
    answers = [one for answers in files for one in answers]
    written: dict[DataSet, Written] = {}
    for name, table in tables.items():
        rows = [table.row(one) for one in answers if table.has(one)]
        content = _parquet(rows, table.schema)
        write_whole(place.part(name, number), content)
        written[name] = Written(rows=len(rows), size=len(content), sha256=hashlib.sha256(content).hexdigest())
    counted = Counter(one.outcome for one in answers)
    part = Part(
        number=number,
        rows=len(files),
        outcomes={outcome: counted[outcome] for outcome in OUTCOMES},
        files=written,
        unreadable=tuple(
            Unread(file=one.found.file, code=one.code, reason=one.error)
            for one in answers
            if one.outcome == "unreadable"
        ),
    )
    write_whole(place.record(number), as_json(part))
    return part


def _parquet(rows: Sequence[Mapping[str, object]], schema: object) -> bytes:
    """The same rows give the same bytes."""
    from pyarrow import parquet

    content = io.BytesIO()
    parquet.write_table(table_of(rows, schema), content, compression="zstd", row_group_size=ROW_GROUP)
    return content.getvalue()


def part_there(place: Place, plan: Plan, number: int) -> Part | None:
    """The record of a part that is on the disk; None where any of it is missing: then it is made anew."""
    try:
        part: Part = TypeAdapter(Part).validate_json(place.record(number).read_bytes())
        whole = all(place.part(name, number).stat().st_size == one.size for name, one in part.files.items())
    except (OSError, ValidationError):
        return None
    return part if whole and part.number == number and part.rows == len(plan.rows_of(number)) else None
