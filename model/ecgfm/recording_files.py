"""Training recordings from folders of WFDB, MATLAB, NPZ, NPY, HDF5 and Parquet files, one recording at a time.

A folder is searched with all its sub-folders. What each kind of file must hold:

    .hea    WFDB header with its signal files (PTB-XL, Chapman, the .mat signals of the PhysioNet challenges);
            leads by name, amplitudes converted to mV from the unit that the header states
    .mat    without a .hea beside it: `feats` + `curr_sample_rate` (fairseq-signals), or the `ECG` struct of CPSC 2018
            (500 Hz)
    .npz    `signal` (12, samples) or (recordings, 12, samples) in mV and `sampling_rate`; optionally `patient`
    .hdf5   one data set (recordings, samples, 12) or (recordings, 12, samples), as CODE-15's `tracings`; needs h5py;
            zeros in all leads at either end are padding and are left out, unless the data set
            states its `sampling_rate` (an attribute, Hz; `unit` beside it)
    .parquet  `signal` (12 × samples, lead after lead) and `sampling_rate` a row; other tables are passed over
    .npy    an array (recordings, [1,] samples, 12) or (recordings, 12, samples), as EchoNext's waveforms

For training, amplitudes only need to be proportional to mV: every lead is z-scored. Whoever needs millivolts asks the
recording.
"""

import csv
import hashlib
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol  # Any: numpy arrays of any kind

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import DataError, RecordingError
from ecgfm.mat_files import read_mat
from ecgfm.recording_containers import Read, hdf5_rows, parquet_rows, read_hdf5, read_parquet
from ecgfm.signal import LEADS, derive_limb_leads

_LEAD_NUMBERS = {lead.lower(): number for number, lead in enumerate(LEADS)}
_LIMB_LEADS = ("III", "aVR", "aVL", "aVF")
_HDF5 = (".h5", ".hdf5")
_NPY = ".npy"
_PARQUET = ".parquet"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """One recording as read: `signal` (12, samples), rows as in `signal.LEADS`,
    NaN where a lead or sample is missing.
    """

    patient: str | None = field(repr=False)  #: opaque key; equal for recordings of one patient; None where nobody knows
    signal: NDArray[np.floating[Any]] = field(repr=False)
    sampling_rate: float  #: Hz
    in_millivolts: (
        bool  #: False where the file does not state a unit of voltage: then only the shape of the signal is known
    )
    derived: bool = False  #: III, aVR, aVL and aVF were computed from I and II


