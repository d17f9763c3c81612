"""Measured outcomes of an archive: a CSV or Parquet table with a row for each ejection fraction or troponin.

Columns that must be there: `patient_id`, `kind` (lvef, troponin, a kind or finding that the site declares, or death
where the site keeps these), `value`, `unit`, `observed_at` (ISO 8601). A finding has no unit; its value is 1, 0 or an
answer that the site lists; a death is 1 at its date, and 0 says that the patient was alive then. Columns that may be
there: `authority`, `identifier_type`, `upper_value`, `comparator`, `code`, `assay`, `upper_reference_limit` (in the
same unit), `status` (final, corrected, withdrawn) and `result_id`. A `result_id` that comes again corrects or withdraws
what came before it.

What is in another unit is brought into percent or ng/L as results by HL7 are. A row without a unit, in one that is not
known, or with a value that cannot be, is left out and counted like every row that cannot be read; the others are taken.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any  # Any: pyarrow, which has no types

from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.decision import Kind
from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.outcomes import conversion, findings, units
from ecgfm_connectors.outcomes.conversion import Unfit
from ecgfm_connectors.outcomes.quantity import NoQuantity, Quantity
from ecgfm_connectors.outcomes.site import SiteFinding, SiteKind
from ecgfm_connectors.patient import Identifier, Patient

REQUIRED = ("patient_id", "kind", "value", "unit", "observed_at")
PARQUET = b"PAR1"
_SMALLEST_PARQUET = 12  # its mark at both ends, and the length of what describes it
MAX_ROWS = 1_000_000
#: Rows of a real table take five to ten times their place in the file.
MAX_INFLATION = 64
_MOST_ZEROS = 30  #: of a number written with an exponent; no measurement has so many
_DAY = 10  #: characters of `2026-03-01`, or of a shorter way to write a day
_BATCH = 256  #: rows at a time
_KINDS: Mapping[str, Kind] = {"lvef": "lvef", "troponin": "troponin"}
_COMPARATORS = ("", "<", "<=", ">", ">=")
_STATUSES = ("final", "corrected", "withdrawn")


def is_table(head: bytes) -> bool:
    """Whether a payload that begins so is an outcome table: Parquet, or CSV whose first line names the required
    columns.
    """
    if head.startswith(PARQUET):
        return True
    first = head.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace").lower()
    return all(name in first for name in REQUIRED)


def read(content: bytes, context: ReadingContext) -> Contents:
    """Every outcome of the table.

    Raises Unreadable (damaged, a column is missing) and Refused (no row can be read, pyarrow is not installed).
    """
    rows = list(_parquet(content) if content.startswith(PARQUET) else _csv(content))
    missing = [name for name in REQUIRED if rows and name not in rows[0]]
    if missing:
        raise Unreadable("missing-column", f"the table has no column {', '.join(missing)}")
    outcomes, problems = [], Counter[str]()
    for row in rows:
        try:
            outcomes.append(_outcome(row, context))
        except _BadRow as error:
            problems[str(error)] += 1
    findings = tuple(
        Finding(code="outcome-row", text=f"{count} rows left out: {problem}")
        for problem, count in sorted(problems.items())
    )
    if not outcomes:
        raise Refused("no-outcome", "; ".join(finding.text for finding in findings) or "the table has no row")
    return Contents(outcomes=tuple(outcomes), findings=findings)


class _BadRow(ValueError):
    """Why a row is left out; never quotes the row."""


def _csv(content: bytes) -> Iterator[Mapping[str, str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("charset", "the table is not UTF-8") from error
    for row in csv.DictReader(io.StringIO(text)):
        yield {
            (name or "").strip().lower(): (value or "").strip() for name, value in row.items() if isinstance(name, str)
        }


def _parquet(content: bytes) -> Iterator[Mapping[str, str]]:
    if len(content) < _SMALLEST_PARQUET or not content.endswith(PARQUET):
        raise Unreadable("damaged", "the Parquet file is cut off")
    try:
        from pyarrow import BufferReader, lib, parquet
    except ImportError as error:
        raise Refused(
            "no-parquet", "reading Parquet needs pyarrow: install ecgfm-clinical[parquet], or write CSV"
        ) from error
    try:
        rows = list(_bounded_rows(parquet.ParquetFile(BufferReader(content)), len(content)))
    except (lib.ArrowException, OSError) as error:
        raise Unreadable("damaged", "the Parquet file cannot be read") from error
    for row in rows:
        yield {name.strip().lower(): _text(value) for name, value in row.items()}


def _bounded_rows(file: Any, size: int) -> Iterator[dict[str, Any]]:
    """The rows, as long as they do not grow out of proportion: a column of equal values takes a few bytes, however
    long.
    """
    if file.metadata.num_rows > MAX_ROWS:
        raise Refused("too-large", f"{file.metadata.num_rows} rows; hand over at most {MAX_ROWS} at a time")
    held = 0
    for batch in file.iter_batches(batch_size=_BATCH):
        held += batch.nbytes
        if held > MAX_INFLATION * size + 2**20:
            raise Refused("too-large", f"the Parquet file grows more than {MAX_INFLATION}-fold")
        yield from batch.to_pylist()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _outcome(row: Mapping[str, str], context: ReadingContext) -> Outcome:
    table, authority, zone = context.outcome_table, context.default_authority, context.zone
    named, comparator = row["kind"].lower(), row.get("comparator", "")
    own, finding = table.kind(named), table.finding(named)
    kind = named if own or finding else _KINDS.get(named)
    status = row.get("status", "").lower() or "final"
    if kind is None:
        raise _BadRow("kind is neither lvef nor troponin, nor one that the settings declare")
    if comparator not in _COMPARATORS:
        raise _BadRow("the comparator is none of <, <=, >, >=")
    if status not in _STATUSES:
        raise _BadRow("the status is none of final, corrected, withdrawn")
    if not row["patient_id"]:
        raise _BadRow("no patient_id")
    identifier = Identifier(
        authority=row.get("authority") or authority, type=row.get("identifier_type") or "MR", value=row["patient_id"]
    )
    measured = _found(row, status, finding) if finding else _measured(row, kind, status, own)
    return Outcome(
        source_id=_source_id(row, identifier),
        patient=Patient(identifiers=(identifier,)),
        kind=kind,
        value=measured.low,
        upper_value=measured.high,
        comparator=comparator,  # type: ignore[arg-type]  # checked above
        unit="" if finding else own.unit if own else conversion.OUR_UNIT[kind],
        code=row.get("code", ""),
        assay=row.get("assay", ""),
        upper_reference_limit=measured.limit,
        observed_at=_instant(row["observed_at"], zone),
        precision="day" if len(row["observed_at"].strip()) <= _DAY else "second",
        status=status,  # type: ignore[arg-type]  # checked above
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What a row says, in the kind's own unit."""

    low: float
    high: float | None = None
    limit: float | None = None


