"""The files that others get: a table with a line a recording, and the signals beside it.

table.csv                 a line a recording; columns as `retrain --archive` and `RecordingDataset.manifest` read them
records/ab/NAME.hea .dat  WFDB: whole microvolts in 16 bits where they are exact, else nanovolts in 32
signals-500hz-5000.hdf5   HDF5: `tracings` (recordings, samples, 12) float32 mV, for one rate and length
signals.parquet           Parquet: the table and `signal`, 12 × samples float32 mV, lead after lead
"""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self  # Any: h5py and pyarrow

import numpy as np
from numpy.typing import NDArray

from ecgfm.datasets.entry import STATEMENTS_PARTED
from ecgfm_clinical.deidentification.rows import Row
from ecgfm_clinical.deidentification.rules import Form
from ecgfm_connectors.ecg import LEADS

Signal = NDArray[np.float32]
COLUMNS = (
    "recording", "patient", "age", "sex", "acquired_at", "device", "site", "codes", "statements", "unit", "leads",
    "samples", "sampling_rate", "split",
)  # fmt: skip
GROUP = 32  #: recordings held until they are written together: some 8 MB
MICROVOLTS, NANOVOLTS = 1e3, 1e6  #: in a millivolt


class Writer(Protocol):
    """Takes the signals, in the order of the rows."""

    def __call__(self, row: Row, signal: Signal) -> None: ...


def places(rows: Sequence[Row], form: Form) -> tuple[str, ...]:
    """Where each row's signal lies, as the table names it."""
    if form == "wfdb":
        return tuple(f"records/{row.name[:2]}/{row.name}.hea" for row in rows)
    if form == "parquet":
        return tuple(f"signals.parquet#{number}" for number in range(len(rows)))
    counts: Counter[str] = Counter()
    found = []
    for row in rows:
        name = _hdf5_name(row)
        found.append(f"{name}#{counts[name]}")
        counts[name] += 1
    return tuple(found)


def cells(row: Row, place: str) -> tuple[str, ...]:
    """One line of the table, before its labels."""
    return (
        place,
        row.patient,
        "" if row.age is None else str(row.age),
        row.sex,
        "" if row.acquired_at is None else f"{row.acquired_at:%Y-%m-%dT%H:%M}",
        row.device,
        row.site,
        " ".join(row.codes),
        STATEMENTS_PARTED.join(text.replace("|", "/") for text in row.statements),
        "mV",
        " ".join(LEADS),
        str(row.samples),
        f"{row.sampling_rate:.10g}",
        row.split,
    )


