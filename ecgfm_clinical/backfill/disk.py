"""The folder of a run: where its files lie, how they are written whole, and that one process writes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.outputs import put_in_place, written

#: The data sets of a run; each is a folder of parts.
DataSet = Literal["predictions", "embeddings", "identifiers"]
DATA_SETS: tuple[DataSet, ...] = ("predictions", "embeddings", "identifiers")


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one run."""

    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "run.json"

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.jsonl"

    @property
    def unreadable(self) -> Path:
        return self.folder / "unreadable.csv"

    @property
    def receipt(self) -> Path:
        return self.folder / "receipt.json"

    def record(self, number: int) -> Path:
        return self.folder / "parts" / f"part-{number:06}.json"

    @property
    def retrieved(self) -> Path:
        """Recordings of a PACS, by source and day."""
        return self.folder / "retrieved"

    def in_store(self, number: int) -> Path:
        """Says that a part's recordings are in the staging store."""
        return self.folder / "history" / f"part-{number:06}.json"

    def part(self, data_set: DataSet, number: int) -> Path:
        return self.folder / data_set / f"part-{number:06}.parquet"


def write_whole(path: Path, content: bytes) -> None:
    """The file is there with all of its bytes, or as it was before, also after a power cut.

    Raises InputError where it cannot be written.
    """
    hidden = path.with_name(f".{path.name}.tmp")
    with written(path):
        path.parent.mkdir(exist_ok=True)
        try:
            with hidden.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            put_in_place(hidden, path)
        except OSError:
            with suppress(OSError):
                hidden.unlink()
            raise


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """One process at a time writes into the folder, which is made where it is not there. Raises InputError."""
    _make(place.folder)
    lock = place.folder / ".lock"
    with written(lock):
        file = lock.open("wb")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"another process writes into {place.folder}; wait until it has ended, or name another folder as --out"
            ) from error
        yield


def _make(folder: Path) -> None:
    """A folder that is there must be one of ours, or empty."""
    if not folder.parent.is_dir():
        raise InputError(f"{folder.parent} is not a folder; create it first (mkdir -p {folder.parent})")
    with written(folder):
        if folder.is_file():
            raise InputError(f"{folder} is a file; name a folder as --out")
        folder.mkdir(exist_ok=True)
        names = {one.name for one in folder.iterdir()}
    # What a run that was killed early has left.
    begun = {"manifest.jsonl", "retrieved", *(name for name in names if name.startswith("."))}
    if names - begun and "run.json" not in names:
        raise InputError(f"{folder} holds other files than a backfill's; name a new or empty folder as --out")
