"""What a shard set says of itself on disk: one JSON file for the set and one for each shard."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Self

from ecgfm.errors import DataError
from ecgfm.signal import PREPROCESSING

FORMAT_VERSION = 1
NAME = "shards.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry:
    """One shard, as its own JSON file beside it says."""

    name: str
    fingerprint: str  #: of the recordings it was made of and of how
    sha256: str  #: of its samples
    recordings: int
    rows: int  #: segments
    derived_limb_leads: int  #: recordings whose III, aVR, aVL and aVF were computed
    excluded: Mapping[str, str]  #: key of a recording -> why its signal cannot be used
    unreadable: Mapping[str, str]  #: key of a recording -> what its file said

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises OSError, ValueError or TypeError where the file is not there or is not one of these."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """In one step."""
        _write(path, asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedShard:
    """One shard, as the set's manifest lists it."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole set: what it holds and what was left out."""

    format_version: int = FORMAT_VERSION
    preprocessing: str = PREPROCESSING
    dtype: Literal["float32", "float16"]
    segment: Sequence[int]  #: leads, samples
    recordings: int
    used: int
    unreadable: int
    excluded: Mapping[str, int]  #: reason -> recordings
    derived_limb_leads: int
    rows: int
    shards: tuple[ListedShard, ...] = field(repr=False)

    @classmethod
    def of(cls, entries: Sequence[ShardEntry], *, dtype: Literal["float32", "float16"], segment: Sequence[int]) -> Self:
        """Raises `DataError` where no recording can be used."""
        excluded = Counter(reason for entry in entries for reason in entry.excluded.values())
        unreadable = sum(len(entry.unreadable) for entry in entries)
        recordings, rows = sum(entry.recordings for entry in entries), sum(entry.rows for entry in entries)
        if rows == 0:
            raise DataError(
                f"none of {recordings} recordings can be used: {unreadable} unreadable, excluded {dict(excluded)}"
            )
        return cls(
            dtype=dtype,
            segment=list(segment),
            recordings=recordings,
            used=recordings - unreadable - excluded.total(),
            unreadable=unreadable,
            excluded=dict(sorted(excluded.items())),
            derived_limb_leads=sum(entry.derived_limb_leads for entry in entries),
            rows=rows,
            shards=tuple(ListedShard(name=entry.name, rows=entry.rows, sha256=entry.sha256) for entry in entries),
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises `DataError`: unfinished, damaged, or made by another preprocessing version."""
        path = folder / NAME
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(
                f"{folder} holds no finished shard set; run the prepare step, it goes on where it stopped"
            ) from error
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if told.get("format_version") != FORMAT_VERSION or told.get("preprocessing") != PREPROCESSING:
            raise DataError(
                f"{folder} was made with preprocessing {told.get('preprocessing')!r} (format "
                f"{told.get('format_version')}), this program trains on {PREPROCESSING!r} (format {FORMAT_VERSION}); "
                "prepare the shards again in another folder"
            )
        try:
            return cls(**{**told, "shards": tuple(ListedShard(**shard) for shard in told["shards"])})
        except (KeyError, TypeError) as error:
            raise DataError(f"{path} lacks or misspells {error}; prepare the shards again in another folder") from error

    def write(self, folder: Path) -> None:
        """In one step."""
        _write(folder / NAME, asdict(self))


def _write(path: Path, content: Mapping[str, object]) -> None:
    scratch = path.with_suffix(".json.part")
    scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    scratch.replace(path)
