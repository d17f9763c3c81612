"""The staging store as a source of pretraining recordings: signals and opaque patient keys, nobody's name or number."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ecgfm.errors import RecordingError
from ecgfm.recording_files import Recording
from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging.cohort_rows import EcgRow
from ecgfm_clinical.staging.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedRecordings:
    """Every ECG of the store in its newest version, test data left out. Each process opens the store for itself."""

    settings: Path  #: of the settings file, because an open store cannot be handed to another process
    open_store: Callable[
        [Path], Store
    ]  #: opens the store of a settings file; a function of a module, so that it travels

    def keys(self) -> list[str]:
        """Oldest first. Raises StoreError, SettingsError."""
        return list(_rows(self.settings, self.open_store))

    def fingerprint(self, keys: Sequence[str]) -> str:
        """Over the ECGs and whom they belong to: a merge of two patients changes the shards that hold their ECGs."""
        rows = _rows(self.settings, self.open_store)
        told = "\n".join(f"{key} {rows[key].patient} {rows[key].samples}" for key in keys)
        return hashlib.sha256(told.encode()).hexdigest()

    def read(self, key: str) -> Recording:
        """Raises RecordingError where retention has removed the signal."""
        try:
            (ecg,) = _store(self.settings, self.open_store).cohorts.recordings([key])
        except NotFound as error:
            raise RecordingError(f"{key}: {error}") from error
        row = _rows(self.settings, self.open_store)[key]
        return Recording(
            patient=row.patient,
            signal=ecg.signal,
            sampling_rate=ecg.sampling_rate,
            in_millivolts=True,
            derived=bool(ecg.derived_leads),
        )


@lru_cache(maxsize=1)
def _store(settings: Path, open_store: Callable[[Path], Store]) -> Store:
    return open_store(settings)


@lru_cache(maxsize=1)
def _rows(settings: Path, open_store: Callable[[Path], Store]) -> dict[str, EcgRow]:
    return {
        row.key: row
        for row in _store(settings, open_store).cohorts.ecgs()
        if not row.test_data and not (row.superseded or row.doubtful or row.objected)
    }
