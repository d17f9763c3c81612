"""Answers as tables: CSV and Parquet, a row an ECG (columns: see `answers`), and embeddings as one .npy array."""

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: pyarrow, which has no types

import numpy as np

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.answers import Answer, Kind, Origin
from ecgfm_clinical.files.outputs import Lines, written

if TYPE_CHECKING:
    import pyarrow

Columns = Sequence[tuple[str, Kind]]
Row = Callable[[Answer], Mapping[str, object]]

#: Rows of one row group: some MB, and what a reader takes at a time.
ROW_GROUP = 4096


def csv_table(path: Path, columns: Columns, row: Row, origin: Origin, *, width: int = 0) -> Lines:
    """A CSV file with a header (RFC 4180, lines ended by LF). `width`: of the vector, whose numbers are columns."""
    names = [*_flat(columns, width), *origin.words]
    words = list(origin.words.values())

    def line(answer: Answer) -> str:
        values = row(answer)
        flat: list[object] = []
        for name, kind in columns:
            value = values.get(name)
            flat += [value] if kind != "vector" else [None] * width if value is None else list(np.asarray(value))
        return _as_line([*(_spelt(value) for value in flat), *words])

    def earlier(text: str) -> tuple[str, Mapping[str, str]]:
        found = _cells(text, len(names))
        return found[0], dict(zip(origin.words, found[-len(words) :], strict=True))

    return Lines(path, line, head=_as_line(names), earlier=earlier, origin=origin)


def _flat(columns: Columns, width: int) -> list[str]:
    return [
        own
        for name, kind in columns
        for own in ([f"{name}.{number}" for number in range(width)] if kind == "vector" else [name])
    ]


def _spelt(value: object) -> str:
    """Numbers so that they come back to the last bit; no line breaks, so that a row is a line."""
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return repr(float(value)) if isinstance(value, float) else str(value)
    return str(value).replace("\r", " ").replace("\n", " ")


def _cells(line: str, count: int) -> list[str]:
    """Of a line of ours. Raises ValueError where it is not a whole one."""
    (found,) = csv.reader([line])
    if not line.endswith("\n") or len(found) != count:
        raise ValueError("not a whole line")
    return found


def _as_line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def schema_of(columns: Columns, origin: Origin, *, title: str, width: int = 0) -> "pyarrow.Schema":
    """The schema of a Parquet file; `title` names it in the metadata, beside the ids of model and preparation.

    `width`: of the vector.
    """
    import pyarrow

    return pyarrow.schema(
        [pyarrow.field(name, _type(pyarrow, kind, width)) for name, kind in columns],
        metadata={"schema": title, **origin.words},
    )


