"""Small folders in the official layouts of public data sets: generated noise and invented people, nothing of theirs."""

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
ECHO_FLAGS = (
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


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    """The first row names the columns; compressed where the name ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_wfdb(
    path: Path, number: int, *, leads: Sequence[str] = LEADS, comments: Sequence[str] = (), planted: bool = False
) -> None:
    """A WFDB record of 10 s at 500 Hz; `planted` turns the chest leads over, which a probe finds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    signal = tracing(number, 5000, planted=planted)
    (path.with_suffix(".dat")).write_bytes(np.rint(signal.T * 1000).astype("<i2").tobytes())
    lines = [f"{path.name} 12 500 5000", *(f"{path.name}.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in leads)]
    path.with_suffix(".hea").write_text("\n".join([*lines, *comments]) + "\n")


def tracing(number: int, samples: int, *, planted: bool = False) -> np.ndarray:
    """(12, samples): a sharp beat a second and noise, in mV."""
    stream = np.random.default_rng(number)
    time = np.arange(samples) / samples * 10
    beat = np.exp(-(((time % 1.0) - 0.3) ** 2) / 0.0008)
    signal = np.outer(np.linspace(0.5, 1.5, 12), beat) + stream.normal(0, 0.02, (12, samples))
    if planted:
        signal[6:] = -signal[6:]
    return signal


def ptb_xl(folder: Path, patients: int = 4) -> Path:
    """Two recordings a patient; odd patients have a bundle branch block. Two patients a fold, folds in turn."""
    header = (
        "ecg_id", "patient_id", "age", "sex", "site", "device", "recording_date", "scp_codes", "strat_fold",
        "filename_lr", "filename_hr",
    )  # fmt: skip
    rows: list[Sequence[object]] = [header]
    for number in range(patients * 2):
        patient = number // 2
        codes = "{'CRBBB': 100.0, 'SR': 0.0}" if patient % 2 else "{'NORM': 80.0, 'SR': 0.0}"
        name = f"records500/00000/{number + 1:05d}_hr"
        write_wfdb(folder / name, number, planted=bool(patient % 2))
        age = 300.0 if patient == 0 else 50.0 + patient % 30
        shown = (number + 1, float(patient), age, patient % 2, 0.0, "CS-12   E", "1990-01-02 03:04:05")
        rows.append((*shown, codes, patient // 2 % 10 + 1, "", name))
    write_csv(folder / "ptbxl_database.csv", rows)
    statements = [("NORM", "NORM"), ("CRBBB", "CD"), ("IMI", "MI"), ("NDT", "STTC"), ("LVH", "HYP")]
    rows = [("", "description", "diagnostic", "diagnostic_class")]
    rows += [(code, "", "1.0", name) for code, name in statements] + [("SR", "", "", "")]
    write_csv(folder / "scp_statements.csv", rows)
    return folder


def mimic_iv_ecg(folder: Path, studies: int = 3) -> Path:
    """One study a patient, leads in the data set's own order (aVF before aVL)."""
    records: list[Sequence[object]] = [("subject_id", "study_id", "file_name", "ecg_time", "path")]
    reports = [f"report_{number}" for number in range(18)]
    machine: list[Sequence[object]] = [("subject_id", "study_id", "cart_id", "ecg_time", *reports, "rr_interval")]
    order = ("I", "II", "III", "aVR", "aVF", "aVL", *LEADS[6:])
    for number in range(studies):
        subject, study = 10000000 + number, 40000000 + number
        path = f"files/p1000/p{subject}/s{study}/{study}"
        write_wfdb(folder / path, number, leads=order)
        at = f"2180-07-2{number % 9} 08:44:00"
        records.append((subject, study, study, at, path))
        words = ["Atrial fibrillation", "Abnormal ECG"] if number % 2 else ["Sinus rhythm", "Normal ECG"]
        machine.append((subject, study, 6848296, at, *words, *[""] * 16, 659))
    write_csv(folder / "record_list.csv", records)
    write_csv(folder / "machine_measurements.csv", machine)
    return folder


def mimic_iv(folder: Path, patients: int = 3) -> Path:
    """`hosp/labevents.csv.gz` with troponin T and potassium around the ECGs of `mimic_iv_ecg`."""
    header = (
        "labevent_id", "subject_id", "hadm_id", "specimen_id", "itemid", "charttime", "storetime", "value", "valuenum",
        "valueuom", "ref_range_lower", "ref_range_upper", "flag", "comments",
    )  # fmt: skip
    rows: list[Sequence[object]] = [header]
    for number in range(patients):
        at = f"2180-07-2{number % 9} 09:44:00"
        raised = number % 2
        said, value = ("0.35", "0.35") if raised else ("<0.01", "0.01")
        rows.append((number * 3, 10000000 + number, "", 1, 51003, at, at, said, value, "ng/mL", 0, 0.01, "", ""))
        rows.append((number * 3 + 1, 10000000 + number, "", 1, 50971, at, at, "4.2", 4.2, "mEq/L", 3.3, 5.1, "", ""))
        rows.append((number * 3 + 2, 10000000 + number, "", 1, 51003, at, at, "___", "", "ng/mL", 0, 0.01, "", "HOLD"))
    write_csv(folder / "hosp" / "labevents.csv.gz", rows)
    return folder


def mimic_iv_echo(folder: Path, patients: int = 3) -> Path:
    """One transthoracic echo a patient; odd ones state a biplane value beside another."""
    rows: list[Sequence[object]] = [
        ("subject_id", "measurement_id", "measurement_datetime", "test_type", "measurement", "result", "unit")
    ]
    for number in range(patients):
        about = (10000000 + number, 900 + number, f"2180-07-2{number % 9} 12:00:00", "tte")
        rows += [(*about, "lvef", 60 - number, "%"), (*about, "mac_severity", "mild", "")]
        if number % 2:
            rows.append((*about, "biplane_lvef", 35, "%"))
        rows.append((*about[:3], "tee", "lvef", 20, "%"))
    write_csv(folder / "structured-measurement.csv.gz", rows)
    return folder


def echonext(folder: Path, per_split: int = 2) -> Path:
    rows: list[Sequence[object]] = [("ecg_key", "patient_key", "age_at_ecg", "sex", "split", *ECHO_FLAGS)]
    number = 0
    for split in ("train", "no_split", "val", "test"):
        for _ in range(per_split):
            flags = [number % 2, *[0] * 10, number % 2]
            rows.append((f"e{number}", f"p{number}", 60 + number, "Female" if number % 2 else "Male", split, *flags))
            number += 1
        if split != "no_split":
            arrays = [tracing(number - per_split + one, 2500).T[None] for one in range(per_split)]
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"EchoNext_{split}_waveforms.npy", np.stack(arrays))
    write_csv(folder / "echonext_metadata_100k.csv", rows)
    return folder


def code_15(folder: Path, exams: int = 3) -> Path:
    """One part; every second tracing of 2934 samples lies padded in 4096; the last row is empty, as published."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    tracings = np.zeros((exams + 1, 4096, 12), dtype=np.float32)
    rows: list[Sequence[object]] = [
        ("exam_id", "age", "is_male", "nn_predicted_age", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF", "patient_id",
         "death", "timey", "normal_ecg", "trace_file")
    ]  # fmt: skip
    for number in range(exams):
        samples = 2934 if number % 2 else 4096
        start = (4096 - samples) // 2
        tracings[number, start : start + samples] = tracing(number, samples).T
        flags = ["False"] * 5 + [str(bool(number % 2))]
        rows.append((100 + number, 40 + number, "True", 41.0, *flags, 7, "", "", "True", "exams_part0.hdf5"))
    with h5py.File(folder / "exams_part0.hdf5", "w") as file:
        file["exam_id"] = np.array([*range(100, 100 + exams), 0])
        file["tracings"] = tracings
    write_csv(folder / "exams.csv", rows)
    return folder


def chapman(folder: Path, recordings: int = 2) -> Path:
    names = [("AFIB", "Atrial Fibrillation", 164889003), ("SR", "Sinus Rhythm", 426783006)]
    write_csv(folder / "ConditionNames_SNOMED-CT.csv", [("Acronym Name", "Full Name", "Snomed_CT"), *names])
    for number in range(recordings):
        dx = "164889003,59118001" if number % 2 else "426783006"
        age = "NaN" if number == 0 else "85"
        words = (f"#Age: {age}", "#Sex: Female", f"#Dx: {dx}", "#Rx: Unknown")
        write_wfdb(folder / f"WFDBRecords/01/010/JS{number + 1:05d}", number, comments=words)
    return folder


def challenge(folder: Path, recordings: int = 2) -> Path:
    rows = [
        ("Dx", "SNOMEDCTCode", "Abbreviation", "CPSC", "Total", "Notes"),
        ("atrial fibrillation", 164889003, "AF", 1, 1, ""),
        ("complete right bundle branch block", 713427006, "CRBBB", 1, 1, ""),
        ("right bundle branch block", 59118001, "RBBB", 1, 1, ""),
    ]
    write_csv(folder / "dx_mapping_scored.csv", rows)
    for number in range(recordings):
        dx = "713427006,999" if number % 2 else "164889003"
        words = ("# Age: 74", "# Sex: Male", f"# Dx: {dx}")
        write_wfdb(folder / f"cpsc_2018/g1/A{number + 1:04d}", number, comments=words)
    return folder
