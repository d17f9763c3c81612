"""What learning keeps as JSON: frozen types to plain values and back, each file whole or not at all."""

import errno
import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar  # Any: JSON, for the disk

from pydantic import BeforeValidator, PlainSerializer, TypeAdapter, ValidationError

from ecgfm.metrics import Interval
from ecgfm_clinical.errors import LearningError

if TYPE_CHECKING:  # the checker takes a tuple for JSON as well, as `json` does
    from ecgfm.provenance import Json as JsonValue
else:
    from pydantic import JsonValue

#: Of the documents that `write_document` writes. Those of the version before carry no number and read alike.
FORMAT_VERSION = 1

T = TypeVar("T")


def _interval(told: object) -> object:
    """JSON knows no NaN: what the data do not define is null there."""
    if not isinstance(told, Mapping):
        return told
    return {one.name: float("nan") if told.get(one.name) is None else told[one.name] for one in fields(Interval)}


#: An `ecgfm.metrics.Interval` as documents hold it.
Measured = Annotated[Interval, BeforeValidator(_interval), PlainSerializer(Interval.to_json)]
#: A moment as documents hold it: ISO 8601 with its offset.
Instant = Annotated[datetime, PlainSerializer(datetime.isoformat)]
#: What is only kept and shown, and decides nothing: settings of a training, rules of a labelling.
Notes = Annotated[Mapping[str, JsonValue], PlainSerializer(lambda told: json.loads(json.dumps(told)))]


def plain(value: object) -> dict[str, Any]:  # Any: JSON, for the disk
    """A frozen value as JSON holds it."""
    told: dict[str, Any] = TypeAdapter(type(value)).dump_python(value, mode="json")  # Any: JSON, for the disk
    return told


def parse(of: type[T], told: object, *, what: str) -> T:
    """The frozen value that JSON holds; keys of other versions are passed over. Raises LearningError naming `what`."""
    try:
        return TypeAdapter(of).validate_python(told)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LearningError(
            f"{what} cannot be read: {place}: {first['msg']}; it was changed by hand, or written by another version"
        ) from None


def write_document(path: Path, value: object) -> None:
    """One frozen value as a file that names its format. Raises LearningError where the disk refuses."""
    write_json(path, {"format_version": FORMAT_VERSION, **plain(value)})


def read_document(of: type[T], path: Path) -> T:
    """Raises LearningError where the file is missing, damaged or of a later version."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LearningError(f"{path} cannot be read as JSON; write the report again with `evaluate`") from error
    version = told.get("format_version", FORMAT_VERSION) if isinstance(told, dict) else FORMAT_VERSION
    if version != FORMAT_VERSION:
        raise LearningError(f"{path} has format version {version}, this program reads {FORMAT_VERSION}; update it")
    return parse(of, told, what=str(path))


def write_json(path: Path, value: object) -> None:
    """Raises LearningError where the disk refuses."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Whole or not at all. Raises LearningError where the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part")
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise LearningError(f"{path} cannot be written ({error.strerror}); {remedy(error)}") from error


def remedy(error: OSError) -> str:
    """The next step after a file of `learning.folder`, or of --out, could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free disk space and start again"
    return "name a folder that this user may write: learning.folder in the settings, or --out"
