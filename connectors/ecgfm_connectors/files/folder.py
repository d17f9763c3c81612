"""A folder into which another system drops ECG files (also the landing place of an SFTP server): picked up whole, once.

A file is taken when it has stopped changing; a name that ends in `.part`, `.tmp` and the like, or begins with a dot, is
left alone. It is moved aside, into `.taking/`, before it is read: what its sender puts under the same name meanwhile is
another file, which the next pull reads. A staged file goes to `processed/`, a refused or damaged file to `failed/` with
its reason in a text file beside it. A crash in between does no harm: the next pull begins with what lies in `.taking/`
and hands the same bytes over again, as a duplicate.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Verdict
from ecgfm_connectors.errors import Misconfigured, PayloadError, Unreachable
from ecgfm_connectors.files.payload import companions, find, load

_PROCESSED, _FAILED, _TAKING = "processed", "failed", ".taking"
_OWN_FOLDERS = frozenset({_PROCESSED, _FAILED})
#: How long one half of a WFDB record waits for the other before it is given up.
_COMPANION_PATIENCE = timedelta(minutes=10)


class FolderSource:
    """A Source (base.py) that asks a folder instead of a peer."""

    def __init__(
        self, *, name: str, path: Path, stable_for: timedelta = timedelta(seconds=2), keep: bool = True
    ) -> None:
        """`keep`: whether files stay in `processed/` and `failed/` once the handler has kept their bytes; where not,
        the reason of a refused one stays alone.
        """
        self._name = name
        self._keep = keep
        self._path = path
        self._stable_for = stable_for
        self._seen: dict[Path, tuple[int, int, datetime]] = {}  # size, mtime in ns, first seen so

    @property
    def name(self) -> str:
        return self._name

    def check(self) -> str:
        """Raises Misconfigured where the folder is missing or files in it cannot be moved."""
        if not self._path.is_dir():
            raise Misconfigured(f"folder {self._name}: {self._path} is not a folder; create it or mend the settings")
        if not os.access(self._path, os.R_OK | os.W_OK | os.X_OK):
            raise Misconfigured(f"folder {self._name}: no permission to read and move files in {self._path}")
        return f"folder {self._name}: {self._path} is readable and writable"

    def pull(self, handle: Handler, *, cursor: str | None, now: datetime) -> PullReport:
        """Hand over every finished file. The cursor is not used: a file is done when it has been moved."""
        self.check()
        verdicts: list[Verdict] = []
        problems: list[str] = []
        left = self._left_behind()
        ready = [path for path in self._candidates() if self._finished(path, now) and path not in left]
        for path in (*left, *ready):
            try:
                aside = self._set_aside(path)
                verdicts.append(self._hand_over(path, aside, handle, now))
            except OSError as error:
                problems.append(f"a file in folder {self._name} could not be taken: {error.strerror}")
        ready = [*left, *ready]
        return PullReport(cursor=cursor, offered=len(ready), verdicts=tuple(verdicts), problems=tuple(problems))

    def _candidates(self) -> list[Path]:
        try:
            return [path for path in find(self._path) if path.relative_to(self._path).parts[0] not in _OWN_FOLDERS]
        except OSError as error:
            raise Unreachable(f"folder {self._name} cannot be listed: {error.strerror}") from error

    def _left_behind(self) -> list[Path]:
        """Where the files came from that an earlier pull had set aside when it ended."""
        aside = self._path / _TAKING
        return [self._path / path.relative_to(aside) for path in find(aside)] if aside.is_dir() else []

    def _set_aside(self, path: Path) -> Path:
        """Move the files of one payload out of their sender's reach; where they lie then. Raises OSError."""
        aside = self._path / _TAKING / path.relative_to(self._path)
        if aside.exists():
            return aside
        aside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for member in reversed(companions(path)):  # the file that names the others comes last
            if member.exists():
                member.rename(aside.with_name(member.name))
        return aside

    def _finished(self, path: Path, now: datetime) -> bool:
        """All files of the payload are there and have not changed for `stable_for`."""
        members = companions(path)
        if any(not member.exists() for member in members) or _awaits_header(path):
            return self._older_than(path, _COMPANION_PATIENCE, now)
        return all(self._older_than(member, self._stable_for, now) for member in members if member.exists())

    def _older_than(self, path: Path, age: timedelta, now: datetime) -> bool:
        """By its modification time, or, where the sender's clock is ahead, by how long pulls have found it
        unchanged.
        """
        try:
            state = path.stat()
        except FileNotFoundError:
            return False
        if now - datetime.fromtimestamp(state.st_mtime, UTC) >= age:
            return True
        size, modified, since = self._seen.get(path, (-1, -1, now))
        if (size, modified) != (state.st_size, state.st_mtime_ns):
            since = now
        self._seen[path] = (state.st_size, state.st_mtime_ns, since)
        return now - since >= age

    def _hand_over(self, path: Path, aside: Path, handle: Handler, now: datetime) -> Verdict:
        """Hand the payload that lies `aside` to the handler, then move its files. Raises OSError where they cannot be
        moved.
        """
        before, kept = _states(aside), True
        try:
            content = load(aside)
        except PayloadError as error:
            verdict, kept = Verdict(disposition=Disposition.UNREADABLE, code=error.code, text=error.text), False
        else:
            verdict = handle(
                Received(transport="file", source=self._name, content=content, received_at=now, location=str(path))
            )
        if verdict.disposition is Disposition.TRY_LATER or _states(aside) != before:
            self._put_back(path, aside)  # the store cannot take it now, or its sender has gone on writing
        else:
            self._move(path, aside, verdict, now, keep=self._keep or not kept)
        return verdict

    def _put_back(self, path: Path, aside: Path) -> None:
        """Under their names again, unless the sender has used a name anew: then the next pull begins with them."""
        for member in companions(aside):
            with suppress(OSError):
                os.link(member, path.with_name(member.name))
                member.unlink()

    def _move(self, path: Path, aside: Path, verdict: Verdict, now: datetime, *, keep: bool) -> None:
        taken = verdict.disposition in (Disposition.STAGED, Disposition.DUPLICATE)
        folder = self._path / (_PROCESSED if taken else _FAILED) / now.strftime("%Y-%m-%d")
        folder = folder / path.relative_to(self._path).parent
        if keep or not taken:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for member in companions(aside):
            self._seen.pop(path.with_name(member.name), None)
            if not member.exists():
                continue
            if keep:
                member.rename(_free_name(folder / member.name))
            else:
                member.unlink()
        if not taken:
            _free_name(folder / f"{path.name}.reason.txt").write_text(f"{verdict.code}: {verdict.text}\n", "utf-8")


def _states(path: Path) -> list[tuple[int, int]]:
    """Size and time of change in ns of each file of a payload that is there."""
    there = [member.stat() for member in companions(path) if member.exists()]
    return [(state.st_size, state.st_mtime_ns) for state in there]


def _awaits_header(path: Path) -> bool:
    """A WFDB signal file may land before its header."""
    return path.suffix.lower() in (".dat", ".xyz")


def _free_name(path: Path) -> Path:
    """`path`, or the first of `name-2.ext`, `name-3.ext` … that is not taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
