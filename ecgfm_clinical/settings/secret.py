"""Secrets lie in files of their own that the settings name."""

import re
from pathlib import Path

from ecgfm_clinical.errors import SettingsError


def read_secret(path: Path) -> str:
    """The content of a secret file. Raises SettingsError."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(
            f"secret file {path} cannot be read: {error.strerror}; create it, readable by this user only"
        ) from error


def read_headers(path: Path) -> dict[str, str]:
    """HTTP headers, one `NAME: VALUE` a line, of a secret file. Raises SettingsError, which tells no value."""
    found = {}
    for number, line in enumerate(read_secret(path).splitlines(), start=1):
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9-]+", name) or not value.strip().isprintable():
            raise SettingsError(f"secret file {path}, line {number}: no header; write NAME: VALUE, one a line")
        found[name] = value.strip()
    return found
