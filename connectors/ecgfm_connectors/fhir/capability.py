"""What a FHIR server says that it can do (R4 CapabilityStatement), held against what a result needs."""

from collections.abc import Iterator, Mapping

from ecgfm_connectors.errors import Misconfigured

#: What is written by condition, and must be readable.
_WRITTEN = ("Observation", "DiagnosticReport", "Device", "Provenance")


def judged(told: object) -> str:
    """A sentence on it. Raises Misconfigured where results cannot be sent there."""
    if not isinstance(told, Mapping) or told.get("resourceType") != "CapabilityStatement":
        raise Misconfigured("no CapabilityStatement at /metadata; check that the URL is the base of a FHIR server")
    version = str(told.get("fhirVersion", ""))
    if not version.startswith("4.0"):
        raise Misconfigured(
            f"the server speaks FHIR {version or 'of no version that it names'}, results are R4 (4.0.1)"
        )
    rest = _first(told.get("rest"))
    if "transaction" not in _codes(rest.get("interaction")):
        raise Misconfigured("the server does not say that it takes transactions, and a result is one")
    doubts = list(_doubts(rest))
    name = _first([told.get("software")]).get("name")
    known = f"{name}, " if isinstance(name, str) else ""
    return f"{known}FHIR {version}, takes transactions" + "".join(f"; {doubt}" for doubt in doubts)


def _doubts(rest: Mapping[str, object]) -> Iterator[str]:
    """What it does not say that it can do; many servers leave it out, so that only a try tells."""
    listed = rest.get("resource")
    resources = (
        {str(one.get("type")): one for one in listed if isinstance(one, Mapping)} if isinstance(listed, list) else {}
    )
    missing = [kind for kind in _WRITTEN if kind not in resources]
    if missing:
        yield f"it does not list {', '.join(missing)}"
    for word, name in (("conditionalCreate", "conditional create"), ("conditionalUpdate", "conditional update")):
        kinds = [kind for kind in _WRITTEN if kind in resources and not resources[kind].get(word)]
        if kinds:
            yield f"it does not say that it can do a {name} of {', '.join(kinds)}"


def _codes(told: object) -> set[str]:
    return {str(one.get("code")) for one in told if isinstance(one, Mapping)} if isinstance(told, list) else set()


def _first(told: object) -> Mapping[str, object]:
    found = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    return found[0] if found else {}
