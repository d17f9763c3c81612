"""The JSON Schemas of what the API answers, made of the types of its replies."""

import importlib
from collections.abc import Mapping
from functools import lru_cache

from pydantic import TypeAdapter

from ecgfm_clinical.web import replies
from ecgfm_clinical.web.documents import DOCUMENTS

_REF = "#/components/schemas/{model}"
#: Modules whose types the replies name for type checkers alone: a process that shows no schema need not load them.
_MODULES = (
    *("ecgfm_clinical.ecg." + name for name in ("beat_weights", "evaluability", "reckoning", "remarks")),
    *("ecgfm_clinical.operate." + name for name in ("answers", "changes", "check", "decisions", "differences")),
    *("ecgfm_clinical.operate." + name for name in ("outcome_rows", "search", "status", "story")),
    *("ecgfm_clinical.staging." + name for name in ("alerts", "failed_ecgs", "model_records", "pauses")),
    *("ecgfm_clinical.staging." + name for name in ("outcomes", "payloads", "received_messages")),
    *("ecgfm_clinical.staging." + name for name in ("records", "saliencies", "story_records")),
    *("ecgfm_clinical.web.lines", "ecgfm_connectors.ecg", "ecgfm_connectors.patient"),
)
#: Fields that a document leaves out where they have nothing to say.
_LEFT_OUT = {"ShownMessage": {"page"}}
#: An entry of an ECG's story: what its detail holds stands beside its other keys.
_EVENT = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("at", "actor", "action")},
    "required": ["at", "actor", "action"],
}


@lru_cache(maxsize=1)
def schemas() -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Template -> schema of its document, and what these refer to, by name; both also of problems and acts."""
    types = {name: document.of.__annotations__["return"] for name, document in DOCUMENTS.items()}
    types |= {"problem.html": replies.Problem, "done.html": replies.Done}
    adapters = [(name, "serialization", _adapter(one)) for name, one in types.items()]
    found, definitions = TypeAdapter.json_schemas(adapters, ref_template=_REF)  # type: ignore[arg-type]
    named = dict(definitions["$defs"])
    for name, left_out in _LEFT_OUT.items():
        named[name] = {**named[name], "required": [one for one in named[name]["required"] if one not in left_out]}
    story = named["ShownEcg"]
    events = {**story["properties"]["events"], "items": _EVENT}
    named["ShownEcg"] = {**story, "properties": {**story["properties"], "events": events}}
    return {name: schema for (name, _), schema in found.items()}, named


@lru_cache(maxsize=1)
def _names() -> Mapping[str, object]:
    """What the replies and the types within them name."""
    found: dict[str, object] = {
        "Compared": object
    }  # what compares models opens torch: its figures are told as they are
    for path in _MODULES:
        module = importlib.import_module(path)
        found |= {name: one for name, one in vars(module).items() if not name.startswith("_") and name not in found}
    return found


def _adapter(one: type) -> TypeAdapter[object]:
    made: TypeAdapter[object] = TypeAdapter(one)
    made.rebuild(force=True, _types_namespace=_names())
    return made
