"""EchoNext 1.1: `echonext_metadata_100k.csv` and `EchoNext_{train,val,test}_waveforms.npy`, (ECGs, 1, 2500, 12) at
250 Hz.

A row of an array belongs to the row of the same number among the table's rows of that split. The arrays are normalised:
amplitudes are in no unit, so that rules about millivolts do not apply to them (the network z-scores each lead anyway).
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ecgfm.datasets.entry import DataSet, Entry, Split
from ecgfm.datasets.tables import existing, flag, number, rows
from ecgfm.errors import DataError

LABELS = (
    "lvef_lte_45_flag",
    "lvwt_gte_13_flag",
    "aortic_stenosis_moderate_or_greater_flag",
    "aortic_regurgitation_moderate_or_greater_flag",
    "mitral_regurgitation_moderate_or_greater_flag",
    "tricuspid_regurgitation_moderate_or_greater_flag",
    "pulmonary_regurgitation_moderate_or_greater_flag",
    "rv_systolic_dysfunction_moderate_or_greater_flag",
    "pericardial_effusion_moderate_large_flag",
    "pasp_gte_45_flag",
    "tr_max_gte_32_flag",
    "shd_moderate_or_greater_flag",
)
_SPLITS: dict[str, Split] = {"train": "train", "val": "validation", "test": "test", "no_split": ""}
_SEXES: dict[str, Literal["M", "F"]] = {"m": "M", "male": "M", "f": "F", "female": "F"}
_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SAMPLES, RATE = 2500, 250.0


def entries(folder: Path) -> Iterator[Entry]:
    """One a row of the table; rows of `no_split` have no array and are passed over. Raises DataError."""
    path = _table(folder)
    counted: Counter[str] = Counter()
    for row in rows(path, ("patient_key", "age_at_ecg", "sex", "split", *LABELS)):
        name = row["split"].strip()
        if name not in _SPLITS:
            raise DataError(f"{path}: column split holds {name[:20]!r}; {', '.join(_SPLITS)} are expected")
        number_in_split = counted[name]
        counted[name] += 1
        if name == "no_split":
            continue
        yield Entry(
            recording=f"EchoNext_{name}_waveforms.npy#{number_in_split}",
            patient=row["patient_key"].strip(),
            labels={label: flag(row[label], path, label) for label in LABELS},
            split=_SPLITS[name],
            fold=name,
            age=number(row["age_at_ecg"]),
            sex=_SEXES.get(row["sex"].strip().lower(), ""),
            unit="arbitrary",
            leads=_LEADS,
            samples=SAMPLES,
            sampling_rate=RATE,
        )


def _table(folder: Path) -> Path:
    """Releases spell its name in two ways."""
    for name in ("echonext_metadata_100k.csv", "EchoNext_metadata_100k.csv"):
        if (folder / name).is_file():
            return folder / name
    return existing(folder / "echonext_metadata_100k.csv")


ECHONEXT = DataSet(
    name="echonext",
    title="EchoNext: echocardiogram-confirmed structural heart disease from ECGs",
    version="1.1",
    url="https://physionet.org/content/echonext/",
    access="restricted: a PhysioNet account and the data use agreement",
    licence="PhysioNet Restricted Health Data License 1.5.0",
    citation="Elias P, Finer J. EchoNext. PhysioNet 2025. doi:10.13026/r9pp-3y42",
    folds="split: train, val, test; no_split has no recordings",
    layout="echonext_metadata_100k.csv, EchoNext_{train,val,test}_waveforms.npy",
    notes="Amplitudes are normalised, not in mV.",
    entries=entries,
)
