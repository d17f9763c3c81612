"""The identifying part of an `ecg` row: opened here and nowhere else."""

from ecgfm_clinical.staging import seals
from ecgfm_clinical.staging.codec import PrivatePart, private_from
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.transaction import Reading


def private_of(reading: Reading, row: EcgVersion) -> PrivatePart:
    """The identifying part of an `ecg` row."""
    return private_from(seals.ECG.open(reading.keyring, row))
