"""The files of a run, a JSON object a line, frozen before the first of them is read."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from ecgfm.digest import sha256
from ecgfm_clinical.backfill.disk import Place
from ecgfm_clinical.backfill.sources import Asked, Row, listing
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.outputs import put_in_place, written
from ecgfm_clinical.files.remote import is_url

#: Bytes of the digest by which a path that is named twice is found.
DIGEST = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest holds."""

    sha256: str
    rows: int
    beside: int  #: files beside the recordings, which have no row
    named_twice: int  #: further mentions of a file, which have no row
    roots: tuple[str, ...]  #: folders below which the files lie


def freeze(place: Place, sources: Sequence[str], asked: Asked) -> Manifest:
    """List the sources into the folder's manifest. Where there is one, it must be the same.

    Raises InputError where a source is not all there, nothing is found, or the manifest differs.
    """
    hidden = place.manifest.with_name(f".{place.manifest.name}.tmp")
    try:
        found = _write(hidden, sources, asked)
        if not found.rows:
            raise InputError(f"no ECG files in {', '.join(sources)}; name a folder, a pattern or a table of paths")
        if place.plan.exists():
            _need_same(place, hidden, found)
        else:
            with written(place.manifest):
                put_in_place(hidden, place.manifest)
        return found
    finally:
        hidden.unlink(missing_ok=True)


def _write(path: Path, sources: Sequence[str], asked: Asked) -> Manifest:
    digests, count, beside, roots = bytearray(), 0, 0, []
    with written(path), path.open("w", encoding="utf-8", newline="\n") as file:
        for source in sources:
            listed, root = listing(source, asked), None
            for row in listed.rows:
                count += 1
                if len(sources) > 1 or listed.root is None:  # one folder names no file twice
                    digests += hashlib.blake2b(os.fsencode(row.path), digest_size=DIGEST).digest()
                if isinstance(row.path, Path):
                    root = row.path.parent if root is None else _common(root, row.path)
                file.write(_line(row))
            beside += listed.beside
            roots += [str(listed.root or root)] if root else []
        file.flush()
        os.fsync(file.fileno())
    twice = _drop_repeated(path, digests)
    return Manifest(
        sha256=sha256(path),
        rows=count - twice,
        beside=beside,
        named_twice=twice,
        roots=tuple(dict.fromkeys(roots)),
    )


def _common(root: Path, path: Path) -> Path:
    while not path.is_relative_to(root):
        root = root.parent
    return root


def _line(row: Row) -> str:
    return json.dumps({"file": str(row.path)} | ({"named": True} if row.named else {})) + "\n"


def _drop_repeated(path: Path, digests: bytearray) -> int:
    """Keep the first mention of each file; how many others there were."""
    every = np.frombuffer(digests, f"S{DIGEST}")
    _, first = np.unique(every, return_index=True)
    if len(first) == len(every):
        return 0
    keep = np.zeros(len(every), bool)
    keep[first] = True
    shorter = path.with_name(f"{path.name}.2")
    with written(path), path.open("rb") as old, shorter.open("wb") as new:
        new.writelines(line for line, wanted in zip(old, keep, strict=True) if wanted)
        new.flush()
        os.fsync(new.fileno())
        shorter.replace(path)
    return len(every) - len(first)


def _need_same(place: Place, new: Path, found: Manifest) -> None:
    if sha256(place.manifest) == found.sha256:
        return
    with place.manifest.open("rb") as before, new.open("rb") as now:
        first = next(number for number, (one, other) in enumerate(zip_longest(before, now), 1) if one != other)
    raise InputError(
        f"these are not the files that {place.folder} was begun with: they differ from row {first} of "
        f"{place.manifest} on. To go on with the files of then, name none: `backfill run --out {place.folder}` with "
        "the same options; for what is new or changed, name another folder as --out"
    )


def rows(place: Place) -> Iterator[Row]:
    """The rows of the frozen manifest. Raises InputError where it is damaged."""
    try:
        with place.manifest.open(encoding="utf-8") as file:
            for line in file:
                told = json.loads(line)
                path = told["file"] if is_url(told["file"]) else Path(told["file"])
                yield Row(path=path, named=told.get("named", False))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{place.manifest} cannot be read ({type(error).__name__}): it was changed by hand or the disk is damaged; "
            "put it back, or begin in another folder"
        ) from error
