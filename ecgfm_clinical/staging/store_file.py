"""Whether the file of an SQLite store is still the one that was opened.

A process whose file was replaced (a restore under a running service) or removed goes on writing to the one that nobody
finds any more: what it acknowledges would be gone with its end.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ecgfm_clinical.errors import StoreUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFile:
    """One file, as its path and what the system knows it by."""

    path: Path
    device: int
    number: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The file that lies there now. Raises OSError."""
        state = path.stat()
        return cls(path=path, device=state.st_dev, number=state.st_ino)

    def require(self) -> None:
        """Raises StoreUnavailable where another file lies there, or none."""
        try:
            same = self == StoreFile.of(self.path)
        except OSError:
            same = False
        if not same:
            raise StoreUnavailable(
                f"{self.path} was replaced or removed while this process had it open; nothing was accepted: restart it"
            )
