"""The closed vocabularies that devices and archives code statements in, and what each of their codes states.

Each module says where its table is from and whether it is complete. A code that is not here is kept as `unread`.
"""

from collections.abc import Mapping

from ecgfm_connectors.statement import Certainty, Statement
from ecgfm_connectors.statements import mdc, minnesota
from ecgfm_connectors.statements.device_codes import DXL, MUSE, SCHILLER, SCP_MARKS, TWELVE_SL
from ecgfm_connectors.statements.mdc import MDC
from ecgfm_connectors.statements.minnesota import MINNESOTA
from ecgfm_connectors.statements.scp_codes import SCP
from ecgfm_connectors.statements.snomed import SNOMED

VOCABULARIES: Mapping[str, Mapping[str, str]] = {
    "SNOMED": SNOMED,
    "SCP": SCP,
    "Minnesota": MINNESOTA,
    "MDC": MDC,
    "12SL": TWELVE_SL,
    "DXL": DXL,
    "MUSE": MUSE,
    "Schiller": SCHILLER,
    "SCP-ECG": SCP_MARKS,
}
#: Vocabularies by which a whole recording is coded: what their tables could say and a recording does not carry is
#: absent #: from it. A device codes its own findings only, or sets a mark: what it does not say is not known.
WHOLE = frozenset({"SNOMED", "SCP", "Minnesota"})

#: Coding Scheme Designator or HL7 coding system -> vocabulary.
SCHEMES = {
    "SCT": "SNOMED",
    "SRT": "SNOMED",
    "SNM": "SNOMED",
    "SNM3": "SNOMED",
    "99SDM": "SNOMED",
    "SNOMED": "SNOMED",
    "SNOMED-CT": "SNOMED",
    "MDC": "MDC",
    "MEIECG": "12SL",
}


def from_code(source: str, code: str, wording: str = "", certainty: Certainty = "stated") -> Statement:
    """The statement of one code; its concept is `unread` where the vocabulary or the code is not here."""
    plain = code.strip()
    concept = _concept(source, plain) or "unread"
    return Statement(concept=concept, certainty=certainty, source=source, code=plain, wording=wording)


def _concept(source: str, code: str) -> str | None:
    if source == "MDC":
        return mdc.concept_of(code)
    if source == "Minnesota":
        return minnesota.concept_of(code)
    return VOCABULARIES.get(source, {}).get(code)
