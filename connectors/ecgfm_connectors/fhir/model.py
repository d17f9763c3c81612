"""The model behind a result: Device, its model card, and the Provenance of what it said.

After HL7 "AI Transparency on FHIR" (profiles AI Device, AI Model-Card and AI Provenance, STU1 ballot January 2026).
"""

from collections.abc import Sequence

from ecgfm_connectors.fhir.elements import (
    ABSENT_URL,
    AI_ASSERTED,
    TERMINOLOGY,
    TRANSPARENCY,
    Json,
    coding,
    concept,
    full_url,
    identifier,
    instant,
    meta,
    recorded_as,
)
from ecgfm_connectors.fhir.predictions import model_number
from ecgfm_connectors.fhir.profile import FhirProfile
from ecgfm_connectors.result import Result

_TYPES = f"{TRANSPARENCY}/CodeSystem/AIdeviceTypeCS"
_INPUTS = f"{TRANSPARENCY}/CodeSystem/AIinputsCS"
_AI = (_TYPES, "Artificial-Intelligence", "All kinds of Artificial Intelligence")
_KIND = (_TYPES, "Deep-Learning-Models", "Deep Learning Models")
_CARD = (_INPUTS, "AIModelCard", "AI Model-Card")
_MARKDOWN = (_INPUTS, "AIModelCardMarkdownFormat", "Markdown Format")
_AUTHOR = (f"{TERMINOLOGY}/provenance-participant-type", "author", "Author")
_ASSEMBLER = (f"{TERMINOLOGY}/provenance-participant-type", "assembler", "Assembler")


def device(result: Result, profile: FhirProfile) -> Json:
    """The model in this version (R4 Device). That it has no unique device identifier is said."""
    extensions: list[Json] = [
        {
            "url": f"{TRANSPARENCY}/StructureDefinition/aitransparency.AIKind",
            "valueCodeableConcept": concept("Deep learning model", _KIND),
        }
    ]
    if profile.model_card_url:
        url = f"{TRANSPARENCY}/StructureDefinition/aitransparency.modelCardDescription"
        extensions.append({"url": url, "valueReference": {"reference": _card_url(result, profile)}})
    notes = [{"text": "No unique device identifier (UDI) was assigned to this model."}]
    if result.demo:
        notes.append({"text": "Demonstration model, not for clinical use."})
    return {
        "resourceType": "Device",
        "extension": extensions,
        "identifier": [identifier(profile.own("model"), model_number(result))],
        "udiCarrier": [{"extension": [{"url": ABSENT_URL, "valueCode": "not-applicable"}]}],
        "status": "active",
        "deviceName": [{"name": result.model_name or "unnamed model", "type": "model-name"}],
        "type": concept("Artificial intelligence", _AI),
        "version": [{"value": result.model_version or "unknown"}],
        "note": notes,
    }


def model_card(result: Result, profile: FhirProfile) -> Json:
    """Where the model is described (R4 DocumentReference)."""
    return {
        "resourceType": "DocumentReference",
        "identifier": [identifier(profile.own("model-card"), model_number(result))],
        "status": "current",
        "type": concept("AI model card", _CARD),
        "category": [concept("Markdown", _MARKDOWN)],
        "description": f"Model card of {result.model_name} {result.model_version}",
        "content": [{"attachment": {"contentType": "text/markdown", "url": profile.model_card_url}}],
    }


def provenance(result: Result, profile: FhirProfile, targets: Sequence[str]) -> Json:
    """What the model said of which ECG, when, and through which program. R4 Provenance has no identifier, so its tag
    is the number of the message: a repeat finds it by that.
    """
    entities: list[Json] = []
    source = recorded_as(result, profile)
    if source is not None:
        entities.append({"role": "source", "what": source})
    if profile.model_card_url:
        entities.append({"role": "derivation", "what": {"reference": _card_url(result, profile)}})
    found: dict[str, object] = {
        "resourceType": "Provenance",
        "meta": {
            **meta(result, asserted=False),
            "tag": [{"system": profile.own("message"), "code": result.control_id}],
        },
        "target": [{"reference": one} for one in targets],
        "occurredDateTime": instant(result.scored_at, profile),
        "recorded": instant(result.composed_at, profile),
        "reason": [{"coding": [coding(AI_ASSERTED)]}],
        "agent": [
            {
                "type": concept("Author", _AUTHOR),
                "role": [{"coding": [coding(_AI)]}],
                "who": {"reference": full_url(profile.own("model"), model_number(result)), "type": "Device"},
            },
            {"type": concept("Assembler", _ASSEMBLER), "who": {"display": result.device_id or "ecgfm-clinical"}},
        ],
    }
    if entities:
        found["entity"] = entities
    return found


def _card_url(result: Result, profile: FhirProfile) -> str:
    return full_url(profile.own("model-card"), model_number(result))
