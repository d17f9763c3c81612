"""What a run is. It is written before the first part and never changed: a repeat must be the same run."""

import importlib.metadata
from dataclasses import dataclass, fields

from pydantic import TypeAdapter, ValidationError

from ecgfm.version import version
from ecgfm_clinical.backfill.disk import Place, write_whole
from ecgfm_clinical.backfill.manifest import Manifest
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.answers import Origin
from ecgfm_clinical.files.pseudonyms import pseudonym

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that the bytes of the output depend on, besides those of the files."""

    format_version: int = FORMAT_VERSION
    program: str  #: which version of this program
    parquet_writer: str  #: and of the library that writes Parquet
    manifest: Manifest
    part_rows: int  #: rows of the manifest a part
    model_id: str
    preprocessing: str
    runtime: str
    reading: str  #: authority and zone that stand in where a file names none
    embeddings: bool
    identifiers: str  #: digest of the key of the pseudonyms; empty where no identifiers are written

    @property
    def origin(self) -> Origin:
        return Origin(model_id=self.model_id, preprocessing=self.preprocessing, runtime=self.runtime)

    @property
    def parts(self) -> int:
        return -(-self.manifest.rows // self.part_rows)

    def rows_of(self, part: int) -> range:
        """The rows of the manifest, from 0, that a part answers."""
        return range(part * self.part_rows, min((part + 1) * self.part_rows, self.manifest.rows))


#: What a person is told of a difference: the words for it, and what mends it.
_DIFFERENCES = {
    "program": ("written by ecgfm-clinical", "install that version"),
    "parquet_writer": ("written with pyarrow", "install that version"),
    "part_rows": ("begun with --part-rows", "repeat with that"),
    "model_id": ("begun with the model", "give that bundle as --model"),
    "preprocessing": ("begun with the preparation", "give that bundle as --model"),
    "runtime": ("begun with the runtime", "give that as --runtime, on such a machine"),
    "reading": ("begun with the site's authority and zone", "give those --settings"),
    "embeddings": ("begun with --embeddings", "repeat with or without it, as then"),
    "identifiers": ("begun with the --identifiers key of digest", "give that key, or none, as then"),
}


def key_digest(key: bytes) -> str:
    """By which a key is known again; it says nothing of the key."""
    return pseudonym(key, "key") if key else ""


def programs() -> tuple[str, str]:
    """Versions of this program and of the library that writes Parquet."""
    return version(), importlib.metadata.version("pyarrow")


def read_plan(place: Place) -> Plan | None:
    """What was begun in this folder. Raises InputError where that is no plan of ours."""
    if not place.plan.exists():
        return None
    try:
        plan: Plan = TypeAdapter(Plan).validate_json(place.plan.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{place.plan} cannot be read: it was changed by hand, or written by another version; "
            "put it back, or begin in another folder"
        ) from error
    return plan


def agree(place: Place, plan: Plan) -> None:
    """Keep the plan of a new run; that of an earlier one must be the same. Raises InputError."""
    before = read_plan(place)
    if before is None:
        write_whole(place.plan, as_json(plan))
        return
    for name in (one.name for one in fields(Plan)):
        was, now = getattr(before, name), getattr(plan, name)
        if was != now:
            words, mend = _DIFFERENCES.get(name, (f"begun with {name}", "give the same"))
            raise InputError(
                f"{place.folder} was {words} {_shown(was)}, and this is {_shown(now)}: {mend} to go on, "
                "or name another folder as --out"
            )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "none"


def as_json(value: object) -> bytes:
    """A frozen value as a JSON document: the same value gives the same bytes."""
    return TypeAdapter(type(value)).dump_json(value, indent=2) + b"\n"