def table_of(rows: Sequence[Mapping[str, object]], schema: "pyarrow.Schema") -> "pyarrow.Table":
    """Rows, column -> value, as a table of pyarrow."""
    import pyarrow

    columns = [[row.get(name) for row in rows] for name in schema.names]
    arrays = [pyarrow.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pyarrow.table(arrays, schema=schema)


class ParquetTable:
    """A Parquet file, written beside its place and put there at the end."""

    def __init__(self, path: Path, columns: Columns, row: Row, origin: Origin, *, title: str, width: int = 0) -> None:
        """`title` names the schema in the metadata, beside the ids of model and preparation."""
        import pyarrow
        from pyarrow import parquet

        self._path, self._row = path, row
        self._part = path.with_name(f".{path.name}.part")
        self._pyarrow = pyarrow
        self._schema = schema_of(columns, origin, title=title, width=width)
        self._rows: list[Mapping[str, object]] = []
        self._broken = False
        with written(path):
            self._writer = parquet.ParquetWriter(self._part, self._schema, compression="zstd")
            self.done = self._earlier(parquet) if path.exists() and path.stat().st_size else frozenset()

    def _earlier(self, parquet: Any) -> frozenset[str]:
        """Take over what an earlier run wrote; the ECG files that are in it."""
        try:
            with parquet.ParquetFile(self._path) as before:
                if not before.schema_arrow.equals(self._schema, check_metadata=True):
                    raise InputError(
                        f"{self._path} holds answers of another model, preparation or runtime; name another file"
                    )
                done: set[str] = set()
                for number in range(before.num_row_groups):
                    group = before.read_row_group(number)
                    done.update(group.column("file").to_pylist())
                    self._writer.write_table(group)
        except (self._pyarrow.ArrowException, ValueError) as error:
            raise InputError(f"{self._path} is no Parquet file of ours ({error}); name another file") from error
        return frozenset(done)

    def add(self, answers: Sequence[Answer]) -> None:
        self._rows += [self._row(one) for one in answers]
        if len(self._rows) >= ROW_GROUP:
            self._write()

    def _write(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        table = table_of(rows, self._schema)
        with self._or_as_it_was():
            self._writer.write_table(table, row_group_size=ROW_GROUP)

    def close(self) -> None:
        if self._broken:
            return
        self._write()
        with self._or_as_it_was():
            self._writer.close()
            self._part.replace(self._path)

    @contextmanager
    def _or_as_it_was(self) -> Iterator[None]:
        """What cannot be written leaves the file of the earlier run alone."""
        with written(self._path):
            try:
                yield
            except OSError:
                self._broken = True
                with suppress(OSError):
                    self._writer.close()
                self._part.unlink(missing_ok=True)
                raise


def _type(pyarrow: Any, kind: Kind, width: int) -> Any:
    if kind == "vector":
        return pyarrow.list_(pyarrow.field("element", pyarrow.float32()), width)  # the name that Parquet gives it
    return {"text": pyarrow.string(), "integer": pyarrow.int32(), "real": pyarrow.float64()}[kind]


class NpyArray:
    """Embeddings (rows, width) float32 in one .npy file, and what each row is in a .csv of the same name.

    The table says how many rows count; the array's own header is brought up to date when the run ends or is stopped.
    """

    def __init__(self, path: Path, row: Row, origin: Origin, *, width: int) -> None:
        self._path, self._row, self._width = path, row, width
        self._index = path.with_suffix(".csv")
        words = list(origin.words.values())
        self._number = 0

        def line(answer: Answer) -> str:
            values = row(answer)
            own = [str(self._number), *(str(values[name]) for name in ("file", "ecg", "input_digest")), *words]
            self._number += 1
            return _as_line(own)

        def earlier(text: str) -> tuple[str, Mapping[str, str]]:
            found = _cells(text, 4 + len(words))
            return found[1], dict(zip(origin.words, found[4:], strict=True))

        head = _as_line(["row", "file", "ecg", "input_digest", *origin.words])
        with written(path):
            self._table = Lines(self._index, line, head=head, earlier=earlier, origin=origin)
            self.done = self._table.done
            with self._index.open(encoding="utf-8") as kept:
                self._number = sum(1 for _ in kept) - 1
            held = path.stat().st_size if path.exists() else 0
            self._file = path.open("r+b" if held else "w+b")
            self._start = self._head()
            end = self._start + 4 * width * self._number
            if self._number and held < end:
                raise InputError(f"{path} has fewer rows than {self._index} says; remove both and start again")
            self._file.truncate(end)
            self._file.seek(0, os.SEEK_END)

    def _head(self) -> int:
        """Write the array's header; its length does not change with the number of rows."""
        self._file.seek(0)
        about = {"descr": "<f4", "fortran_order": False, "shape": (self._number, self._width)}
        np.lib.format.write_array_header_1_0(self._file, about)
        return self._file.tell()

    def add(self, answers: Sequence[Answer]) -> None:
        with written(self._path):
            for one in answers:
                self._file.write(np.ascontiguousarray(self._row(one)["embedding"], "<f4").tobytes())
            self._file.flush()  # before the table says that they are there
        self._table.add(answers)

    def close(self) -> None:
        self._table.close()
        with written(self._path):
            self._head()
            self._file.close()
