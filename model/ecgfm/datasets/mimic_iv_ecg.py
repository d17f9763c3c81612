"""MIMIC-IV-ECG 1.0: `record_list.csv`, `machine_measurements.csv`, recordings under `files`.

The cart's words (`report_0` to `report_17`) come along as statements; the interpretation labels of a recording follow
from them. There is no official split. Measured outcomes of the same patients: `ecgfm.datasets.mimic_iv`.
"""

from collections.abc import Iterator
from pathlib import Path

from ecgfm.datasets.entry import DataSet, Entry
from ecgfm.datasets.tables import instant, rows
from ecgfm.errors import DataError

_REPORTS = tuple(f"report_{number}" for number in range(18))


def entries(folder: Path) -> Iterator[Entry]:
    """One a line of `record_list.csv`, joined with the machine's report by study. Raises DataError.

    Both tables are in the order of `study_id` of each subject as published; they are read side by side, so that nothing
    is held for the whole data set. Where a line has no partner at the same place, all reports are read at once.
    """
    records = folder / "record_list.csv"
    reports = _Reports(folder / "machine_measurements.csv")
    for row in rows(records, ("subject_id", "study_id", "file_name", "ecg_time", "path")):
        at = instant(row["ecg_time"], records, "ecg_time")
        if not row["path"].strip():
            raise DataError(f"{records}: column path is empty for a study")
        statements, cart = reports.of(row["study_id"].strip())
        yield Entry(
            recording=row["path"].strip(),
            patient=row["subject_id"].strip(),
            recorded_at=at.isoformat(),
            device=cart,
            statements=statements,
        )


class _Reports:
    """The machine's words by study, read as they are asked for."""

    def __init__(self, path: Path) -> None:
        self._rows = rows(path, ("study_id", "cart_id", *_REPORTS))
        self._kept: dict[str, tuple[tuple[str, ...], str]] = {}

    def of(self, study: str) -> tuple[tuple[str, ...], str]:
        """(statements, cart); empty where the machine's table lacks the study."""
        while study not in self._kept:
            row = next(self._rows, None)
            if row is None:
                return (), ""
            words = tuple(text for name in _REPORTS if (text := row[name].strip()))
            self._kept[row["study_id"].strip()] = words, row["cart_id"].strip()
        return self._kept.pop(study)


MIMIC_IV_ECG = DataSet(
    name="mimic-iv-ecg",
    title="MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset",
    version="1.0",
    url="https://physionet.org/content/mimic-iv-ecg/1.0/",
    access="open, without registration; the outcomes (MIMIC-IV, MIMIC-IV-Echo) need a credentialed PhysioNet account",
    licence="ODbL 1.0 (recordings); PhysioNet Credentialed Health Data License (MIMIC-IV, MIMIC-IV-Echo)",
    citation="Gow B, Pollard T, Nathanson LA, et al. MIMIC-IV-ECG. PhysioNet 2023. doi:10.13026/4nqg-sb35",
    folds="none; this program splits by patient",
    layout="record_list.csv, machine_measurements.csv, files/",
    notes="Labels from machine-read words are not a cardiologist's truth.",
    entries=entries,
    in_pretraining=True,
)
