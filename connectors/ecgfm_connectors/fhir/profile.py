"""How one destination wants its FHIR.

What a key means stands in its metadata, from which commented settings are written. A field without one is no key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Literal

Coded = tuple[str, str, str]  #: system, code, display

#: A URI that can stand in a FHIR search as it is, apart from the marks.
_URI = re.compile(r"(https?://|urn:)[!-~]+")
_SEARCH_MARKS = frozenset("|,$\\?&#%")


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirProfile:
    """How one destination wants its bundles. Raises ValueError where a URI or a number of decimals cannot be meant."""

    #: URI below which our own systems lie: NAMESPACE/result, /message, /model, /codes, /reasons
    namespace: str = field(
        metadata={
            "description": "URI below which the systems of our own numbers and codes lie; give each installation that "
            "sends to one server a namespace of its own, and keep it",
            "example": "https://hospital.example/fhir/ecgfm",
        }
    )
    systems: Mapping[str, str] = field(
        default_factory=dict,
        metadata={
            "description": "assigning authority of patients' and order numbers -> its system; a result under any other "
            "authority is set aside",
            "example": {"EXAMPLE": "https://hospital.example/fhir/mrn"},
        },
    )
    prediction: Literal["Observation", "RiskAssessment"] = field(
        default="Observation",
        metadata={"description": "resource of one head's answer: Observation or RiskAssessment"},
    )
    orders: Literal["identifier", "match", "none"] = field(
        default="identifier",
        metadata={
            "description": 'how the order is named: by its "identifier"; "match": the server must know one '
            'ServiceRequest by it; "none"'
        },
    )
    create_patients: bool = field(
        default=False, metadata={"description": "true: a patient whom the server does not know is created there"}
    )
    page: bool = field(default=False, metadata={"description": "true: the result's page (PDF) goes as presentedForm"})
    service: Coded = field(
        default=("http://loinc.org", "11524-6", "EKG study"),
        metadata={
            "description": "DiagnosticReport.code beside our own: system, code and display under which the site files "
            "ECGs"
        },
    )
    alternate_codes: Mapping[str, Coded] = field(
        default_factory=dict,
        metadata={
            "description": "our code -> the site's own: system, code, display",
            "example": {"ECGFM-LVEF": ["https://hospital.example/fhir/codes", "12345", "Local name"]},
        },
    )
    model_card_url: str = field(
        default="",
        metadata={
            "description": "where the model's card (Markdown) can be read; none is referred to where empty",
            "example": "https://hospital.example/ecgfm/model-card.md",
        },
    )
    decimals: int = field(default=4, metadata={"description": "of a probability"})
    zone: tzinfo | None = None  #: zone of the times sent; None keeps each time's own

    def __post_init__(self) -> None:
        uris = {"namespace": self.namespace} | {f"systems.{name}": system for name, system in self.systems.items()}
        for key, uri in uris.items():
            if not _URI.fullmatch(uri):
                raise ValueError(f"{key} is no URI: one that begins with https://, http:// or urn: and holds no space")
            if _SEARCH_MARKS & set(uri):
                raise ValueError(f"{uri} holds a letter that a FHIR search reads otherwise: one of | , $ \\ ? & # %")
        folded = [authority.strip().casefold() for authority in self.systems]
        if len(set(folded)) != len(folded):
            raise ValueError("systems names one authority twice; authorities are compared without regard to case")
        if not 2 <= self.decimals <= 15:
            raise ValueError("decimals must be from 2 to 15")

    def own(self, kind: Literal["result", "message", "model", "model-card", "codes", "reasons"]) -> str:
        """The system of one kind of number or code of ours."""
        return f"{self.namespace.rstrip('/')}/{kind}"
