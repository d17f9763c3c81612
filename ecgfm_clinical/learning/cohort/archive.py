"""Research archives: a folder of WFDB (or .mat, .npz) recordings and a CSV or Parquet table with a row for each.

Read in place; PTB-XL's own table is understood as it is. The same cohort, training and judging code runs on them.
"""

import ast
import csv
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ecgfm.errors import DataError
from ecgfm.recording_files import RecordingFolder
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeKind, OutcomeRow
from ecgfm_connectors import ages
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.leads import from_label
from ecgfm_connectors.patient import Patient, Sex
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.units import millivolts

#: Column names understood in the table of an archive, per meaning; the first present is taken. PTB-XL's own come along.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "record": ("record", "filename_hr", "filename", "file"),
    "patient": ("patient", "patient_id"),
    "age": ("age",),
    "sex": ("sex", "gender"),
    "acquired_at": ("acquired_at", "recording_date", "date"),
    "device": ("device",),
    "site": ("site",),
    "codes": ("codes", "scp_codes"),
    "unit": ("unit",),
    "leads": ("leads",),
}
FIRST_DAY = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A folder of recordings and one CSV or Parquet table with a row for each, read in place.

    The table needs a column for the record's file and one for the patient; all other columns may be labels.
    """

    folder: Path
    table: Path
    lines: tuple[Mapping[str, str], ...] = field(repr=False)

    @classmethod
    def open(cls, folder: Path, table: Path) -> "Archive":
        """Raises InputError where the table lacks a column, or names recordings that are not there."""
        lines = tuple(_lines(table))
        for meaning in ("record", "patient"):
            if _column(lines[0], meaning) is None:
                raise InputError(f"{table} has no column for the {meaning}; name one of {', '.join(COLUMNS[meaning])}")
        archive = cls(folder=folder, table=table, lines=lines)
        if not any(archive._path(line) for line in lines):
            raise InputError(f"none of the recordings named in {table} lies in {folder}")
        return archive

    def rows(self) -> list[EcgRow]:
        """One row for each line whose recording is there."""
        return [self._row(line) for line in self.lines if self._path(line)]

    def outcomes(self, kind: OutcomeKind) -> list[OutcomeRow]:
        """None: an archive's labels stand in its table."""
        return []

    @property
    def missing(self) -> int:
        """Lines of the table whose recording is not in the folder."""
        return sum(self._path(line) is None for line in self.lines)

    def ecg(self, key: str) -> Ecg:
        """Raises InputError where the recording cannot be read, or its amplitudes cannot be said in millivolts."""
        path = self.folder / key.partition(":")[2]
        line = self._by_key()[key]
        try:
            found = RecordingFolder(root=self.folder).read(str(path.relative_to(self.folder)))
        except DataError as error:
            raise InputError(f"{path}: {error}") from error
        signal = np.asarray(found.signal) if found.in_millivolts else _as_the_table_states(found.signal, line, path)
        row = self._row(line)
        return Ecg(
            source_id=key,
            format="archive",
            patient=Patient(sex=row.sex),
            acquired=None,
            sampling_rate=found.sampling_rate,
            signal=np.ascontiguousarray(signal, dtype=np.float32),
            stored_leads=LEADS,
            coded=tuple(from_code(system, code) for system, _, code in (one.partition(":") for one in row.codes)),
            measurements=ages.measurement(_value(line, "age"), "a"),
        )

    def ecgs(self, keys: Sequence[str]) -> Iterator[Ecg]:
        """Many of them, in order, one in memory at a time."""
        return map(self.ecg, keys)

    def labels(self, columns: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """EcgRow.key -> the values of these columns: 0, 1, or NaN where the field is empty. Raises InputError."""
        absent = [name for name in columns if name not in self.lines[0]]
        if absent:
            raise InputError(f"{self.table} has no column {', '.join(absent)}; it has {', '.join(self.lines[0])}")
        return {
            self._key(path): tuple(self._label(line, name) for name in columns)
            for line in self.lines
            if (path := self._path(line))
        }

    def _label(self, line: Mapping[str, str], name: str) -> float:
        text = line[name].strip().lower()
        if text in ("", "nan", "none"):
            return float("nan")
        if text in ("1", "1.0", "true", "yes"):
            return 1.0
        if text in ("0", "0.0", "false", "no"):
            return 0.0
        raise InputError(f"{self.table}: column {name} holds {text[:20]!r}; labels are 1, 0 or empty")

    def _row(self, line: Mapping[str, str]) -> EcgRow:
        path = self._path(line)
        assert path is not None
        samples, rate = _length(path)
        patient = hashlib.sha256(f"{self.table.name} {_value(line, 'patient')}".encode()).hexdigest()[:32]
        return EcgRow(
            key=self._key(path),
            patient=patient,
            patient_keys=(patient,),
            identified=bool(_value(line, "patient")),
            acquired_at=_instant(_value(line, "acquired_at")),
            sampling_rate=rate,
            samples=samples,
            age=ages.at_acquisition(None, None, ages.measurement(_value(line, "age"), "a")).years,
            sex=_sex(_value(line, "sex")),
            device=_value(line, "device").strip(),
            site=_value(line, "site"),
            codes=_codes(_value(line, "codes")),
        )

    def _key(self, path: Path) -> str:
        """Names the file and its content's age, so that a changed file is another recording to every cache."""
        stat = path.with_suffix(".dat").stat() if path.with_suffix(".dat").exists() else path.stat()
        return f"{stat.st_size}-{int(stat.st_mtime)}:{path.relative_to(self.folder)}"

    def _by_key(self) -> Mapping[str, Mapping[str, str]]:
        return _index(self)

    def _path(self, line: Mapping[str, str]) -> Path | None:
        """The header or file of a line; PTB-XL's folders may have been flattened away."""
        named = Path(_value(line, "record"))
        for candidate in (named, Path(named.name)):
            for suffix in ("", ".hea", ".mat", ".npz"):
                path = self.folder / f"{candidate}{suffix}"
                if path.suffix in (".hea", ".mat", ".npz") and path.is_file():
                    return path
        return None

    def __hash__(self) -> int:
        return hash((self.folder, self.table))


def _as_the_table_states(signal: np.ndarray[Any, Any], line: Mapping[str, str], path: Path) -> np.ndarray[Any, Any]:
    """The signal of a file that names neither leads nor unit (CODE-15, CPSC 2018), in mV and the order of `LEADS`, as
    the columns `unit` and `leads` of its line say. Raises InputError where one of them is missing or says no such
    thing.
    """
    unit = millivolts(_value(line, "unit"))
    if unit is None:
        raise InputError(
            f"{path}: the file does not say in which unit of voltage its amplitudes are, and an ECG is judged in "
            "millivolts; hand it over as WFDB with a unit in its header, as .npz in mV, or with columns `unit` and "
            "`leads` in the table"
        )
    named = [from_label(word) for word in _value(line, "leads").replace(",", " ").split()]
    order = [lead.name for lead in named if lead and lead.sign > 0]
    if sorted(order) != sorted(LEADS) or len(named) != len(LEADS):
        raise InputError(
            f"{path}: the column `leads` must name the file's twelve leads in their order, as `I II III aVR …`"
        )
    return np.stack([np.asarray(signal[order.index(lead)]) for lead in LEADS]) * unit


@lru_cache(maxsize=4)
def _index(archive: Archive) -> Mapping[str, Mapping[str, str]]:
    return {archive._key(path): line for line in archive.lines if (path := archive._path(line))}


def _lines(table: Path) -> list[Mapping[str, str]]:
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


def _column(line: Mapping[str, str], meaning: str) -> str | None:
    return next((name for name in COLUMNS[meaning] if name in line), None)


def _value(line: Mapping[str, str], meaning: str) -> str:
    name = _column(line, meaning)
    return (line[name] or "").strip() if name is not None else ""


def _length(path: Path) -> tuple[int, float]:
    """(samples, Hz) from a WFDB header's first line; other files are read."""
    if path.suffix == ".hea":
        with path.open(encoding="utf-8", errors="replace") as file:
            fields = next((line for line in file if line.strip() and not line.startswith("#")), "").split()
        try:
            return int(fields[3]), float(fields[2].partition("/")[0])
        except (IndexError, ValueError) as error:
            raise InputError(f"{path} is no WFDB header with a sampling rate and a length") from error
    try:
        found = RecordingFolder(root=path.parent).read(path.name)
    except DataError as error:
        raise InputError(f"{path}: {error}") from error
    return found.signal.shape[1], found.sampling_rate


def _instant(text: str) -> datetime:
    """Archives are shifted in time and zone anyway; a recording without a date stands on a fixed day."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return FIRST_DAY
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _sex(text: str) -> Sex:
    """Letters or words; PTB-XL writes 0 for male and 1 for female."""
    known: dict[str, Sex] = {"m": "M", "male": "M", "0": "M", "f": "F", "female": "F", "1": "F"}
    return known.get(text.lower(), "U")


def _codes(text: str) -> tuple[str, ...]:
    """PTB-XL's dictionary of SCP codes, or codes with their system separated by spaces, commas or semicolons."""
    if text.startswith("{"):
        try:
            told: Any = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return ()
        return tuple(f"SCP:{code}" for code in told) if isinstance(told, dict) else ()
    return tuple(code for code in text.replace(",", " ").replace(";", " ").split() if ":" in code)


def diagnostic_classes(archive: Archive, statements: Path) -> dict[str, tuple[float, ...]]:
    """EcgRow.key -> one label for each diagnostic class of PTB-XL's `scp_statements.csv`, in `CLASSES` order.

    A class is present where any diagnostic statement of it is, whatever its likelihood, as in the data set's own
    example (Wagner et al. 2020, doi:10.1038/s41597-020-0495-6). Raises InputError.
    """
    table = {
        (line.get("") or next(iter(line.values()))): line.get("diagnostic_class") or ""
        for line in _lines(statements)
        if _number(line.get("diagnostic") or "") == 1
    }
    if not set(CLASSES) <= set(table.values()):
        raise InputError(f"{statements} does not assign statements to {', '.join(CLASSES)}")
    found = {}
    for row in archive.rows():
        present = {table.get(code.partition(":")[2]) for code in row.codes}
        found[row.key] = tuple(float(name in present) for name in CLASSES)
    return found


#: PTB-XL's diagnostic superclasses.
CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