def _found(row: Mapping[str, str], status: str, finding: SiteFinding) -> _Measured:
    """1 or 0, as it stands or by an answer of the site's vocabulary."""
    if status == "withdrawn" and not row["value"]:
        return _Measured(low=0.0)
    if row["value"] in ("0", "1", "0.0", "1.0"):
        return _Measured(low=float(row["value"]))
    told = findings.read(finding, [(row["value"],)])
    if isinstance(told, NoQuantity):
        raise _BadRow(told.text)
    return _Measured(low=float(told.low))


def _measured(row: Mapping[str, str], kind: Kind, status: str, own: SiteKind | None) -> _Measured:
    """The value, its upper end and the 99th percentile. A result may be taken back without its value."""
    if status == "withdrawn" and not row["value"]:
        return _Measured(low=0.0)
    if own is not None:
        quantity = Quantity(low=_number(row["value"], "value"), high=_optional(row, "upper_value"))
        told = conversion.declared(own, quantity, row["unit"])
        if isinstance(told, Unfit):
            raise _BadRow(told.text)
        return _Measured(low=told.low, high=told.high)
    unit = units.read(row["unit"])
    if unit is None:
        raise _BadRow("the unit is none that we know" if row["unit"] else "there is no unit")
    low, high = _number(row["value"], "value"), _optional(row, "upper_value")
    found = conversion.convert(kind, Quantity(low=low, high=high), unit)
    if isinstance(found, Unfit):
        raise _BadRow(found.text)
    limit = _optional(row, "upper_reference_limit")
    return _Measured(low=found.low, high=found.high, limit=None if limit is None else float(limit * unit.factor))


def _source_id(row: Mapping[str, str], identifier: Identifier) -> str:
    """The table's own id of the result; else who, what and when, hashed, so that handing it over twice adds nothing."""
    if row.get("result_id"):
        return f"table:{identifier.authority}|{row['kind'].lower()}|{row['result_id']}"
    told = "|".join((identifier.authority, identifier.type, identifier.value, row["kind"].lower(), row["observed_at"]))
    return "table:" + hashlib.sha256(f"{told}|{row.get('code', '')}|{row.get('assay', '')}".encode()).hexdigest()


def _number(text: str, name: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise _BadRow(f"{name} is not a number") from None
    if not value.is_finite() or abs(value.adjusted()) > _MOST_ZEROS:
        raise _BadRow(f"{name} is not a number")
    return value


def _optional(row: Mapping[str, str], name: str) -> Decimal | None:
    text = row.get(name, "")
    return _number(text, name) if text and text.lower() != "nan" else None


def _instant(text: str, zone: tzinfo) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _BadRow("observed_at is not an ISO 8601 time") from None
    return found if found.tzinfo else found.replace(tzinfo=zone)
