"""Recordings that lie elsewhere, named by a URL (`s3://`, `gs://`, `abfs://`, `https://` …), through fsspec.

Torch brings fsspec; who reads from an object store installs the package that fsspec names for it (s3fs, gcsfs, adlfs).
Credentials are found where that package looks for them, and are no settings of this program.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from ecgfm_clinical.errors import InputError
from ecgfm_connectors.context import MAX_PAYLOAD
from ecgfm_connectors.errors import Refused, Unreachable, Unreadable
from ecgfm_connectors.files import payload
from ecgfm_connectors.files.wfdb_header import parse_header

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

#: Suffixes of WFDB signal files, which go with the header of the same name.
SIGNALS = (".dat", ".mat")


def is_url(text: str) -> bool:
    return "://" in text


def load(url: str) -> bytes:
    """As `payload.load`: a WFDB header brings its signal files. Raises Unreadable and Refused as that does;
    Unreachable where the store gives no answer.
    """
    files, path = _opened(url)
    folder, _, name = path.rpartition("/")
    with _asked(url):
        content = _bytes(files, path)
        if not name.lower().endswith(".hea"):
            return content
        signals = sorted({signal.file_name for signal in parse_header(content).signals})
        return payload.pack_record({name: content} | {one: _bytes(files, f"{folder}/{one}") for one in signals})


def _bytes(files: "AbstractFileSystem", path: str) -> bytes:
    try:
        size = files.size(path)
        if size is not None and size > MAX_PAYLOAD:
            raise Refused("too-large", f"{size} bytes; the limit is {MAX_PAYLOAD}")
        return bytes(files.cat_file(path))
    except FileNotFoundError as error:
        raise Unreadable("missing-file", "the file, or a signal file that its header names, is not there") from error


def find(url: str) -> Iterator[str]:
    """URLs of what may be payloads: of a folder all below it, of a pattern what fits, else the file itself; in order.

    Raises InputError, Unreachable.
    """
    files, path = _opened(url)
    with _asked(url):
        fitting = any(letter in path for letter in "*?[")
        names = sorted(str(one) for one in (files.glob(path) if fitting else files.find(path)))
    stems = {name.removesuffix(".hea") for name in names if name.endswith(".hea")}
    for name in names:
        if not _left_out(name, stems):
            yield str(files.unstrip_protocol(name))


def _left_out(name: str, stems: set[str]) -> bool:
    """Hidden, half-written, or the signal file of a header."""
    stem, dot, suffix = name.rpartition(".")
    signal = f"{dot}{suffix}".lower() in SIGNALS and stem in stems
    hidden = name.rpartition("/")[2].startswith(".")
    return signal or hidden or f"{dot}{suffix}".lower() in payload.IGNORED_SUFFIXES


@cache
def _file_system(protocol: str) -> "AbstractFileSystem":
    import fsspec

    return fsspec.filesystem(protocol)


def _opened(url: str) -> "tuple[AbstractFileSystem, str]":
    protocol = url.partition("://")[0]
    try:
        files = _file_system(protocol)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url}: {error}; install what reads {protocol}:// here, or copy the files") from error
    return files, str(files._strip_protocol(url))


@contextmanager
def _asked(url: str) -> Iterator[None]:
    """What a store's own package raises is no fault of a recording, and its text may hold credentials."""
    try:
        yield
    except (Unreadable, Refused):
        raise
    except Exception as error:
        raise Unreachable(f"{url} cannot be had now ({type(error).__name__})") from error
