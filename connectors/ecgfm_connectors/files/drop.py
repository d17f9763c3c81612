"""Writes results as files into a folder that another system empties (base.Destination).

A file appears under its final name only when it is complete and on the disk: it is written beside it under a hidden
name, synced, renamed, and the folder synced. The name comes from the control id, so a repeat is the same file: where
the folder still holds it with the same bytes nothing is done, and where the other system has removed it the file
appears once more, as a repeated message would over MLLP.
"""

import os
from contextlib import suppress
from pathlib import Path

from ecgfm_connectors.errors import Misconfigured, Unreachable
from ecgfm_connectors.result import Ack


class FileDrop:
    """A folder that takes results, one file each. A file in place counts as CA: the receiver has not read it yet."""

    def __init__(self, *, name: str, folder: Path, suffix: str = ".hl7", mode: int = 0o640) -> None:
        """`mode`: of each file, whatever the umask: results are of patients."""
        self._mode = mode
        self._name = name
        self._folder = folder
        self._suffix = suffix

    @property
    def name(self) -> str:
        return self._name

    def send(self, body: bytes, *, control_id: str) -> Ack:
        """Put one file in place. Raises Misconfigured (no such folder, no right to write, or another file under this
        name) and Unreachable (disk full, network folder away: again later)."""
        target = self._folder / f"{_plain(control_id)}{self._suffix}"
        try:
            if not self._lies_there(target, body):
                self._put(target, body)
        except OSError as error:
            raise self._translated(error) from error
        return Ack(code="CA", control_id=control_id)

    def check(self) -> str:
        """Write and remove a file. Raises Misconfigured, Unreachable."""
        probe = self._folder / ".ecgfm-check"
        try:
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise self._translated(error) from error
        return f"{self._name}: {self._folder} can be written"

    def close(self) -> None:
        """Does nothing: no file or connection stays open between messages."""

    def _lies_there(self, target: Path, body: bytes) -> bool:
        try:
            found = target.read_bytes()
        except FileNotFoundError:
            return False
        if found != body:
            raise Misconfigured(
                f"{self._name}: {target.name} is there already with other content; nothing was overwritten. Move that"
                " file away, and give each installation a folder of its own"
            )
        return True

    def _put(self, target: Path, body: bytes) -> None:
        hidden = target.with_name(f".{target.name}.part")
        try:
            hidden.unlink(missing_ok=True)
            number = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "wb") as file:
                hidden.chmod(self._mode)
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            hidden.replace(target)
        except OSError:
            with suppress(OSError):
                hidden.unlink()
            raise
        _sync(self._folder)

    def _translated(self, error: OSError) -> Misconfigured | Unreachable:
        if isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
            return Misconfigured(
                f"{self._name}: {self._folder} cannot be written: {error.strerror}; create it, writable by this user"
            )
        return Unreachable(f"{self._name}: {self._folder}: {error.strerror}; the file will be written again")


def _plain(control_id: str) -> str:
    """Letters, digits, `-` and `_` only: a control id never leads out of the folder."""
    return "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in control_id
    )


def _sync(folder: Path) -> None:
    """Make the new name durable, where the system can (not on Windows)."""
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
