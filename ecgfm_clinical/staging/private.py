"""The identifying part of an `ecg` row: opened here and nowhere else."""

import json
from typing import Any

from ecgfm_clinical.staging import seals
from ecgfm_clinical.staging.transaction import Reading


def private_of(reading: Reading, row: Any) -> dict[str, Any]:
    """The identifying part of an `ecg` row."""
    told: dict[str, Any] = json.loads(seals.ECG.open(reading.keyring, row))
    return told
