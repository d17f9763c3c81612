"""Training data prepared once: z-scored 5 s segments in flat files that training maps into memory,
checksummed and resumable.

    SHARDS/shards.json           what the set holds and what was left out; written last: a set without it is unfinished
    SHARDS/shard-00000.bin       (rows, 12, 2500) little-endian float32 or float16, nothing else: it is mapped, not read
    SHARDS/shard-00000.rows.npy  for each row its record, patient and segment number
    SHARDS/shard-00000.json      SHA-256, the fingerprint of its recordings, and each excluded one with its reason

One shard is made of a fixed number of recordings, whole or not at all, so an interrupted run goes on where it stopped.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, Self  # Any: numpy arrays of any kind, a pickled state

import numpy as np
from numpy.typing import NDArray

from ecgfm import signal as ecg_signal
from ecgfm.digest import sha256
from ecgfm.errors import DataError, RecordingError
from ecgfm.pretraining import shard_manifest
from ecgfm.pretraining.shard_manifest import Manifest, ShardEntry
from ecgfm.recording_files import Source
from ecgfm.signal import LEADS, PREPROCESSING, SEGMENT_SAMPLES

ROW = np.dtype([("record", "<i8"), ("patient", "<i8"), ("segment", "<i4")])
UNKNOWN_PATIENT = -1
_SEGMENT = (len(LEADS), SEGMENT_SAMPLES)

Progress = Callable[[int, int], None]  #: recordings done, recordings in all


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareSettings:
    """How a shard set is made.

    `max_unreadable` is the share of recordings that may fail to read before it is given up.
    """

    dtype: Literal["float32", "float16"] = "float32"  #: float16 halves the disk and rounds to 11 bits
    recordings_per_shard: int = 512
    max_unreadable: float = 0.05
    workers: int = 1

    def __post_init__(self) -> None:
        if self.dtype not in ("float32", "float16"):
            raise ValueError(f"shard dtype must be float32 or float16, not {self.dtype!r}")
        if self.recordings_per_shard < 1 or self.workers < 1 or not 0 <= self.max_unreadable <= 1:
            raise ValueError("need recordings_per_shard >= 1, workers >= 1 and 0 <= max_unreadable <= 1")


def prepare_shards(
    source: Source, folder: Path, settings: PrepareSettings, progress: Progress | None = None
) -> "ShardSet":
    """Read every recording of `source` once and write the shard set; shards already there and unchanged are kept.

    Raises:
        DataError: nothing to read, too many unreadable recordings, or none that can be used.
    """
    keys = source.keys()
    chunks = [
        _Chunk(number=number, keys=tuple(keys[start : start + settings.recordings_per_shard]), first=start)
        for number, start in enumerate(range(0, len(keys), settings.recordings_per_shard))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / shard_manifest.NAME).unlink(missing_ok=True)  # the set is unfinished from here on
    done, unreadable = 0, 0
    entries: dict[int, ShardEntry] = {}
    for number, entry in _run(source, folder, settings, chunks):
        entries[number] = entry
        done += entry.recordings
        unreadable += len(entry.unreadable)
        if unreadable > settings.max_unreadable * len(keys):
            raise DataError(_too_many(entries, unreadable, len(keys), settings.max_unreadable))
        if progress is not None:
            progress(done, len(keys))
    _drop_strangers(folder, len(chunks))
    made = [entries[chunk.number] for chunk in chunks]
    Manifest.of(made, dtype=settings.dtype, segment=_SEGMENT).write(folder)
    return ShardSet.open(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    number: int
    keys: tuple[str, ...]
    first: int  #: number of its first recording in the whole source: the record numbers

    @property
    def stem(self) -> str:
        return f"shard-{self.number:05d}"


def _run(
    source: Source, folder: Path, settings: PrepareSettings, chunks: Sequence[_Chunk]
) -> Iterator[tuple[int, ShardEntry]]:
    """(number, entry) of each chunk as it is done; in this process for one worker."""
    if settings.workers == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield chunk.number, _make_shard(source, folder, settings, chunk)
        return
    # Not fork: the parent may hold threads of torch or of a database driver.
    with ProcessPoolExecutor(min(settings.workers, len(chunks)), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_make_shard, source, folder, settings, chunk): chunk.number for chunk in chunks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _make_shard(source: Source, folder: Path, settings: PrepareSettings, chunk: _Chunk) -> ShardEntry:
    identity = [PREPROCESSING, settings.dtype, chunk.first, *chunk.keys, source.fingerprint(chunk.keys)]
    fingerprint = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    kept = _finished(folder, chunk, fingerprint)
    if kept is not None:
        return kept
    rows: list[tuple[int, int, int]] = []
    excluded: dict[str, str] = {}
    unreadable: dict[str, str] = {}
    derived, digest = 0, hashlib.sha256()
    scratch = folder / f"{chunk.stem}.bin.part"
    with scratch.open("wb") as file:
        for offset, key in enumerate(chunk.keys):
            try:
                recording = source.read(key)
            except RecordingError as error:
                unreadable[key] = str(error)
                continue
            reasons = ecg_signal.reasons_not_scored(recording.signal, recording.sampling_rate)
            if reasons:
                excluded[key] = reasons[0]
                continue
            derived += recording.derived
            segments = ecg_signal.prepare(recording.signal, recording.sampling_rate).astype(settings.dtype)
            content = segments.tobytes()
            file.write(content)
            digest.update(content)
            patient = patient_number(recording.patient)
            rows.extend((chunk.first + offset, patient, segment) for segment in range(len(segments)))
    scratch.replace(folder / f"{chunk.stem}.bin")
    np.save(folder / f"{chunk.stem}.rows.npy", np.array(rows, dtype=ROW))
    entry = ShardEntry(
        name=chunk.stem,
        fingerprint=fingerprint,
        sha256=digest.hexdigest(),
        recordings=len(chunk.keys),
        rows=len(rows),
        derived_limb_leads=derived,
        excluded=excluded,
        unreadable=unreadable,
    )
    entry.write(folder / f"{chunk.stem}.json")  # last: a shard without it is made again
    return entry


def _finished(folder: Path, chunk: _Chunk, fingerprint: str) -> ShardEntry | None:
    """The entry of an earlier run where it was made of the same recordings in the same way, and is whole."""
    try:
        entry = ShardEntry.read(folder / f"{chunk.stem}.json")
        if entry.fingerprint == fingerprint and sha256(folder / f"{chunk.stem}.bin") == entry.sha256:
            rows = np.load(folder / f"{chunk.stem}.rows.npy")
            return entry if len(rows) == entry.rows else None
    except (OSError, ValueError, TypeError):
        return None
    return None


def patient_number(patient: str | None) -> int:
    """A stable 63-bit number for an opaque patient key; the key itself is not kept in the shards."""
    if patient is None:
        return UNKNOWN_PATIENT
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") >> 1


def _too_many(entries: Mapping[int, ShardEntry], unreadable: int, recordings: int, limit: float) -> str:
    examples = [text for entry in entries.values() for text in entry.unreadable.values()][:3]
    return (
        f"{unreadable} of {recordings} recordings cannot be read, more than the limit of {limit:.0%}; mend or remove "
        f"them, or raise data.max_unreadable. The first: {'; '.join(examples)}"
    )


def _drop_strangers(folder: Path, shards: int) -> None:
    """Shards left by an earlier run with more or larger chunks."""
    for path in folder.glob("shard-*"):
        number = path.name.removeprefix("shard-").partition(".")[0]
        if path.suffix == ".part" or not number.isdigit() or int(number) >= shards:
            path.unlink()


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardSet:
    """A finished shard set; its samples stay on disk and are mapped where read.

    Picklable: maps are opened per process.
    """

    folder: Path
    manifest: Manifest
    index: NDArray[np.void]  #: (rows,) of `ROW`: record, patient, segment

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises `DataError`: unfinished, damaged, or made by another preprocessing version."""
        manifest = Manifest.read(folder)
        sample = np.dtype(manifest.dtype).itemsize * _SEGMENT[0] * _SEGMENT[1]
        for shard in manifest.shards:
            path = folder / f"{shard.name}.bin"
            if not path.exists() or path.stat().st_size != shard.rows * sample:
                raise DataError(
                    f"{path} is missing or truncated; run the prepare step again, it makes only this shard anew"
                )
        index = np.concatenate([np.load(folder / f"{shard.name}.rows.npy") for shard in manifest.shards])
        return cls(folder=folder, manifest=manifest, index=index)

    def verify(self) -> None:
        """Compare every shard with its SHA-256; raises `DataError` naming the first that differs."""
        for shard in self.manifest.shards:
            if sha256(self.folder / f"{shard.name}.bin") != shard.sha256:
                raise DataError(f"{self.folder / shard.name}.bin is damaged; run the prepare step again")

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of all shards: names the data in a checkpoint."""
        return hashlib.sha256("".join(shard.sha256 for shard in self.manifest.shards).encode()).hexdigest()

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0] + [shard.rows for shard in self.manifest.shards])

    @cached_property
    def _maps(self) -> list[NDArray[Any]]:
        return [
            np.memmap(
                self.folder / f"{shard.name}.bin",
                dtype=np.dtype(self.manifest.dtype).newbyteorder("<"),
                mode="r",
                shape=(shard.rows, *_SEGMENT),
            )
            if shard.rows
            else np.empty((0, *_SEGMENT))  # an empty file cannot be mapped
            for shard in self.manifest.shards
        ]

    def read(self, row: int) -> NDArray[np.float32]:
        """One segment (12, 2500) float32, a copy."""
        shard = int(np.searchsorted(self._starts, row, side="right")) - 1
        return np.array(self._maps[shard][row - self._starts[shard]], dtype=np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "manifest": self.manifest, "index": self.index}
