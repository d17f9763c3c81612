"""Files that hold many recordings, a row each: HDF5 and Parquet. One row is read at a time."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar  # Any: h5py, pyarrow, and numpy arrays of any kind

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import DataError

N = TypeVar("N", bound=np.generic)

LEAD_COUNT = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Read:
    """What one reader finds in a file, before it is checked."""

    signal: NDArray[np.floating[Any]] = field(repr=False)
    sampling_rate: float  #: Hz
    in_millivolts: bool
    patient: str | None = field(default=None, repr=False)


def hdf5_rows(path: Path, dataset: str) -> int:
    """Recordings in an HDF5 file. Raises DataError, KeyError where there is no such data set."""
    with hdf5_file(path) as file:
        return int(file[dataset].shape[0])


def read_hdf5(path: Path, row: int, dataset: str, sampling_rate: float) -> Read:
    """One row of a data set (recordings, samples, 12) or (recordings, 12, samples).

    `sampling_rate` counts where the data set states none. One that states its own is taken as it is, in mV where its
    attribute `unit` says so; in others zeros at either end are padding.
    """
    with hdf5_file(path) as file:
        found = file[dataset]
        stated, unit = found.attrs.get("sampling_rate"), found.attrs.get("unit", "")
        signal = np.asarray(found[row])
    rows = signal.T if signal.shape[-1] == LEAD_COUNT else signal
    if stated is None:
        return Read(signal=without_padding(rows), sampling_rate=sampling_rate, in_millivolts=False)
    return Read(signal=rows, sampling_rate=float(stated), in_millivolts=unit == "mV")


def without_padding(signal: NDArray[N]) -> NDArray[N]:
    """(leads, samples) without the samples at either end at which every lead is exactly zero, as CODE-15 pads."""
    inside = np.flatnonzero((signal != 0).any(axis=0))
    return signal[:, inside[0] : inside[-1] + 1] if len(inside) else signal[:, :0]


def hdf5_file(path: Path) -> Any:
    """An open HDF5 file, as a context. Raises DataError where h5py is missing or the file is none."""
    try:
        import h5py
    except ImportError as error:
        raise DataError("HDF5 files need h5py: pip install 'ecgfm-clinical[train]'") from error
    try:
        return h5py.File(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read as HDF5: {error}") from error


def parquet_rows(path: Path) -> int:
    """Recordings in a Parquet file; 0 where it holds something else, such as predictions, or pyarrow is missing."""
    try:
        from pyarrow import parquet
    except ImportError:
        return 0
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError):
        return 0
    with file:
        columns = set(file.schema_arrow.names)
        return int(file.metadata.num_rows) if {"signal", "sampling_rate"} <= columns else 0


def read_parquet(path: Path, row: int) -> Read:
    """One row: `signal`, a list of 12 × samples lead after lead, in mV where the file's metadata `unit` says so;
    `sampling_rate` in Hz. Raises DataError.
    """
    try:
        groups, in_millivolts = _groups(path, path.stat().st_mtime_ns)
        number = next((one for one, (first, count) in enumerate(groups) if first <= row < first + count), None)
        if number is None:
            raise DataError(f"{path} has no row {row}")
        table = _group(path, path.stat().st_mtime_ns, number)
    except ImportError as error:
        raise DataError("Parquet files need pyarrow: pip install 'ecgfm-clinical[parquet]'") from error
    signal = table["signal"][row - groups[number][0]].values.to_numpy(zero_copy_only=False)
    rate = table["sampling_rate"][row - groups[number][0]].as_py()
    return Read(signal=signal.reshape(LEAD_COUNT, -1), sampling_rate=float(rate), in_millivolts=in_millivolts)


@lru_cache(maxsize=4)
def _groups(path: Path, changed: int) -> tuple[tuple[tuple[int, int], ...], bool]:
    """(first row, rows) of each row group, and whether amplitudes are in mV."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        counts = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        unit = (file.schema_arrow.metadata or {}).get(b"unit", b"")
    firsts = np.cumsum([0, *counts])
    return tuple((int(first), count) for first, count in zip(firsts, counts, strict=False)), unit == b"mV"


@lru_cache(maxsize=1)
def _group(path: Path, changed: int, number: int) -> Any:
    """The signals of one row group, kept until the next: its rows are read one after the other."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        return file.read_row_group(number, columns=["signal", "sampling_rate"])
