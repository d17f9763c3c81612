"""What a command line names as an archive: folders, patterns and tables of paths, file after file, in order."""

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch, fnmatchcase
from itertools import takewhile
from pathlib import Path

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.extras import need
from ecgfm_clinical.files.reading import BESIDE, RECORDINGS, lies_beside
from ecgfm_clinical.files.remote import find, is_url
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.files import payload

#: Columns of a table that name a file, the first of them that is there; a table with one column needs none of these.
COLUMNS = ("file", "path", "filename", "file_name")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
WILDCARDS = "*?["


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One file of an archive."""

    path: Path | str  #: absolute; a text is a URL
    named: bool  #: by a table or the user, so that it is an error where it is no recording


@dataclass(slots=True, kw_only=True)
class Listing:
    """One source while it is listed."""

    rows: Iterator[Row]
    root: Path | None  #: below which all of it lies; None for a table, and for what a URL names
    beside: int = 0  #: files that are no recordings by name and content


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How sources are listed."""

    pattern: str = "*"  #: of names in folders
    column: str | None = None  #: of tables
    unlisted: Callable[[OSError], None] = field(default=lambda error: _refuse(error))


def _refuse(error: OSError) -> None:
    raise InputError(
        f"{error.filename} cannot be listed: {error.strerror}; an archive is scored whole or not at all, "
        "so see that this user may read it, or name the folders that are to be scored"
    ) from error


def listing(source: str, asked: Asked) -> Listing:
    """The files of one source. Raises InputError, at once or while it is listed, where it is not all there."""
    if is_url(source):
        return Listing(rows=_of_url(source, asked.pattern), root=None)
    path = absolute(Path(source))
    if path.is_dir():
        return _below(path, asked, lambda found: fnmatch(found.name, asked.pattern))
    if path.is_file():
        if path.suffix.lower() in (*SEPARATORS, ".parquet", ".txt") or path.name == "RECORDS":
            return Listing(rows=_of_table(path, asked.column), root=None)
        return Listing(rows=iter([Row(path=path, named=True)]), root=path.parent)
    if not any(letter in source for letter in WILDCARDS):
        raise InputError(f"{source} does not exist")
    plain = list(takewhile(lambda part: not any(letter in part for letter in WILDCARDS), path.parts))
    base, rest = Path(*plain), path.parts[len(plain) :]
    if not base.is_dir():
        raise InputError(f"{source} fits nothing: {base} is not a folder")
    return _below(base, asked, lambda found: fits(rest, found.relative_to(base).parts))


def absolute(path: Path) -> Path:
    """The same file from whatever folder; links stay as they are named."""
    return Path(os.path.normpath(path.absolute()))


def fits(pattern: tuple[str, ...], names: tuple[str, ...]) -> bool:
    """Whether folders and name fit a pattern, part by part; `**` fits any number of folders."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(fits(pattern[1:], names[start:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and fits(pattern[1:], names[1:])


def _below(folder: Path, asked: Asked, wanted: Callable[[Path], bool]) -> Listing:
    found = Listing(rows=iter(()), root=folder)

    def rows() -> Iterator[Row]:
        for path in filter(wanted, payload.find(folder, asked.unlisted)):
            if lies_beside(path):
                found.beside += 1
            else:
                yield Row(path=path, named=False)

    found.rows = rows()
    return found


def _of_url(url: str, pattern: str) -> Iterator[Row]:
    """A folder, a pattern or a file of a store. Names alone say what lies beside recordings: nothing is opened."""
    try:
        for found in find(url):
            name = found.rpartition("/")[2]
            if fnmatch(name, pattern) and not BESIDE.fullmatch(name):
                yield Row(path=found, named=found == url)
    except Unreachable as error:
        raise InputError(f"{error}; see that its address and this user's credentials are right, and repeat") from error


def _of_table(table: Path, column: str | None) -> Iterator[Row]:
    """Paths are relative to the table's folder; WFDB records may be named without a suffix, as PhysioNet does."""
    for number, text in enumerate(_cells(table, column), 1):
        if not text.strip():
            raise InputError(f"{table}: row {number} names no file; take it out, or give its path")
        if is_url(text):
            yield Row(path=text.strip(), named=True)
            continue
        path = absolute(table.parent / text.strip())
        known = path.suffix.lower() in RECORDINGS
        yield Row(path=path if known else payload.header_of(path), named=True)


def _cells(table: Path, column: str | None) -> Iterator[str]:
    if table.suffix.lower() == ".parquet":
        yield from _of_parquet(table, column)
        return
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            separator = SEPARATORS.get(table.suffix.lower())
            if separator is None:  # a path a line
                yield from (line.rstrip("\r\n") for line in file if line.strip())
                return
            reader = csv.reader(file, delimiter=separator)
            place = _place(table, next(reader, []), column)
            for row in reader:
                if row:
                    yield row[place] if place < len(row) else ""
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} is no table of paths in UTF-8 ({error})") from error
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror}; see that this user may read it") from error


def _of_parquet(table: Path, column: str | None) -> Iterator[str]:
    need("parquet", "reading Parquet")
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(table) as file:
            name = file.schema_arrow.names[_place(table, file.schema_arrow.names, column)]
            for batch in file.iter_batches(columns=[name]):
                yield from (str(value or "") for value in batch.column(0).to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{table} cannot be read as Parquet ({error}); name one with a column of paths") from error


def _place(table: Path, names: list[str], column: str | None) -> int:
    """Of the column that names the files."""
    wanted = [column] if column else [*COLUMNS]
    for name in wanted:
        if name in names:
            return names.index(name)
    if column is None and len(names) == 1:
        return 0
    raise InputError(
        f"{table} has no column {' or '.join(wanted)}; name one of its own with --column: {', '.join(names) or 'none'}"
    )
