"""Research archives: a folder of recordings (WFDB, .mat, .npz, rows of HDF5 and .npy files) and a CSV or Parquet table
with a row for each, optionally with a table of measured outcomes.

Read in place; PTB-XL's own table is understood as it is, and `ecgfm-clinical dataset table` writes the table of other
public data sets. The same cohort, training and judging code runs on them. Where the table prescribes a split (column
`split`, or PTB-XL's `strat_fold`), that one holds; a patient in two of them is an error.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any  # Any: numpy arrays of any shape and kind

import numpy as np

from ecgfm.datasets.entry import STATEMENTS_PARTED, Split
from ecgfm.errors import DataError
from ecgfm.recording_files import RecordingFolder
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.learning.cohort import cells
from ecgfm_clinical.learning.cohort.measured import measured
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeKind, OutcomeRow
from ecgfm_connectors import ages
from ecgfm_connectors.decision import DEATH
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.leads import from_label
from ecgfm_connectors.outcomes.site import NO_TABLE, SiteTable
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.units import millivolts

_FILES = (".hea", ".mat", ".npz")
_CONTAINERS = (".hdf5", ".h5", ".npy", ".parquet")  #: of which a row is named, as in `exams_part0.hdf5#17`


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A folder of recordings and one CSV or Parquet table with a row for each, read in place.

    The table needs a column for the record's file and one for the patient; all other columns may be labels.
    """

    folder: Path
    table: Path
    lines: tuple[Mapping[str, str], ...] = field(repr=False)
    measured: Path | None = None  #: a table of measured outcomes, as `ingest` takes it
    site: SiteTable = NO_TABLE  #: kinds of results beyond those that every table may hold
    shifted_dates: bool = True  #: as data sets that leave a hospital have them: days to come say nothing

    @classmethod
    def open(cls, folder: Path, table: Path, measured: Path | None = None, site: SiteTable = NO_TABLE) -> "Archive":
        """Raises InputError where the table lacks a column, names recordings that are not there, or puts a patient into
        two splits.
        """
        lines = tuple(cells.lines_of(table))
        for meaning in ("record", "patient"):
            if cells.column(lines[0], meaning) is None:
                raise InputError(
                    f"{table} has no column for the {meaning}; name one of {', '.join(cells.COLUMNS[meaning])}"
                )
        archive = cls(folder=folder, table=table, lines=lines, measured=measured, site=site)
        archive._check_splits()
        if not any(archive._path(line) for line in lines):
            raise InputError(f"none of the recordings named in {table} lies in {folder}")
        return archive

    def rows(self) -> list[EcgRow]:
        """One row for each line whose recording is there."""
        return [self._row(line) for line in self.lines if self._path(line)]

    def outcomes(self, kind: OutcomeKind) -> list[OutcomeRow]:
        """Every measured result of one kind in the table of outcomes, in its newest version; none without one."""
        return [row for row in self._results() if row.kind == kind]

    def contacts(self) -> list[OutcomeRow]:
        """Every measured result of that table, of whatever kind."""
        return [row for row in self._results() if row.kind != DEATH]

    def _results(self) -> list[OutcomeRow]:
        return [] if self.measured is None else measured(self.measured, self._patient, self.site)

    def _check_splits(self) -> None:
        splits: dict[str, str] = {}
        for line in self.lines:
            own = self._split(line)
            if splits.setdefault(cells.value(line, "patient"), own) != own:
                raise InputError(
                    f"{self.table}: column {cells.column(line, 'split')} puts recordings of one patient into two splits"
                )

    def _split(self, line: Mapping[str, str]) -> Split:
        word = cells.value(line, "split").lower().removesuffix(".0")
        if word not in cells.SPLIT_WORDS:
            raise InputError(
                f"{self.table}: column {cells.column(line, 'split')} holds {word[:20]!r}; "
                "train, validation, test or a fold from 1 to 10 is expected"
            )
        return cells.SPLIT_WORDS[word]

    @property
    def missing(self) -> int:
        """Lines of the table whose recording is not in the folder."""
        return sum(self._path(line) is None for line in self.lines)

    def record(self, key: str) -> str:
        """The recording of a key as the table names it."""
        return cells.value(self._by_key()[key], "record")

    def ecg(self, key: str) -> Ecg:
        """Raises InputError where the recording cannot be read, or its amplitudes cannot be said in millivolts."""
        name = key.partition(":")[2]
        path = self.folder / name
        line = self._by_key()[key]
        try:
            found = RecordingFolder(root=self.folder).read(name)
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
            measurements=ages.measurement(cells.value(line, "age"), "a"),
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
            self._key(path, line): tuple(self._label(line, name) for name in columns)
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
        samples, rate = cells.stated_length(line) or _length(path)
        patient = self._patient(cells.value(line, "patient"))
        return EcgRow(
            key=self._key(path, line),
            patient=patient,
            patient_keys=(patient,),
            identified=bool(cells.value(line, "patient")),
            acquired_at=cells.instant(cells.value(line, "acquired_at")),
            sampling_rate=rate,
            samples=samples,
            age=ages.at_acquisition(None, None, ages.measurement(cells.value(line, "age"), "a")).years,
            sex=cells.sex(cells.value(line, "sex")),
            device=cells.value(line, "device").strip(),
            site=cells.value(line, "site"),
            codes=cells.codes(cells.value(line, "codes")),
            statements=tuple(text for text in cells.value(line, "statements").split(STATEMENTS_PARTED) if text.strip()),
            split=self._split(line),
        )

    def _patient(self, number: str) -> str:
        return hashlib.sha256(f"{self.table.name} {number}".encode()).hexdigest()[:32]

    def _key(self, path: Path, line: Mapping[str, str]) -> str:
        """Names the file and its content's age, so that a changed file is another recording to every cache."""
        stat = path.with_suffix(".dat").stat() if path.with_suffix(".dat").exists() else path.stat()
        row = cells.value(line, "record").partition("#")[2]
        return f"{stat.st_size}-{int(stat.st_mtime)}:{path.relative_to(self.folder)}{'#' if row else ''}{row}"

    def _by_key(self) -> Mapping[str, Mapping[str, str]]:
        return _index(self)

    def _path(self, line: Mapping[str, str]) -> Path | None:
        """The header or file of a line; PTB-XL's folders may have been flattened away."""
        name, _, row = cells.value(line, "record").partition("#")
        named = Path(name)
        for candidate in (named, Path(named.name)):
            for suffix in ("", *_FILES):
                path = self.folder / f"{candidate}{suffix}"
                if path.suffix in (_CONTAINERS if row else _FILES) and path.is_file():
                    return path
        return None

    def __hash__(self) -> int:
        return hash((self.folder, self.table))


