"""What another system said of an ECG, as text: a report of a cart or a reading station, a page, another AI's result."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from ecgfm_connectors.patient import Patient

#: Characters of one document that are kept.
MAX_TEXT = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """By what a document names the ECG that it speaks of. Instances leave no doubt, so the others count only where it
    names none.
    """

    instances: tuple[str, ...] = ()  #: SOP Instance UIDs of waveform objects, or `source_id` of ECGs that came with it
    study_uid: str = ""
    numbers: tuple[str, ...] = field(default=(), repr=False)  #: accession, placer and filler number


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document. Nothing is computed from it, and nothing of it is ever sent on."""

    source_id: str  #: SOP Instance UID, or an HL7 report's sender and number; of those under one, the last holds
    kind: Literal["report", "pdf"]
    title: str
    text: str = field(repr=False)  #: at most `MAX_TEXT` characters
    patient: Patient
    maker: str  #: manufacturer and model
    made_at: datetime | None  #: aware
    status: str  #: as its sender calls it: COMPLETE, PARTIAL, VERIFIED, UNVERIFIED, PRELIMINARY
    refers: References
    replaces: tuple[str, ...] = ()  #: `source_id` of the documents in whose place it stands
    withdrawn: bool = False  #: its sender has taken it back
    pages: tuple[bytes, ...] = field(default=(), repr=False)  #: PDFs whose words are still to be read; never kept here
