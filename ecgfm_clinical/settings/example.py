"""A settings file with every key there is, explained by what the settings themselves say of it.

`init` writes one, `check --keys` writes another site's own, and `deploy/settings.example.toml` is what comes of itself.
"""

import dataclasses
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin  # Any: values and annotations as TOML and pydantic hold them

from pydantic import BaseModel

from ecgfm_clinical.settings.installation import Settings
from ecgfm_clinical.settings.part import PROFILE
from ecgfm_clinical.settings.reading import fields_of, part_in

TITLE = """\
# Settings of one ecgfm-clinical installation: every key there is, with what it means. A key behind `#` is not set: it
# shows its default, or an example. Paths are relative to this file.
# Check them with:  ecgfm-clinical check --settings THIS_FILE
# One value can be overridden by the environment: ECGFM_STORE__URL, ECGFM_SCORING__BATCH_SIZE, …
"""
_COLUMN = 32  #: where comments begin


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """One key of a table, as the settings declare it."""

    name: str
    annotation: Any
    about: str
    shown: Any  #: default, or an example where there is no default to show; None for a table


def explained(given: Mapping[str, Any]) -> str:
    """Settings (as TOML holds them) with every other key behind `#`."""
    return TITLE + "\n".join(_table((), Settings, given, on=True, whole=True)) + "\n"


def _table(
    path: tuple[str, ...], part: type, given: Mapping[str, Any], *, on: bool, whole: bool, array: bool = False
) -> Iterator[str]:
    """One table, then those inside it. `on`: it is set; `whole`: keys that are not set are shown as well."""
    keys = [key for key in _keys(part) if whole or key.name in given]
    values = [key for key in keys if part_in(key.annotation) is None]
    if path:
        yield from _header(path, part, on=on, array=array, section=not values and whole and not array)
    for key in values:
        value = given.get(key.name, key.shown)
        if value is None:
            raise ValueError(f"{part.__name__}.{key.name} has neither a default to show nor an example")
        setting = f"{key.name} = {_toml(value)}"
        if not (on and key.name in given):
            setting = f"# {setting}"
        yield f"{setting:<{_COLUMN - 2}}  # {key.about}"
    for key in keys:
        if (inner := part_in(key.annotation)) is not None:
            yield from _inside((*path, key.name), key, inner, given.get(key.name), on=on, whole=whole)


def _header(path: tuple[str, ...], part: type, *, on: bool, array: bool, section: bool) -> Iterator[str]:
    about = " ".join((inspect.getdoc(part) or "").split("\n\n")[0].split())
    yield ""
    if section:
        yield f"# --- {about} ---"
    else:
        head = f"[[{'.'.join(path)}]]" if array else f"[{'.'.join(path)}]"
        yield f"{head if on else f'# {head}':<{_COLUMN - 2}}  # {about}"


def _inside(
    path: tuple[str, ...], key: _Key, part: type, given: Any, *, on: bool, whole: bool
) -> Iterator[str]:  # given: Any, as TOML holds it
    """The tables under one key: one, several in a row, or several by name; the first of several shows every key."""
    if get_origin(key.annotation) is tuple:
        for number, one in enumerate(given or [{}]):
            yield from _table(path, part, one, on=on and bool(given), whole=whole and not number, array=True)
    elif isinstance(key.annotation, type):
        yield from _table(path, part, given or {}, on=on, whole=whole)
    elif get_origin(key.annotation) is Mapping or _is_mapping(key.annotation):
        for number, (name, one) in enumerate((given or key.shown).items()):
            deeper = dataclasses.replace(key, annotation=get_args(key.annotation)[1], shown=one)
            yield from _inside((*path, name), deeper, part, one, on=on and bool(given), whole=whole and not number)
    else:  # `Tls | None`
        yield from _table(path, part, given or {}, on=on and given is not None, whole=whole)


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _keys(part: type) -> Iterator[_Key]:
    annotations = {name: own for name, own in fields_of(part).items() if (part, name) != (Settings, "folder")}
    if issubclass(part, BaseModel):
        for name, field in part.model_fields.items():
            if field.validation_alias == PROFILE and (embedded := part_in(field.annotation)) is not None:
                yield from _keys(embedded)
            elif name in annotations:
                example = next(iter(field.examples or ()), None)
                default = field.get_default(call_default_factory=True, validated_data={})
                shown = example if field.is_required() or default in (None, "", (), {}) else default
                shown = default if shown is None and not field.is_required() else shown
                yield _Key(name=name, annotation=annotations[name], about=field.description or "", shown=shown)
        return
    for one in dataclasses.fields(part):  # type: ignore[arg-type]  # a dataclass, by `part_in`
        if one.name not in annotations:
            continue
        shown = one.metadata.get("example") if one.default in (None, "", dataclasses.MISSING) else one.default
        shown = "" if shown is None and one.default == "" else shown
        yield _Key(name=one.name, annotation=annotations[one.name], about=one.metadata["description"], shown=shown)


def _toml(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
