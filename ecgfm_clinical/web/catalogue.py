"""Reads a catalogue of translations (`.po`, GNU gettext) as it lies in the repository: nothing has to be compiled."""

import ast
import io
import struct
from collections.abc import Iterator, Mapping
from gettext import GNUTranslations
from pathlib import Path

from ecgfm_clinical.errors import SettingsError

#: The magic number of a `.mo` file (GNU gettext manual, 10.3).
_MAGIC = 0x950412DE
_HEADER = 28  # bytes


def read(path: Path) -> GNUTranslations:
    """Raises SettingsError where the file is damaged."""
    try:
        return GNUTranslations(io.BytesIO(_compiled(entries(path.read_text(encoding="utf-8")))))
    except (OSError, ValueError, SyntaxError) as error:
        raise SettingsError(f"the catalogue {path} cannot be read: {error}") from error


def entries(text: str) -> Mapping[str, str]:
    """Text -> its translation; plurals as gettext keeps them, singular and plural (or all forms) with NUL between.

    What is not translated, or fuzzy, is left out. Raises ValueError, SyntaxError.
    """
    return {text: translated for block in text.split("\n\n") for text, translated in _entry(block)}


def _entry(block: str) -> Iterator[tuple[str, str]]:
    lines = block.splitlines()
    if any(line.startswith("#,") and "fuzzy" in line for line in lines):
        return
    parts: dict[str, str] = {}
    keyword = ""
    for line in lines:
        if line.startswith("#") or not line.strip():
            continue
        if not line.startswith('"'):
            keyword, _, line = line.partition(" ")
            parts[keyword] = ""
        parts[keyword] += _literal(line)
    if "msgid" not in parts:
        return
    forms = [value for name, value in parts.items() if name.startswith("msgstr")]
    if all(forms):
        yield "\0".join(parts[name] for name in ("msgid", "msgid_plural") if name in parts), "\0".join(forms)


def _literal(quoted: str) -> str:
    found = ast.literal_eval(quoted)
    if isinstance(found, str):
        return found
    raise ValueError(f"{quoted} is no text in quotes")


def _compiled(texts: Mapping[str, str]) -> bytes:
    """The same as a `.mo` file: two tables of (length, offset), sorted, and the strings behind them."""
    pairs = sorted((text.encode(), translated.encode()) for text, translated in texts.items())
    count = len(pairs)
    first = _HEADER + 16 * count
    tables: list[bytes] = []
    strings = b""
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[column]), first + len(strings)))
            strings += pair[column] + b"\0"
    header = struct.pack("<7I", _MAGIC, 0, count, _HEADER, _HEADER + 8 * count, 0, first)
    return header + b"".join(tables) + strings
