"""The result of one ECG for the EHR, before it becomes an HL7 message."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ecgfm_connectors.patient import Patient
from ecgfm_connectors.placed_order import WrittenField
from ecgfm_connectors.waveform_object import WaveformObject

#: MSA-1, HL7 table 0008.
HL7_CODES = frozenset({"AA", "AE", "AR", "CA", "CE", "CR"})

ResultStatus = Literal["P", "F", "C", "D", "W", "X"]  # HL7 table 0085


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One OBX: one label of one head."""

    code: str  #: local code in 99ECGFM, e.g. `REDUCED_LVEF_PROB`
    name: str  #: what the code means, in words an EHR may show
    status: ResultStatus
    probability: float | None  #: None where not evaluable
    threshold: float | None = None  #: operating point, probability
    positive: bool | None = None  #: probability ≥ threshold; None without a threshold
    reasons: tuple[tuple[str, str], ...] = ()  #: (code, sentence) why not evaluable, with status X
    finding_site: tuple[str, str, str] | None = None  #: code, scheme, meaning: where in the body what is asked lies
    abnormal: bool = True  #: what the code names is an abnormal finding; of any other neither range nor flag is sent
    head: str = ""  #: the head of the model that gives this label, `reduced_lvef`
    head_code: str = ""  #: local code of the head as a whole
    head_name: str = ""  #: what that means, in words an EHR may show


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """The message that a correction or a withdrawal refers to."""

    control_id: str
    body: bytes | None = field(repr=False)  #: None where retention removed it
    in_doubt: bool = False  #: whether the receiver took all of it is not known: what it replaced may stand beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One OBR group: all heads of one model on one ECG."""

    control_id: str  #: MSH-10; fixed before the first send, so every repeat carries it
    composed_at: datetime  #: MSH-7, aware
    patient: Patient
    placer_number: str  #: OBR-2, of the order that is answered, or as it came with the ECG; empty where unknown
    accession: str = field(default="", repr=False)  #: of the order that is answered
    provider: WrittenField = field(default=(), repr=False)  #: OBR-16 of the order that is answered
    unsolicited: bool = False  #: orders are matched, and this result answers none
    order_refused: bool = False  #: its order was cancelled, is held or is doubtful: no receiver is asked to place one
    filler_number: str  #: OBR-3, this program's number of the result
    ecg_filler_number: str = ""  #: the ECG's own filler or accession number → OBR-29 / OBR-18
    study_uid: str = ""
    acquired_at: datetime | None  #: OBR-7, OBX-14
    scored_at: datetime  #: OBR-22, OBX-19
    status: Literal["F", "C", "X", "W", "D"]  #: OBR-25 (W and D are carried by the OBX-11s; OBR-25 is then C)
    model_name: str  #: OBX-17
    model_version: str
    device_id: str  #: OBX-18
    observations: tuple[Observation, ...]
    notes: tuple[str, ...] = field(default=())  #: NTE
    test: bool = False  #: MSH-11 T
    page: bytes | None = field(default=None, repr=False)  #: the result as a PDF page, where the destination wants one
    page_refused: str = ""  #: why there is no page although the destination wants one
    demo: bool = False  #: the model is not for clinical use
    model_digest: str = ""  #: SHA-256 of the bundle
    revives: bool = False  #: with status F: something was told under this number before, and taken back
    preprocessing: str = ""  #: version of the signal preparation
    waveform: WaveformObject | None = None  #: the DICOM object that the ECG came as, where it came as one
    former: Former | None = None  #: with status C, W or D; with F what may stand beside it, where that is in doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What the receiver answered, in the words of its own protocol: HL7 v2's MSA and ERR, or those of another."""

    code: str  #: MSA-1, or another protocol's own status, as `HTTP 201`
    control_id: str  #: MSA-2; where a protocol answers in the same exchange, the message's own
    text: str = ""  #: MSA-3, ERR-8, or what stands there; may quote the message, so it is stored, never logged
    error_code: str = ""  #: ERR-3.1 (HL7 table 0357), or another protocol's code for what is wrong
    in_doubt: bool = False  #: an answer that does not say what became of the message, as where a part of it was taken
    placer: str = field(default="", repr=False)  #: ORC-2 of an ORA^R33 or ACK^R33: the order that the receiver placed
    reason: str = ""  #: what another protocol's answer means, in a sentence of ours without patient data

    @property
    def is_hl7(self) -> bool:
        """Whether the code is one of HL7 table 0008."""
        return self.code in HL7_CODES
