"""Secrets lie in files of their own that the settings name."""

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
