"""Identifiers of an ECG that say nothing without a key, and are the same wherever the key is the same.

HMAC-SHA-256 (FIPS 198-1) of what is identified, the first 128 bits in hexadecimal. Whoever has the key can tell whose a
pseudonym is by trying numbers; the key therefore stays where the numbers are.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ecgfm_clinical.errors import InputError
from ecgfm_connectors.ecg import Ecg

#: Bytes of the shortest key: as many as a pseudonym has.
SHORTEST_KEY = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Pseudonyms:
    """Empty where the source names nothing."""

    patient: str  #: of the identifier that the source names first, with its authority
    also: tuple[str, ...]  #: of the patient's other identifiers
    recording: str  #: of the sender's identity of this recording: SOP Instance UID and the like
    accession: str


def read_key(path: Path) -> bytes:
    """The key in a file, white space around it left out. Raises InputError."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}; make a key with `openssl rand -hex 32 > {path}`, "
            "readable by this user only"
        ) from error
    if len(key) < SHORTEST_KEY:
        raise InputError(
            f"{path} holds {len(key)} bytes; a key has {SHORTEST_KEY} at least: `openssl rand -hex 32 > {path}`"
        )
    return key


def pseudonyms_of(ecg: Ecg, key: bytes) -> Pseudonyms:
    """Two ECGs have one patient pseudonym exactly where authority, kind and number are one identity."""
    people = [pseudonym(key, "patient", *one.identity) for one in ecg.patient.identifiers]
    return Pseudonyms(
        patient=people[0] if people else "",
        also=tuple(people[1:]),
        recording=pseudonym(key, "recording", ecg.source_id) if ecg.source_id else "",
        accession=pseudonym(key, "accession", ecg.order.accession) if ecg.order.accession else "",
    )


def pseudonym(key: bytes, kind: str, *words: str) -> str:
    """32 hexadecimal digits; `kind` keeps equal numbers of different things apart."""
    content = b"".join(
        len(one).to_bytes(4, "big") + one for one in (word.encode("utf-8", "surrogatepass") for word in (kind, *words))
    )
    return hmac.new(key, content, sha256).hexdigest()[:32]
