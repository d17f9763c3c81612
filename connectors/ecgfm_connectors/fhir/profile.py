"""How one destination wants its FHIR."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Literal

Coded = tuple[str, str, str]  #: system, code, display


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirProfile:
    """How one destination wants its bundles."""

    namespace: str  #: URI below which our own systems lie: NAMESPACE/result, /message, /model, /codes, /reasons
    systems: Mapping[str, str] = field(default_factory=dict)  #: assigning authority -> system URI
    prediction: Literal["Observation", "RiskAssessment"] = "Observation"  #: resource of one head's answer
    orders: Literal["identifier", "match", "none"] = "identifier"  #: how the order is named in `basedOn`
    create_patients: bool = False  #: a patient whom the server does not know is created there
    page: bool = False  #: the result's page as DiagnosticReport.presentedForm
    service: Coded = ("http://loinc.org", "11524-6", "EKG study")  #: under which the site files ECGs
    alternate_codes: Mapping[str, Coded] = field(default_factory=dict)  #: our code -> the site's own
    model_card_url: str = ""  #: of a model card in Markdown; none is referred to where empty
    decimals: int = 4  #: of a probability
    zone: tzinfo | None = None  #: zone of the times sent; None keeps each time's own

    def own(self, kind: Literal["result", "message", "model", "model-card", "codes", "reasons"]) -> str:
        """The system of one kind of number or code of ours."""
        return f"{self.namespace.rstrip('/')}/{kind}"
