"""Reads and checks one settings file; what is wrong is named by file, key and remedy, never by its value."""

import dataclasses
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args  # Any: TOML

from pydantic import BaseModel, ValidationError

from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.settings.part import PROFILE, keys_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
from ecgfm_clinical.settings.installation import Settings


def read_settings(path: Path) -> Settings:
    """Read and check one settings file.

    Raises SettingsError naming the file, the key and what is expected; never the offending value, which may be a
    secret.
    """
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist; `ecgfm-clinical init DIR` writes a commented one") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error
    try:
        return Settings(**{**data, "folder": path.resolve().parent})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'] if part != PROFILE) or 'settings'}: {_plain(problem)}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"{path}: {problems}") from None


def _plain(problem: "ErrorDetails") -> str:
    if problem["type"] not in (
        "extra_forbidden",
        "unexpected_keyword_argument",
    ):  # of a table, of a rule that one embeds
        return problem["msg"].removeprefix("Value error, ")  # Pydantic's words before those of a rule of ours
    return f"unknown key; the keys there are {', '.join(_keys_at(problem['loc'][:-1]))}"


def _keys_at(loc: Sequence[int | str]) -> list[str]:
    """The keys that the settings know at a place, such as `("listeners", "dicom", 0)`; numbers and names of heads say
    which of several parts, and lead no deeper.
    """
    part: type = Settings
    for name in loc:
        if name in (known := fields_of(part)):
            part = part_in(known[str(name)]) or part
    return sorted(set(fields_of(part)) - ({"folder"} if part is Settings else set()))


def fields_of(part: type) -> dict[str, object]:
    """Key -> its type, of a settings table or of a rule that one embeds."""
    if not issubclass(part, BaseModel):
        return keys_of(part)
    found: dict[str, object] = {}
    for name, field in part.model_fields.items():
        found |= keys_of(field.annotation) if field.validation_alias == PROFILE else {name: field.annotation}
    return found


def part_in(annotation: object) -> type | None:
    """The table or rule inside `tuple[Model, ...]`, `Mapping[str, Model]` or `Model | None`."""
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        return annotation
    return next((found for one in get_args(annotation) if (found := part_in(one)) is not None), None)