class Source(Protocol):
    """Where recordings come from. It is handed to worker processes, so it must be picklable."""

    def keys(self) -> Sequence[str]:
        """One stable name for each recording, in a stable order; never a patient's name or number."""

    def fingerprint(self, keys: Sequence[str]) -> str:
        """Digest that changes where any of these recordings may have changed."""

    def read(self, key: str) -> Recording:
        """Raises `RecordingError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFolder:
    """A folder of recordings. Keys are paths relative to it, with `#row` for a file that holds several recordings.

    `patients` says who each recording belongs to: `unknown`; `folder` (the name of the folder that holds the file, as
    in the PTB database); or the path of a CSV file with columns `recording` (key without suffix) and `patient`.
    """

    root: Path
    patients: str = "unknown"
    derive_limb_leads: bool = False  #: compute missing III, aVR, aVL, aVF where I and II are there (8-lead files)
    hdf5_dataset: str = "tracings"
    hdf5_sampling_rate: float = 400.0  #: Hz; HDF5 files of ECGs carry none
    npy_sampling_rate: float = 250.0  #: Hz; nor do arrays

    def keys(self) -> list[str]:
        """Raises `DataError` where the folder is missing or holds no recording."""
        if not self.root.is_dir():
            raise DataError(f"{self.root} is not a folder; name a folder of WFDB, .mat, .npz or .hdf5 recordings")
        found = [key for path in sorted(self.root.rglob("*")) for key in self._keys_of(path)]
        if not found:
            raise DataError(f"{self.root} holds no .hea, .mat, .npz or .hdf5 recording in any of its folders")
        return found

    def _keys_of(self, path: Path) -> list[str]:
        name = path.relative_to(self.root).as_posix()
        suffix = path.suffix.lower()
        if suffix == ".hea" or (suffix == ".mat" and not path.with_suffix(".hea").exists()):
            return [name]
        if suffix in (_NPY, _PARQUET):
            rows = _npy_rows(path) if suffix == _NPY else parquet_rows(path)
            return [f"{name}#{row}" for row in range(rows)]
        if suffix == ".npz" or suffix in _HDF5:
            try:
                held = self._rows(path)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # damaged: reading it as one recording says why
                return [name]
            return [name] if held is None else [f"{name}#{row}" for row in range(held)]
        return []

    def _rows(self, path: Path) -> int | None:
        """Recordings in a container file; None where it is one recording."""
        if path.suffix.lower() in _HDF5:
            return hdf5_rows(path, self.hdf5_dataset)
        shape = _npz_shape(path)
        return shape[0] if len(shape) == 3 else None

    def fingerprint(self, keys: Sequence[str]) -> str:
        """Over the names, sizes and modification times of the files, and the settings of this source."""
        digest = hashlib.sha256(repr((self.patients, self.derive_limb_leads, self.hdf5_dataset)).encode())
        digest.update(repr(self.hdf5_sampling_rate).encode())
        for key in keys:
            path = self.root / key.partition("#")[0]
            for file in (path, path.with_suffix(".mat"), path.with_suffix(".dat")):
                if file.exists():
                    status = file.stat()
                    digest.update(f"{key}|{file.name}|{status.st_size}|{status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def read(self, key: str) -> Recording:
        """The key may lack its suffix, as tables of WFDB archives write it.

        Raises `RecordingError` with file and cause.
        """
        name, _, row = key.partition("#")
        path = self._file(name)
        reader = _READERS[".hdf5" if path.suffix.lower() in _HDF5 else path.suffix.lower()]
        try:
            read = reader(self, path, int(row) if row else None)
        except DataError:
            raise
        except Exception as error:  # wfdb, scipy, numpy and h5py raise whatever a damaged file provokes
            raise RecordingError(f"{key}: cannot be read ({type(error).__name__}: {error})") from error
        rate, signal = read.sampling_rate, np.array(read.signal, dtype=np.float64)
        if signal.ndim != 2 or len(signal) != len(LEADS):
            raise RecordingError(f"{key}: holds an array of shape {signal.shape}, not (12, samples)")
        if not (np.isfinite(rate) and rate > 0):
            raise RecordingError(f"{key}: sampling rate {rate} Hz")
        derived = self.derive_limb_leads and _complete_limb_leads(signal)
        return Recording(
            patient=self._patient(key, read.patient),
            signal=signal,
            sampling_rate=float(rate),
            in_millivolts=read.in_millivolts,
            derived=derived,
        )

    def _file(self, name: str) -> Path:
        """Raises `RecordingError` where there is none of a kind that can be read."""
        path = self.root / name
        if path.suffix.lower() in (*_READERS, *_HDF5):
            return path
        for suffix in (*_READERS, ".h5"):
            if (found := path.with_name(path.name + suffix)).is_file():
                return found
        raise RecordingError(f"{name}: there is no such .hea, .mat, .npz or .hdf5 file in {self.root}")

    def _patient(self, key: str, stored: str | None) -> str | None:
        if self.patients == "unknown":
            return stored
        if self.patients == "folder":
            return (self.root / key).parent.name
        table = _patient_table(Path(self.patients))
        return table.get(key) or table.get(Path(key).with_suffix("").as_posix(), stored)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedSource:
    """Several sources as one; each key begins with the name of its source and a colon."""

    sources: tuple[tuple[str, Source], ...]  #: (name, source); names without a colon, each once

    def keys(self) -> list[str]:
        """Source after source."""
        return [f"{name}:{key}" for name, source in self.sources for key in source.keys()]  # noqa: SIM118  # not a mapping

    def fingerprint(self, keys: Sequence[str]) -> str:
        """Over the fingerprints of the sources that the keys belong to."""
        parts = [
            (name, source, [key.partition(":")[2] for key in keys if key.startswith(f"{name}:")])
            for name, source in self.sources
        ]
        return hashlib.sha256(
            "".join(name + source.fingerprint(own) for name, source, own in parts if own).encode()
        ).hexdigest()

    def read(self, key: str) -> Recording:
        """Raises `RecordingError`."""
        name, _, own = key.partition(":")
        return dict(self.sources)[name].read(own)


#: mV in one unit of a WFDB header (PhysioNet's header(5); mV where none is written, which wfdb fills in), lower-case,
#: mu written u.
_MILLIVOLTS = {"v": 1000.0, "mv": 1.0, "uv": 0.001, "nv": 1e-6}


def _read_wfdb(source: RecordingFolder, path: Path, row: int | None) -> Read:
    import wfdb  # imports pandas: a second that a run without WFDB files need not pay

    record = wfdb.rdrecord(str(path.with_suffix("")))
    signal = np.full((len(LEADS), record.sig_len), np.nan)
    found = {
        place: number
        for number, lead in enumerate(record.sig_name)
        if (place := _LEAD_NUMBERS.get(lead.strip().lower())) is not None
    }
    units = _units(path, record.units)
    factors = {number: _MILLIVOLTS.get(_unit(units[number])) for number in found.values()}
    known = None not in factors.values()
    for place, number in found.items():
        signal[place] = record.p_signal[:, number] * ((factors[number] or 1.0) if known else 1.0)
    return Read(signal=signal, sampling_rate=float(record.fs), in_millivolts=known)


def _units(header: Path, read: Sequence[str]) -> Sequence[str]:
    """The unit of each signal. wfdb `read` them without the letters beyond ASCII: µV as V;
    then the header itself is asked.
    """
    content = header.read_bytes()
    if content.isascii():
        return read
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    gains = [
        fields[2] if len(fields) > 2 else "/" for fields in lines[1 : 1 + len(read)]
    ]  # no third field: no signal line
    return [gain.partition("/")[2] if "/" in gain else "mV" for gain in gains] + ["?"] * (len(read) - len(gains))


def _unit(text: str) -> str:
    """Lower-case, with the micro sign and the Greek letter written u."""
    return unicodedata.normalize("NFKC", text).replace("μ", "u").strip().lower()


def _read_mat(source: RecordingFolder, path: Path, row: int | None) -> Read:
    content = read_mat(path.read_bytes())
    if "feats" in content and "curr_sample_rate" in content:
        patient = content.get("patient_id")
        rate = float(content["curr_sample_rate"].item())
        return Read(signal=content["feats"], sampling_rate=rate, in_millivolts=False, patient=_text(patient))
    if isinstance(content.get("ECG"), dict) and "data" in content["ECG"]:
        return Read(signal=content["ECG"]["data"], sampling_rate=500.0, in_millivolts=False)
    raise RecordingError(
        f"{path.name}: neither `feats` with `curr_sample_rate` nor `ECG`; a bare `val` needs its .hea header beside it"
    )


def _read_npz(source: RecordingFolder, path: Path, row: int | None) -> Read:
    archive = _npz(path, path.stat().st_mtime_ns)
    signal, rate, patient = archive["signal"], archive["sampling_rate"], archive.get("patient")
    if row is None:
        return Read(signal=signal, sampling_rate=float(rate), in_millivolts=True, patient=_text(patient))
    own = float(rate.reshape(-1)[row if rate.size > 1 else 0])
    return Read(signal=signal[row], sampling_rate=own, in_millivolts=True, patient=_text(patient, row))


@lru_cache(maxsize=1)
def _npz(path: Path, changed: int) -> dict[str, NDArray[Any]]:
    """The arrays of one file, kept until the next: its rows are read one after the other."""
    with np.load(path) as archive:
        return dict(archive)


def _npz_shape(path: Path) -> tuple[int, ...]:
    """Shape of `signal` from its header, without reading the samples."""
    with zipfile.ZipFile(path) as archive, archive.open("signal.npy") as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(member)[0]


def _read_hdf5(source: RecordingFolder, path: Path, row: int | None) -> Read:
    return read_hdf5(path, row or 0, source.hdf5_dataset, source.hdf5_sampling_rate)


def _read_parquet(source: RecordingFolder, path: Path, row: int | None) -> Read:
    return read_parquet(path, row or 0)


def _read_npy(source: RecordingFolder, path: Path, row: int | None) -> Read:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    signal = np.asarray(array[row or 0])
    signal = signal[0] if signal.ndim == 3 and len(signal) == 1 else signal
    rows = signal.T if signal.shape[-1] == len(LEADS) else signal
    return Read(signal=rows, sampling_rate=source.npy_sampling_rate, in_millivolts=False)


def _npy_rows(path: Path) -> int:
    """Recordings in an array file; 0 where it holds something else, such as embeddings or labels."""
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError):
        return 0
    inner = shape[2:] if len(shape) == 4 and shape[1] == 1 else shape[1:]
    return int(shape[0]) if len(inner) == 2 and len(LEADS) in inner else 0


_READERS: dict[str, Callable[[RecordingFolder, Path, int | None], Read]] = {
    ".hea": _read_wfdb,
    ".mat": _read_mat,
    ".npz": _read_npz,
    ".hdf5": _read_hdf5,
    _NPY: _read_npy,
    _PARQUET: _read_parquet,
}


def _complete_limb_leads(signal: NDArray[np.floating[Any]]) -> bool:
    """Fill all-NaN III, aVR, aVL, aVF from I and II in place; True where any was filled."""
    absent = [LEADS.index(lead) for lead in _LIMB_LEADS if np.isnan(signal[LEADS.index(lead)]).all()]
    if not absent:
        return False
    derived = signal[:6].copy()
    derive_limb_leads(derived)
    signal[absent] = derived[absent]
    return True


def _text(value: Any, row: int = 0) -> str | None:
    return None if value is None else str(np.asarray(value).reshape(-1)[row])


@lru_cache(maxsize=1)
def _patient_table(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["recording"]: row["patient"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a CSV file with columns recording and patient: {error}") from error
