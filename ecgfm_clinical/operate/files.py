"""New files that may hold patient data."""

import os
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """A file that only this user may read; never one that was there before. Raises OSError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
