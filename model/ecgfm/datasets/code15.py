"""CODE-15 %: `exams.csv` and `exams_part*.hdf5` with `exam_id` and `tracings` (exams, 4096, 12) at 400 Hz.

A tracing shorter than 4096 samples is padded with zeros at both ends; the padding is no part of the recording. There is
no official split.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ecgfm.datasets.entry import DataSet, Entry
from ecgfm.datasets.tables import flag, number, rows, whole
from ecgfm.errors import DataError
from ecgfm.recording_containers import hdf5_file, without_padding

LABELS = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
RATE = 400.0
_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def entries(folder: Path) -> Iterator[Entry]:
    """One an exam whose part is in the folder, part after part. Raises DataError."""
    path = folder / "exams.csv"
    exams = {whole(row["exam_id"]): row for row in rows(path, ("exam_id", "age", "is_male", "patient_id", *LABELS))}
    parts = sorted(folder.glob("exams_part*.hdf5"), key=lambda part: (len(part.name), part.name))
    if not parts:
        raise DataError(f"{folder} holds no exams_part*.hdf5; unpack exams_part*.zip there")
    for part in parts:
        for row_number, exam, samples in _tracings(part):
            if exam == "0":  # every part ends with an empty row
                continue
            row = exams.get(exam)
            if row is None:
                raise DataError(f"{path}: column exam_id lacks an exam of {part.name}, row {row_number}")
            yield Entry(
                recording=f"{part.name}#{row_number}",
                patient=whole(row["patient_id"]),
                labels={label: flag(row[label], path, label) for label in LABELS},
                age=number(row["age"]),
                sex={1.0: "M", 0.0: "F", None: ""}[flag(row["is_male"], path, "is_male")],  # type: ignore[arg-type]  # a letter
                unit="mV",
                leads=_LEADS,
                samples=samples,
                sampling_rate=RATE,
            )


def _tracings(part: Path) -> Iterator[tuple[int, str, int]]:
    """(row, exam, samples without padding), one tracing in memory at a time."""
    with hdf5_file(part) as file:
        absent = [name for name in ("exam_id", "tracings") if name not in file]
        if absent:
            raise DataError(f"{part}: no data set {', '.join(absent)}")
        tracings = file["tracings"]
        for row_number, exam in enumerate(np.asarray(file["exam_id"])):
            samples = without_padding(np.asarray(tracings[row_number]).T).shape[1] if int(exam) else 0
            yield row_number, str(int(exam)), samples


CODE_15 = DataSet(
    name="code-15",
    title="CODE-15 %: a large scale annotated dataset of 12-lead ECGs",
    version="1.0.0",
    url="https://zenodo.org/records/4916206",
    access="open",
    licence="CC BY 4.0",
    citation="Ribeiro AH, Paixao GMM, Lima EM, et al. CODE-15 %. Zenodo 2021. doi:10.5281/zenodo.4916206",
    folds="none; this program splits by patient",
    layout="exams.csv, exams_part*.hdf5",
    notes="Amplitudes are read as mV, as the George B. Moody PhysioNet Challenge 2025 prepares them. The network "
    "z-scores each lead; only rules about millivolts are concerned.",
    entries=entries,
)
