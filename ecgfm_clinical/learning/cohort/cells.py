"""The table of a research archive: its lines, which of its columns means what, and what stands in a cell."""

import ast
import csv
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ecgfm.datasets.entry import Split
from ecgfm_clinical.errors import InputError
from ecgfm_connectors.patient import Sex

#: Column names understood in the table of an archive, per meaning; the first present is taken. PTB-XL's own come along.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "record": ("record", "recording", "filename_hr", "filename", "file"),
    "patient": ("patient", "patient_id"),
    "age": ("age",),
    "sex": ("sex", "gender"),
    "acquired_at": ("acquired_at", "recording_date", "date"),
    "device": ("device",),
    "site": ("site",),
    "codes": ("codes", "scp_codes"),
    "statements": ("statements",),
    "unit": ("unit",),
    "leads": ("leads",),
    "samples": ("samples",),
    "rate": ("sampling_rate",),
    "split": ("split", "strat_fold"),
}
#: The official split of PTB-XL by its `strat_fold` (Wagner et al. 2020); words of a column `split`.
SPLIT_WORDS: Mapping[str, Split] = {
    **{str(fold): "train" for fold in range(1, 9)},
    "9": "validation",
    "10": "test",
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
    "": "",
}

FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def lines_of(table: Path) -> list[Mapping[str, str]]:
    """The lines of a CSV or Parquet table, by column. Raises InputError."""
    try:
        if table.suffix.lower() == ".parquet":
            lines = _parquet(table)
        else:
            with table.open(newline="", encoding="utf-8-sig") as file:
                lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} cannot be read as a table: {error}") from error
    if not lines:
        raise InputError(f"{table} holds no line")
    return lines


def _parquet(table: Path) -> list[Mapping[str, str]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            f"{table}: reading Parquet needs pyarrow; install ecgfm-clinical[parquet], or write CSV"
        ) from error
    try:
        rows = parquet.read_table(table).to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{table} cannot be read as Parquet") from error
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def column(line: Mapping[str, str], meaning: str) -> str | None:
    """The column that holds what is meant, if the table has one."""
    return next((name for name in COLUMNS[meaning] if name in line), None)


def value(line: Mapping[str, str], meaning: str) -> str:
    """What the line says of it; empty where it says nothing."""
    name = column(line, meaning)
    return (line[name] or "").strip() if name is not None else ""


def stated_length(line: Mapping[str, str]) -> tuple[int, float] | None:
    """(samples, Hz) where the table states both: a container need not be read to know them."""
    samples, rate = number(value(line, "samples")), number(value(line, "rate"))
    return (int(samples), rate) if samples is not None and rate is not None else None


def instant(text: str) -> datetime:
    """Archives are shifted in time and zone anyway; a recording without a date stands on a fixed day."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return FIRST_DAY
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def number(text: str) -> float | None:
    """None where the cell holds no finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def sex(text: str) -> Sex:
    """Letters or words; PTB-XL writes 0 for male and 1 for female."""
    known: dict[str, Sex] = {"m": "M", "male": "M", "0": "M", "f": "F", "female": "F", "1": "F"}
    return known.get(text.lower(), "U")


def codes(text: str) -> tuple[str, ...]:
    """PTB-XL's dictionary of SCP codes, or codes with their system separated by spaces, commas or semicolons."""
    if text.startswith("{"):
        try:
            told: object = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return ()
        return tuple(f"SCP:{code}" for code in told) if isinstance(told, dict) else ()
    return tuple(code for code in text.replace(",", " ").replace(";", " ").split() if ":" in code)
