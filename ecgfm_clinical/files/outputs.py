"""Where answers go as they come: each file's answers at once, so that what lies there can be read and gone on with.

A run that is stopped leaves a file that a repeat of the command completes: the ECG files that it names already are not
read again. JSON lines, CSV and .npy are written as they come, so that also a run that is killed leaves what it had; of
the last file, which may be there in part, the answers are taken off and given anew. A Parquet file can only be read
once its end is written: it takes its name when the run ends or is stopped.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from ecgfm_clinical.durable import sync
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.answers import Answer, Origin

#: Seconds after which what was written reaches the file.
FLUSH_EVERY = 1.0


class Output(Protocol):
    """Takes answers in order. Raises InputError where they cannot be written."""

    done: frozenset[str]  #: the ECG files of which an earlier run has written all

    def add(self, answers: Sequence[Answer]) -> None:
        """All answers of one file."""

    def close(self) -> None:
        """What was taken can be read."""


def put_in_place(hidden: Path, path: Path) -> None:
    """Give a file or folder, whose bytes have reached the disk, its name."""
    hidden.replace(path)
    sync(path.parent)


def sync_tree(folder: Path) -> None:
    """Every file below reaches the disk, and every folder with the names in it: a power cut takes none back."""
    for one in (*folder.rglob("*"), folder):
        sync(one)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Says what is wrong with `path` where it cannot be written."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}; "
            "what is in it stays, and the same command goes on from there once that is mended"
        ) from error


class Lines:
    """Answers as lines of text in a file that grows: JSON lines and CSV."""

    def __init__(
        self,
        path: Path,
        line: Callable[[Answer], str],
        *,
        head: str,
        earlier: Callable[[str], tuple[str, Mapping[str, str]]],
        origin: Origin,
    ) -> None:
        """`head`: the first line, if there is one; `earlier`: the ECG file and the origin that a line names, ValueError
        where it is no whole line.
        """
        self._path = path
        self._line = line
        with written(path):
            self.done = _go_on(path, head, earlier, origin)
            self._file = path.open("a", encoding="utf-8", newline="")
        self._flushed = time.monotonic()

    def add(self, answers: Sequence[Answer]) -> None:
        with written(self._path):
            self._file.write("".join(self._line(one) for one in answers))
            if time.monotonic() - self._flushed > FLUSH_EVERY:
                self._file.flush()
                self._flushed = time.monotonic()

    def close(self) -> None:
        with written(self._path):
            self._file.close()


def _go_on(
    path: Path, head: str, earlier: Callable[[str], tuple[str, Mapping[str, str]]], origin: Origin
) -> frozenset[str]:
    """Cut the file off after the last ECG file that it certainly holds; the ECG files that are in it."""
    if not path.exists() or not path.stat().st_size:
        path.write_text(head, encoding="utf-8")
        return frozenset()
    done: list[str] = []
    end = last_began = 0  # bytes
    with path.open("rb") as file:
        for number, raw in enumerate(file):
            if number == 0 and head:
                _need(raw.decode("utf-8", "replace") == head, path, "does not begin with the columns of this model")
                end = last_began = len(raw)
                continue
            try:
                name, words = earlier(raw.decode("utf-8"))
            except ValueError:
                _need(bool(done) and not file.read(1), path, "is not what this command writes")
                break  # the last line was being written when the run was killed
            _need(not words or words == origin.words, path, "holds answers of another model, preparation or runtime")
            if not done or done[-1] != name:
                done.append(name)
                last_began = end
            end += len(raw)
    os.truncate(path, last_began)
    return frozenset(done[:-1])


def _need(holds: bool, path: Path, otherwise: str) -> None:
    if not holds:
        raise InputError(f"{path} {otherwise}; name another file")


def json_lines(path: Path, document: Callable[[Answer], dict[str, object]], origin: Origin) -> Lines:
    """One JSON document a line (https://jsonlines.org)."""

    def earlier(line: str) -> tuple[str, Mapping[str, str]]:
        found = json.loads(line)
        if not line.endswith("\n") or not isinstance(found, dict) or "file" not in found:
            raise ValueError("not a whole line")
        words = {name: str(found[name]) for name in origin.words if name in found}
        return str(found["file"]), words

    def line(answer: Answer) -> str:
        return json.dumps(document(answer), ensure_ascii=False) + "\n"

    return Lines(path, line, head="", earlier=earlier, origin=origin)


class Screen:
    """Text for people, as it comes."""

    done: frozenset[str] = frozenset()

    def __init__(self, stream: IO[str], text: Callable[[Answer], str]) -> None:
        self._stream = stream
        self._text = text

    def add(self, answers: Sequence[Answer]) -> None:
        self._stream.write("".join(map(self._text, answers)))

    def close(self) -> None:
        self._stream.flush()


class JsonArray:
    """One JSON array on a stream, an element as it comes; it is whole also where the run is stopped."""

    done: frozenset[str] = frozenset()

    def __init__(self, stream: IO[str], document: Callable[[Answer], dict[str, object]]) -> None:
        self._stream = stream
        self._document = document
        self._before = "["

    def add(self, answers: Sequence[Answer]) -> None:
        for one in answers:
            text = json.dumps(self._document(one), indent=2, ensure_ascii=False).replace("\n", "\n  ")
            self._stream.write(f"{self._before}\n  {text}")
            self._before = ","

    def close(self) -> None:
        self._stream.write("\n]\n" if self._before == "," else "[]\n")
        self._stream.flush()
