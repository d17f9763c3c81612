"""Reading ECG files named on a command line, outside the store."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.settings import Settings
from ecgfm_connectors.base import Received
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.files import payload
from ecgfm_connectors.reading import read, sniff

#: Names under which licences, tables, checksums, pages and annotations lie beside the recordings of research archives.
BESIDE = re.compile(
    r"(LICEN[CS]E|README|RECORDS|ANNOTATORS|CHANGELOG|CITATION|(SHA\d+|MD5)SUMS).*"
    r"|.*\.(txt|csv|tsv|md|html?|json|ya?ml|py|ipynb|pdf|bib|zip|gz|atr|qrs|ann|sha256|md5)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The ECG files that a command line names."""

    files: tuple[Path, ...]
    passed_over: tuple[Path, ...]  #: found in folders, and by name and content no recordings


def gather(paths: Sequence[Path]) -> Gathered:
    """The ECG files that `paths` name: files as they are, folders searched, a WFDB record once.

    What lies in a folder beside its recordings is passed over; a file that is named is always taken. Raises InputError
    where a path does not exist or nothing is found.
    """
    files: list[Path] = []
    passed_over: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist")
        for one in payload.find(path) if path.is_dir() else [path]:
            (passed_over if path.is_dir() and _lies_beside(one) else files).append(one)
    if not files:
        raise InputError(f"no files in {', '.join(map(str, paths))}; name ECG files or a folder that holds some")
    return Gathered(files=tuple(files), passed_over=tuple(passed_over))


def _lies_beside(path: Path) -> bool:
    """Named like what goes with recordings, and beginning like nothing we read."""
    if not BESIDE.fullmatch(path.name):
        return False
    try:
        with path.open("rb") as file:
            sniff(file.read(1 << 16))
    except PayloadError:
        return True
    except OSError:
        return False
    return False


def read_ecgs(path: Path, settings: Settings | None = None) -> tuple[Ecg, ...]:
    """The ECGs in one file, read with the site's settings if given. Raises InputError naming the file and the cause."""
    context = (
        ReadingContext(default_authority=settings.site.authority, zone=settings.site.zone)
        if settings
        else ReadingContext(default_authority="FILE", zone=UTC)
    )
    try:
        contents = read(payload.load(path), context)
    except PayloadError as error:
        raise InputError(f"{path}: {error}") from error
    if not contents.ecgs:
        raise InputError(f"{path}: holds no ECG")
    return contents.ecgs


def receive(path: Path, *, now: datetime) -> Received:
    """One file as a payload for the store. Raises Unreadable or Refused where its bytes cannot be had."""
    return Received(transport="file", source="ingest", content=payload.load(path), received_at=now, location=str(path))
