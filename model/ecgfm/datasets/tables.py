"""Tables of data sets, a row at a time; what is missing is named by file and column."""

import csv
import gzip
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ecgfm.errors import DataError


def rows(path: Path, required: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """Rows of a CSV file, or of the same with `.gz` behind its name.

    Raises DataError where the file is missing, is no UTF-8 text, or lacks a column.
    """
    found = existing(path)
    try:
        with (
            gzip.open(found, "rt", newline="", encoding="utf-8-sig")
            if found.suffix == ".gz"
            else found.open(newline="", encoding="utf-8-sig")
        ) as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            absent = [name for name in required if name not in names]
            if absent:
                raise DataError(f"{found}: no column {', '.join(absent)}; it has {', '.join(names) or 'none'}")
            for row in reader:
                if None in row.values():
                    raise DataError(f"{found}, line {reader.line_num}: fewer fields than columns")
                yield row
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{found} cannot be read as a table: {error}") from error


def existing(path: Path) -> Path:
    """The file, or the same compressed. Raises DataError where neither is there."""
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise DataError(f"{path} is not there (nor {path.name}.gz); name the folder that holds the data set as published")


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def flag(text: str, path: Path, column: str) -> float | None:
    """0 or 1 as data sets write them; None where the field is empty. Raises DataError for anything else."""
    word = text.strip().lower()
    if word in ("", "nan", "none"):
        return None
    if word in ("1", "1.0", "true"):
        return 1.0
    if word in ("0", "0.0", "false"):
        return 0.0
    raise DataError(f"{path}: column {column} holds {word[:20]!r}; 0, 1, True, False or nothing is expected")


def instant(text: str, path: Path, column: str) -> datetime:
    """An ISO 8601 time without a zone, as PhysioNet's shifted ones are. Raises DataError."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise DataError(f"{path}: column {column} holds no ISO 8601 time") from None


def whole(text: str) -> str:
    """An identifier that some tool has written as a float: `15709.0` is `15709`."""
    return text.strip().removesuffix(".0")
