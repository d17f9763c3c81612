"""The site's facts that a reader gets beside the payload, and how large a payload may be."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

from ecgfm_connectors.errors import Refused
from ecgfm_connectors.outcomes.site import NO_TABLE, SiteTable
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.placed_order import ANY_ORDER, OrderTable

#: Bytes. An ECG object of a resting cart is a hundred times smaller; a 24 h 12-lead Holter at 180 Hz in 16 bits is
#: larger.
MAX_PAYLOAD = 256 * 2**20
#: Samples of all leads together: half an hour of 12 leads at 900 Hz. A longer recording is no resting ECG; it is
#: refused before its samples are copied.
MAX_SAMPLES = 20_000_000
#: Bytes that the compressed part of a payload may grow to, whatever it says: 20 minutes of 12 leads at 1000 Hz.
MAX_INFLATED = 32 * 2**20


def no_merges(one: Patient, other: Patient) -> bool:
    """Where nobody keeps merges, two numbers of one authority are two people's."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingContext:
    """Facts of the site that stand in where the payload leaves them out."""

    default_authority: str  #: assigning authority of patient ids that name none
    zone: tzinfo  #: the site's zone, for times without one
    sender: str = ""  #: the system that handed the payload over, where the payload does not name it
    reports: bool = False  #: reports about ECGs in HL7 messages without samples are taken as documents
    allowed_roots: tuple[Path, ...] = ()  #: folders an HL7 reference pointer (RP) may lead into
    outcome_table: SiteTable = NO_TABLE  #: the site's own codes, names and units of outcomes
    order_table: OrderTable = ANY_ORDER  #: which orders are taken, and where they hold the accession number
    one_person: Callable[[Patient, Patient], bool] = no_merges  #: whether merges make both descriptions one person's


#: For files outside a hospital: times are UTC where a file names no zone, patient numbers belong to the authority FILE.
NO_SITE = ReadingContext(default_authority="FILE", zone=UTC)


def require_length(samples: int) -> None:
    """Raises Refused `too-large` where so many samples, of all leads together, are no resting ECG."""
    if samples > MAX_SAMPLES:
        raise Refused("too-large", f"{samples} samples in all leads; {MAX_SAMPLES} are read at most")
