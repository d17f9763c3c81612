"""Where a store is moved to."""

from pathlib import Path

from ecgfm_clinical.settings import read_secret
from ecgfm_clinical.staging import engine


def target_url(url: str, password_file: Path | None) -> str:
    """The URL with its password. Raises SettingsError. Never log it."""
    parsed = engine.parse_url(url)
    if password_file is not None:
        parsed = parsed.set(password=read_secret(password_file))
    return parsed.render_as_string(hide_password=False)
