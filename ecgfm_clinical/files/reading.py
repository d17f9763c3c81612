"""Reading ECG files named on a command line, outside the store."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path, PurePath

from ecgfm_clinical.errors import InputError
from ecgfm_clinical.settings import Settings
from ecgfm_connectors.base import Received
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError, Unreachable
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
    named: frozenset[Path] = frozenset()  #: of the files, those that the command line names themselves


def gather(paths: Sequence[Path], pattern: str = "*") -> Gathered:
    """The ECG files that `paths` name: files as they are, folders searched, a WFDB record once.

    In folders only names that fit `pattern` are taken, and what lies there beside the recordings is passed over; a file
    that is named is always taken. Raises InputError where a path does not exist or nothing is found.
    """
    files: list[Path] = []
    passed_over: list[Path] = []
    named: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if not path.is_dir():
            files.append(path)
            named.add(path)
            continue
        for one in payload.find(path):
            if fnmatch(one.name, pattern):
                (passed_over if lies_beside(one) else files).append(one)
    if not files:
        fitting = "" if pattern == "*" else f" that fit {pattern!r}"
        raise InputError(
            f"no files{fitting} in {', '.join(map(str, paths))}; name ECG files or a folder that holds some"
        )
    return Gathered(files=tuple(files), passed_over=tuple(passed_over), named=frozenset(named))


def lies_beside(path: Path) -> bool:
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


def context_of(settings: Settings | None) -> ReadingContext:
    """How files are read: as this site would, or without any site's rules."""
    if settings is None:
        return ReadingContext(default_authority="FILE", zone=UTC)
    return ReadingContext(default_authority=settings.site.authority, zone=settings.site.zone)


def read_ecgs(path: Path, settings: Settings | None = None) -> tuple[Ecg, ...]:
    """The ECGs in one file, read with the site's settings if given. Raises InputError naming the file and the cause."""
    return read_with(path, context_of(settings))


class NotRead(InputError):
    """A file gave no ECG. `code` is the reader's own (`ecgfm_clinical.codes`), or `changed-while-read`, `no-ecg`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NoRecording(NotRead):
    """The file is in no format that holds recordings."""


def read_with(path: Path | str, context: ReadingContext) -> tuple[Ecg, ...]:
    """The ECGs in one file, which a text names by URL. Raises NotRead naming the file and the cause; NoRecording."""
    before, refused, name = _changed(path), None, name_of(path)
    try:
        ecgs = read(content_of(path), context).ecgs
    except Unreachable as error:
        raise NotRead("unreachable", str(error)) from error
    except PayloadError as error:
        ecgs, refused = (), error
    if _changed(path) != before:
        raise NotRead(
            "changed-while-read", f"{name}: changed while it was read; try again once its writer has finished"
        ) from refused
    if refused is not None:
        no_recording = refused.code in NO_RECORDING and PurePath(path).suffix.lower() not in RECORDINGS
        raise (NoRecording if no_recording else NotRead)(refused.code, f"{name}: {refused}") from refused
    if not ecgs:
        raise NotRead("no-ecg", f"{name}: holds no ECG")
    return ecgs


def content_of(path: Path | str) -> bytes:
    """As `payload.load`, also of what a URL names."""
    if isinstance(path, str):
        from ecgfm_clinical.files import remote

        return remote.load(path)
    return payload.load(path)


def name_of(path: Path | str) -> str:
    """The path as a text that every file and screen can hold: bytes of a name that are no UTF-8 stand escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


#: Codes of what is in no format of recordings at all.
NO_RECORDING = frozenset({"empty", "unknown-format", "unknown-xml", "not-a-recording"})
#: Suffixes by which a damaged file still says that it was to be a recording.
RECORDINGS = frozenset({".dcm", ".dicom", ".ecg", ".scp", ".edf", ".bdf", ".hea", ".hl7", ".mwf", ".mfer", ".xml"})


def _changed(path: Path | str) -> tuple[int, int] | None:
    """Size and time of the last change; None where the file is not there, and of what a URL names."""
    if isinstance(path, str):
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def receive(path: Path, *, now: datetime) -> Received:
    """One file as a payload for the store. Raises Unreadable or Refused where its bytes cannot be had."""
    return Received(transport="file", source="ingest", content=payload.load(path), received_at=now, location=str(path))