def _as_the_table_states(signal: np.ndarray[Any, Any], line: Mapping[str, str], path: Path) -> np.ndarray[Any, Any]:
    """The signal of a file that names neither leads nor unit (CODE-15, CPSC 2018), in mV and the order of `LEADS`, as
    the columns `unit` and `leads` of its line say. Raises InputError where one of them is missing or says no such
    thing.
    """
    unit = 1.0 if cells.value(line, "unit") == "arbitrary" else millivolts(cells.value(line, "unit"))
    if unit is None:
        raise InputError(
            f"{path}: the file does not say in which unit of voltage its amplitudes are, and an ECG is judged in "
            "millivolts; hand it over as WFDB with a unit in its header, as .npz in mV, or with columns `unit` and "
            "`leads` in the table (`arbitrary` where only the shape is known: then the rules about amplitudes say "
            "nothing)"
        )
    named = [from_label(word) for word in cells.value(line, "leads").replace(",", " ").split()]
    order = [lead.name for lead in named if lead and lead.sign > 0]
    if sorted(order) != sorted(LEADS) or len(named) != len(LEADS):
        raise InputError(
            f"{path}: the column `leads` must name the file's twelve leads in their order, as `I II III aVR …`"
        )
    return np.stack([np.asarray(signal[order.index(lead)]) for lead in LEADS]) * unit


@lru_cache(maxsize=4)
def _index(archive: Archive) -> Mapping[str, Mapping[str, str]]:
    return {archive._key(path, line): line for line in archive.lines if (path := archive._path(line))}


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


def diagnostic_classes(archive: Archive, statements: Path) -> dict[str, tuple[float, ...]]:
    """EcgRow.key -> one label for each diagnostic class of PTB-XL's `scp_statements.csv`, in `CLASSES` order.

    A class is present where any diagnostic statement of it is, whatever its likelihood, as in the data set's own
    example (Wagner et al. 2020, doi:10.1038/s41597-020-0495-6). Raises InputError.
    """
    table = {
        (line.get("") or next(iter(line.values()))): line.get("diagnostic_class") or ""
        for line in cells.lines_of(statements)
        if cells.number(line.get("diagnostic") or "") == 1
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
