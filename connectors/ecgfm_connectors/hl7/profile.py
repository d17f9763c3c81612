"""How one destination wants its HL7 v2 messages.

Kept apart from the composing, so that settings can hold profiles without loading hl7apy's tables; what a key means
stands in its metadata, from which commented settings are written. A field without one is no key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Literal, get_args

from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.outcomes import codes

AckCondition = Literal["", "AL", "NE", "ER", "SU"]  # HL7 table 0155
Hl7Version = Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"]
#: Versions in which a result can be composed.
OUTGOING_VERSIONS = (*get_args(Hl7Version), "2.8.1", "2.8.2")
#: Names of table 0211 in which results can be sent -> Python codec.
OUTGOING_CHARSETS = {"ASCII": "ascii", "8859/1": "iso8859-1", "8859/15": "iso8859-15", "UNICODE UTF-8": "utf-8"}

Coded = tuple[str, str, str]  #: code, text, coding system


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How one destination wants its messages. Application and facility names may hold HD components: `NAME^OID^ISO`.

    Raises Misconfigured where no message can be composed so.
    """

    version: Hl7Version = field(
        default="2.5.1", metadata={"description": "MSH-12: 2.3, 2.3.1, 2.4, 2.5, 2.5.1, 2.6, 2.7 or 2.8"}
    )
    sending_application: str = field(default="ECGFM", metadata={"description": "MSH-3; components as NAME^OID^ISO"})
    sending_facility: str = field(default="", metadata={"description": "MSH-4; site.name where empty"})
    receiving_application: str = field(default="", metadata={"description": "MSH-5", "example": "EHR"})
    receiving_facility: str = field(default="", metadata={"description": "MSH-6", "example": "EXAMPLE"})
    filler_namespace: str = field(
        default="ECGFM",
        metadata={
            "description": "OBR-3.2, who gave our number; give each installation that sends to one receiver a "
            "namespace of its own"
        },
    )
    charset: str = field(default="UNICODE UTF-8", metadata={"description": "MSH-18, HL7 table 0211"})
    accept_ack: AckCondition = field(
        default="", metadata={"description": "MSH-15: AL, NE, ER or SU; both empty is the original mode"}
    )
    application_ack: AckCondition = field(default="", metadata={"description": "MSH-16: as MSH-15"})
    parent: Literal["OBR-29", "OBR-18", "child", "none"] = field(
        default="OBR-29",
        metadata={
            "description": 'where the ECG\'s own filler or accession number goes: OBR-29, OBR-18 or none; "child": '
            "OBR-29 with the placer number too, and OBR-26 with parent_result"
        },
    )
    parent_result: Coded = field(
        default=("", "", ""),
        metadata={
            "description": 'with parent = "child": the OBX-3 of the ECG\'s own result, which this one belongs to '
            "(OBR-26.1)",
            "example": ["11524-6", "EKG study", "LN"],
        },
    )
    sub_ids: Literal["one", "head"] = field(
        default="one",
        metadata={
            "description": 'OBX-4: "one" for all observations, or the code of the "head", the same for all its labels '
            "and in every correction"
        },
    )
    trigger: Literal["R01", "R30", "R31"] = field(
        default="R01",
        metadata={
            "description": "of a first result that answers no order: R01; or point of care, from 2.5: R30, the "
            "receiver places an order; R31, it looks for one"
        },
    )
    accession: Literal["auto", "OBR-18", "OBR-19", "OBR-20", "none"] = field(
        default="auto",
        metadata={
            "description": "where the accession number of the order goes that a result answers ([orders]): OBR-18, "
            'OBR-19, OBR-20 or none; "auto": OBR-18, or OBR-19 where parent is there'
        },
    )
    study_uid: bool = field(
        default=False,
        metadata={"description": "true: the Study Instance UID is sent as an OBX of its own"},  # DCM 110180
    )
    reasons: Literal["coded", "note"] = field(
        default="coded",
        metadata={
            "description": 'why an ECG is not evaluable: "coded" in OBX-5, or "note": an empty OBX-5 with an NTE'
        },
    )
    form: Literal["ORU", "MDM"] = field(
        default="ORU",
        metadata={"description": 'what a result is sent as: "ORU" (ORU^R01), or "MDM", a document (MDM^T02, T10, T11)'},
    )
    contents: Literal["all", "page"] = field(
        default="all",
        metadata={"description": 'of each message: "all", or the "page" alone, under a number of its own'},
    )
    page: Literal["none", "ORU", "companion"] = field(
        default="none",
        metadata={
            "description": 'the result page (PDF) with each result: "none"; "ORU": as an OBX of type ED beside the '
            'numbers; "companion": alone in a message of its own, by a queue of its own, NAME-page'
        },
    )
    companion: Literal["MDM", "ORU"] = field(
        default="MDM", metadata={"description": 'what the companion is: "MDM" or "ORU"'}
    )
    page_type: tuple[str, str] = field(
        default=("AP", "PDF"),
        metadata={
            "description": "type of data and subtype of the page, OBX-5.2 and .3 (HL7 tables 0191 and 0291): "
            '["AP", "PDF"], ["application", "pdf"], …'
        },
    )
    alternate_codes: Mapping[str, Coded] = field(
        default_factory=dict,
        metadata={
            "description": "our code -> the site's own, OBX-3.4 to .6",
            "example": {"ECGFM-LVEF": ["12345", "Local name", "99SITE"]},
        },
    )
    processing_id: Literal["P", "T", "D"] = "P"  #: MSH-11; a test result goes out as T all the same
    message_profile: str = ""  #: MSH-21, EI
    filler_universal_id: str = ""  #: OBR-3.3, an OID
    coding_system: str = "99ECGFM"
    service: tuple[str, str] = ("ECGFM", "AI-ECG analysis")  #: OBR-4.1, .2
    service_alternate: Coded = ("11524-6", "EKG study", "LN")  #: OBR-4.4–.6, under which the site files ECGs
    section: str = "EC"  #: OBR-24, table 0074: electrocardiac
    performing_organization: str = ""  #: OBX-23, from 2.5.1
    decimals: int = 4  #: of a probability
    zone: tzinfo | None = None  #: zone of the times sent; None keeps each time's own

    def __post_init__(self) -> None:
        if self.version not in OUTGOING_VERSIONS:
            raise Misconfigured(f"HL7 version {self.version}: use one of {', '.join(OUTGOING_VERSIONS)}")
        if self.charset not in OUTGOING_CHARSETS:
            raise Misconfigured(f"charset {self.charset}: use one of {', '.join(OUTGOING_CHARSETS)}")
        if self.trigger != "R01" and (self.form != "ORU" or self.version in ("2.3", "2.3.1", "2.4")):
            raise Misconfigured(f"trigger {self.trigger} needs form ORU and version 2.5 or later")
        if self.parent_result[0] and self.parent != "child":
            raise Misconfigured('parent_result needs parent = "child"')
        if self.accession == self.parent != "none":
            raise Misconfigured("accession and parent both go into OBR-18; give one of them another place")
        for code in (
            self.service[0],
            self.service_alternate[0],
            *(code for code, _, _ in self.alternate_codes.values()),
        ):
            refuse_measured(code)

    @property
    def accession_place(self) -> int | None:
        """The field of OBR for the accession number of the order."""
        if self.accession == "none":
            return None
        if self.accession == "auto":
            return 19 if self.parent == "OBR-18" else 18
        return int(self.accession.removeprefix("OBR-"))


def refuse_measured(code: str) -> None:
    """Raises Misconfigured where the code is that of a measurement: a predicted value may never look measured."""
    if code in codes.MEASURED:
        raise Misconfigured(f"{code} names a measured value; a probability from an ECG must not be filed under it")
