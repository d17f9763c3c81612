"""What one received payload (DICOM object, HL7 message, file) turned out to carry."""

from dataclasses import dataclass

from ecgfm_connectors.ecg import Ecg, Finding
from ecgfm_connectors.outcome import Outcome
from ecgfm_connectors.patient import Identifier, Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityEvent:
    """ADT^A40 merge or A47 change of identifier: `retired` is now `surviving` (HL7 2.5.1 §3.3.40)."""

    retired: Identifier
    surviving: Identifier
    event: str  #: MSH-9.2 trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything of interest in one payload; all of it is staged in one transaction."""

    ecgs: tuple[Ecg, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    identity_events: tuple[IdentityEvent, ...] = ()
    demographics: tuple[Patient, ...] = ()
    findings: tuple[Finding, ...] = ()
