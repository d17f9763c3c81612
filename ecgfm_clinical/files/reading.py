"""Reading ECG files named on a command line, outside the store."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.settings import Settings
from ecgfm_connectors.base import Received
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.files import payload
from ecgfm_connectors.reading import read


def gather(paths: Sequence[Path]) -> list[Path]:
    """The ECG files that `paths` name: files as they are, folders searched, a WFDB record once.

    Raises InputError where a path does not exist or nothing is found.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist")
        found += payload.find(path) if path.is_dir() else [path]
    if not found:
        raise InputError(f"no files in {', '.join(map(str, paths))}; name ECG files or a folder that holds some")
    return found


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
