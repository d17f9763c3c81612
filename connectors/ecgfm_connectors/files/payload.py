"""A file on disk as one payload, because a payload is stored, hashed and read again as one run of bytes.

Most formats are one file. A WFDB record is a header with its signal files: these become one uncompressed zip that is
the same, byte for byte, whenever it is made from the same files.
"""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

from ecgfm_connectors.context import MAX_PAYLOAD
from ecgfm_connectors.errors import PayloadError, Refused, Unreadable
from ecgfm_connectors.files.makers import edan_holter
from ecgfm_connectors.files.wfdb_header import parse_header

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say; a real time would change the bytes
#: Suffixes of files that their writers have not finished.
IGNORED_SUFFIXES = frozenset({".part", ".tmp", ".filepart", ".crdownload", ".partial"})


def load(path: Path) -> bytes:
    """The payload of one file; for a WFDB header (`.hea`) the packed record.

    Raises Unreadable: `missing-file`, `wfdb-header`; Refused: `too-large`, `maker-format`.
    """
    try:
        if path.suffix.lower() != ".hea":
            return _bytes(path)
        header = _bytes(path)
        if b"\0" in header[:256] and path.with_name("ecgraw.dat").is_file():
            raise edan_holter()
        names = {signal.file_name for signal in parse_header(header).signals}
        return pack_record({path.name: header} | {name: _bytes(path.with_name(name)) for name in sorted(names)})
    except FileNotFoundError as error:
        raise Unreadable("missing-file", "the file, or a signal file that its header names, is not there") from error
    except OSError as error:
        raise Unreadable("missing-file", f"the file cannot be read: {error.strerror}") from error


def load_record(path: Path) -> bytes:
    """As `load`, but a WFDB record may also be named by a signal file or without a suffix (`records100/00001_lr`)."""
    return load(header_of(path))


def header_of(path: Path) -> Path:
    """The WFDB header of the record that `path` names; `path` itself where it is a file of its own.

    A signal file belongs to the header of the same name; a name that is no file is that of a record (`a.1` ->
    `a.1.hea`).
    """
    named = path.with_name(f"{path.name}.hea")
    if not path.is_file() and named.is_file():
        return named
    same = path.with_suffix(".hea")
    return same if path.suffix.lower() in (".dat", ".mat") and same.is_file() else path


def _bytes(path: Path) -> bytes:
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):  # to read a pipe that nobody writes would wait for ever
        raise Unreadable("missing-file", "a signal file that its header names is no plain file")
    size = state.st_size
    if size > MAX_PAYLOAD:
        raise Refused("too-large", f"{size} bytes; the limit is {MAX_PAYLOAD}")
    return path.read_bytes()


def pack_record(members: dict[str, bytes]) -> bytes:
    """The deterministic zip of a WFDB record: header first, then the signal files by name, nothing compressed."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members, key=lambda name: (not name.endswith(".hea"), name)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), members[name])
    return stream.getvalue()


def find(folder: Path, unlisted: Callable[[OSError], None] = lambda _: None) -> Iterator[Path]:
    """Files below `folder` that may be payloads, in order: hidden, half-written and WFDB signal files are left out.

    A folder is listed when its turn comes, so that an archive of any size takes the memory of its largest folder.
    `unlisted` is told of each that cannot be.
    """
    try:
        with os.scandir(folder) as listed:
            entries = sorted((one for one in listed if not one.name.startswith(".")), key=lambda one: one.name)
    except OSError as error:
        unlisted(error)
        return
    files = {one.name: folder / one.name for one in entries if one.is_file(follow_symlinks=False)}
    taken = {one for path in files.values() if path.suffix.lower() == ".hea" for one in _signal_files(path)}
    for entry in entries:
        path = files.get(entry.name)
        if path is None and entry.is_dir(follow_symlinks=False):
            yield from find(folder / entry.name, unlisted)
        elif path is not None and path not in taken and path.suffix.lower() not in IGNORED_SUFFIXES:
            yield path


def companions(path: Path) -> tuple[Path, ...]:
    """`path` and, where it is a WFDB header, the signal files it names, whether they are there or not."""
    return (path, *sorted(_signal_files(path))) if path.suffix.lower() == ".hea" else (path,)


def _signal_files(header: Path) -> set[Path]:
    """Raises nothing: the signal files of a broken header are guessed from its name."""
    try:
        return {header.with_name(signal.file_name) for signal in parse_header(header.read_bytes()).signals}
    except (PayloadError, OSError):
        guesses = (header.with_suffix(".dat"), header.with_suffix(".mat"))
        return {guess for guess in guesses if guess.exists()}  # so that a broken record is reported once
