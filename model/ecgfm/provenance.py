"""Where a bundle's weights come from: frozen values in the program, JSON at the disk alone.

They stand in `bundle.json` under `provenance`, whose format is that of the manifest (`format_version`). What is said
of a head's training is in the words of whoever trained it (a hospital's cohorts, its gate): it is kept as it was told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Notes: TypeAlias = Mapping[str, Json]  #: what is kept and shown, and decides nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeVersion:
    """The program that wrote a bundle."""

    version: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelName:
    """One bundle by name."""

    name: str
    model_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion(ModelName):
    """One bundle by name and version."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a bundle comes from."""

    origin: Notes = field(default_factory=dict)  #: what the first bundle of the lineage says of its encoder
    heads: Mapping[str, Notes] = field(default_factory=dict)  #: head -> how it was trained and judged
    lineage: tuple[ModelVersion, ...] = ()  #: the bundles it was made from, the first one first
    code: CodeVersion | None = None  #: None before it is written, and in bundles of programs that did not say
    origin_apart: bool = False  #: the origin has a key of its own in the manifest: the bundle was made from another

    def to_json(self) -> dict[str, Json]:
        """As the manifest holds it."""
        told: dict[str, Json] = {"heads": dict(self.heads)} if self.heads else {}
        if self.lineage:
            told["lineage"] = [asdict(one) for one in self.lineage]
        if self.code is not None:
            told["code"] = asdict(self.code)
        return told | ({"origin": dict(self.origin)} if self.origin_apart else {**self.origin, **told})

    @classmethod
    def from_json(cls, told: Mapping[str, Json]) -> "Provenance":
        """Raises KeyError or TypeError where it is not what a program wrote."""
        own = {name: value for name, value in told.items() if name not in ("heads", "lineage", "origin")}
        lineage, code = told.get("lineage", ()), told.get("code")
        if not isinstance(lineage, Sequence):
            raise TypeError("lineage")
        return cls(
            origin=_notes(told.get("origin", own), "origin"),
            heads={head: _notes(record, head) for head, record in _notes(told.get("heads", {}), "heads").items()},
            lineage=tuple(_version(_notes(one, "lineage")) for one in lineage),
            code=None if code is None else _code(_notes(code, "code")),
            origin_apart="origin" in told,
        )

    def after(self, parent: ModelVersion, heads: Mapping[str, Notes]) -> "Provenance":
        """Of a bundle that is made from `parent`, whose provenance this is, and tells this of its heads."""
        return Provenance(origin=self.origin, heads=heads, lineage=(*self.lineage, parent), origin_apart=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Weights taken over from a published checkpoint, with no calibration: none was published."""

    file: str  #: its name
    sha256: str
    size: int  #: bytes
    at: datetime  #: aware
    labels: str  #: where the names of the logits come from, in words

    @property
    def notes(self) -> Notes:
        """As the origin of a bundle."""
        return {
            "imported_from": self.file,
            "source_sha256": self.sha256,
            "source_bytes": self.size,
            "imported_at": self.at.isoformat(timespec="seconds"),
            "labels": self.labels,
            "calibration": "none: raw sigmoids",
        }


def _notes(told: Json, what: str) -> Notes:
    if not isinstance(told, Mapping):
        raise TypeError(what)
    return told


def _version(told: Notes) -> ModelVersion:
    return ModelVersion(name=str(told["name"]), model_id=str(told["model_id"]), version=str(told["version"]))


def _code(told: Notes) -> CodeVersion:
    return CodeVersion(version=str(told["version"]), commit=str(told["commit"]))
