"""A file of people or programs, a line each: read again when it has changed, written whole, its owner's alone."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from ecgfm_clinical.errors import InputError, SettingsError

Line = TypeVar("Line")


class LinesFile(Generic[Line]):
    """Lines by their names. A file that is missing has none."""

    def __init__(self, path: Path, read: Callable[[str], tuple[str, Line]]) -> None:
        """`read` makes name and line of one text, and raises InputError where it cannot."""
        self.path = path
        self._read = read
        self._stamp: tuple[int, int, int] | None = None
        self._lines: Mapping[str, Line] = {}

    def lines(self) -> Mapping[str, Line]:
        """Raises SettingsError where the file is damaged: then nobody is let in, not only who stands on that line."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be read: {error.strerror}") from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._lines, self._stamp = self._parsed(), stamp
        return self._lines

    def write(self, texts: Iterable[str]) -> None:
        """Whole or not at all, readable by this user only. Raises SettingsError."""
        beside = self.path.with_name(self.path.name + ".new")
        try:
            beside.unlink(missing_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write("".join(f"{text}\n" for text in texts))
            beside.replace(self.path)
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be written: {error.strerror}") from error

    def _parsed(self) -> Mapping[str, Line]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{self.path} cannot be read as text") from error
        found: dict[str, Line] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                name, told = self._read(line)
            except InputError as error:
                raise SettingsError(f"{self.path}, line {number}: {error}") from error
            found[name] = told
        return found