def write_table(path: Path, rows: Sequence[Row], form: Form, labels: Sequence[str]) -> None:
    """A line a recording."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow((*COLUMNS, *labels))
        for row, place in zip(rows, places(rows, form), strict=True):
            lines.writerow((*cells(row, place), *("" if math.isnan(one) else f"{one:g}" for one in row.labels)))


@contextmanager
def writer(folder: Path, rows: Sequence[Row], form: Form, labels: Sequence[str]) -> Iterator[Writer]:
    """What writes the signals of these rows into a folder."""
    if form == "wfdb":
        yield _Wfdb(folder)
    elif form == "hdf5":
        with _Hdf5(folder, rows, labels) as hdf5:
            yield hdf5
    else:
        with _Parquet(folder, rows, labels) as parquet:
            yield parquet


class _Wfdb:
    def __init__(self, folder: Path) -> None:
        self._folder = folder / "records"

    def __call__(self, row: Row, signal: Signal) -> None:
        import wfdb

        folder = self._folder / row.name[:2]
        folder.mkdir(parents=True, exist_ok=True)
        counts, bits, gain = _counts(signal)
        wfdb.wrsamp(
            row.name,
            fs=row.sampling_rate,
            units=["mV"] * len(LEADS),
            sig_name=list(LEADS),
            d_signal=counts.T,
            fmt=[str(bits)] * len(LEADS),
            adc_gain=[gain] * len(LEADS),
            baseline=[0] * len(LEADS),
            write_dir=str(folder),
        )


def _counts(signal: Signal) -> tuple[NDArray[np.int64], int, float]:
    """(12, samples) of whole steps, their bits and steps a millivolt; the lowest number stands for no sample."""
    volts = signal.astype(np.float64)
    micro = np.rint(volts * MICROVOLTS)
    exact = np.nanmax(np.abs(volts * MICROVOLTS - micro), initial=0.0) < 1e-3
    bits, gain = (16, MICROVOLTS) if exact and np.nanmax(np.abs(micro), initial=0.0) < 2**15 else (32, NANOVOLTS)
    steps = np.rint(volts * gain)
    least = -(2 ** (bits - 1))
    return np.where(np.isnan(steps), least, np.clip(steps, least + 1, -least - 1)).astype(np.int64), bits, gain


def _hdf5_name(row: Row) -> str:
    return f"signals-{row.sampling_rate:.10g}hz-{row.samples}.hdf5"


class _Hdf5:
    """One file for each rate and length, so that nothing is padded."""

    def __init__(self, folder: Path, rows: Sequence[Row], labels: Sequence[str]) -> None:
        self._folder, self._labels = folder, labels
        self._rows: dict[str, list[Row]] = {}
        for row in rows:
            self._rows.setdefault(_hdf5_name(row), []).append(row)
        self._files: dict[str, Any] = {}
        self._next: Counter[str] = Counter()

    def __enter__(self) -> Self:
        import h5py

        text = h5py.string_dtype()
        for name, own in self._rows.items():
            file = self._files[name] = h5py.File(self._folder / name, "w")
            shape = (len(own), own[0].samples, len(LEADS))
            tracings = file.create_dataset(
                "tracings", shape, "f4", chunks=(1, *shape[1:]), compression="gzip", compression_opts=1, shuffle=True
            )
            tracings.attrs.update({"sampling_rate": own[0].sampling_rate, "unit": "mV", "leads": list(LEADS)})
            for field in ("name", "patient", "split"):
                file.create_dataset(field, data=[getattr(row, field) for row in own], dtype=text)
            told = file.create_dataset("labels", data=np.array([row.labels for row in own], np.float32))
            told.attrs["names"] = list(self._labels)
        return self

    def __call__(self, row: Row, signal: Signal) -> None:
        name = _hdf5_name(row)
        self._files[name]["tracings"][self._next[name]] = signal.T
        self._next[name] += 1

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()


class _Parquet:
    """The whole table with its signals; as many rows a group as are held at once."""

    def __init__(self, folder: Path, rows: Sequence[Row], labels: Sequence[str]) -> None:
        self._path, self._labels = folder / "signals.parquet", labels
        self._places = {row.name: place for row, place in zip(rows, places(rows, "parquet"), strict=True)}
        self._held: list[tuple[Row, Signal]] = []
        self._writer: Any = None

    def __enter__(self) -> Self:
        import pyarrow
        from pyarrow import parquet

        whole, real = {"samples": pyarrow.int32(), "age": pyarrow.int16()}, {"sampling_rate": pyarrow.float64()}
        types = {name: pyarrow.string() for name in COLUMNS} | whole | real
        types |= {name: pyarrow.float32() for name in self._labels} | {"signal": pyarrow.list_(pyarrow.float32())}
        self._schema = pyarrow.schema(types).with_metadata({"unit": "mV", "leads": " ".join(LEADS)})
        self._writer = parquet.ParquetWriter(self._path, self._schema, compression="zstd")
        return self

    def __call__(self, row: Row, signal: Signal) -> None:
        self._held.append((row, signal))
        if len(self._held) == GROUP:
            self._write()

    def _write(self) -> None:
        import pyarrow

        lines = []
        for row, signal in self._held:
            line: dict[str, object] = dict(zip(COLUMNS, cells(row, self._places[row.name]), strict=True))
            line |= {"age": row.age, "samples": row.samples, "sampling_rate": row.sampling_rate}
            line |= {name: None if math.isnan(one) else one for name, one in zip(self._labels, row.labels, strict=True)}
            lines.append(line | {"signal": signal.reshape(-1)})
        self._writer.write_table(pyarrow.Table.from_pylist(lines, schema=self._schema), row_group_size=GROUP)
        self._held.clear()

    def __exit__(self, failed: object, *_: object) -> None:
        if self._held and failed is None:
            self._write()
        self._writer.close()
