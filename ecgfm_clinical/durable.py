"""What is to outlive a power cut: bytes of a file, and its name in its folder (fsync(2))."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """A file's bytes, or the names in a folder, reach the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_new(path: Path) -> None:
    """The same of a file that was written just now, with its name. Raises OSError."""
    sync(path)
    sync(path.parent)
