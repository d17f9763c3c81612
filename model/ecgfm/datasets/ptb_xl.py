"""PTB-XL 1.0.3: `ptbxl_database.csv`, `scp_statements.csv`, recordings under `records500`.

Labels are the five diagnostic superclasses, each present where any diagnostic SCP statement of it is, whatever its
likelihood, as in the data set's own `example_physionet.py`. Folds 1 to 8 train, 9 validates, 10 tests (Wagner et al.
2020, doi:10.1038/s41597-020-0495-6).
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from ecgfm.datasets.entry import DataSet, Entry, Split
from ecgfm.datasets.tables import existing, number, rows, whole
from ecgfm.errors import DataError

CLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "site", "device", "recording_date", "scp_codes", "strat_fold")


def entries(folder: Path) -> Iterator[Entry]:
    """One a line of the data set's table. Raises DataError."""
    classes = _classes(folder / "scp_statements.csv")
    path = folder / "ptbxl_database.csv"
    for row in rows(path, (*_COLUMNS, "filename_hr")):
        codes = _codes(row["scp_codes"], existing(path))
        present = {classes.get(code) for code in codes}
        age = number(row["age"])
        yield Entry(
            recording=row["filename_hr"],
            patient=whole(row["patient_id"]),
            labels={name: float(name in present) for name in CLASSES},
            split=_split(row["strat_fold"], existing(path)),
            fold=whole(row["strat_fold"]),
            age=age if age is not None and age <= 120 else None,  # 300 stands for "older than 89"
            sex={"0": "M", "1": "F"}.get(whole(row["sex"]), ""),  # type: ignore[arg-type]  # one of the two letters
            recorded_at=row["recording_date"].replace(" ", "T"),
            device=row["device"].strip(),
            site=whole(row["site"]),
            codes=tuple(f"SCP:{code}" for code in codes),
        )


def _classes(path: Path) -> Mapping[str, str]:
    """Diagnostic statement -> superclass."""
    found = {
        (row.get("") or next(iter(row.values()))): row["diagnostic_class"]
        for row in rows(path, ("diagnostic", "diagnostic_class"))
        if number(row["diagnostic"]) == 1
    }
    if not set(CLASSES) <= set(found.values()):
        raise DataError(f"{path}: column diagnostic_class does not name {', '.join(CLASSES)}")
    return found


def _codes(text: str, path: Path) -> tuple[str, ...]:
    try:
        told = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        told = None
    if not isinstance(told, dict):
        raise DataError(f"{path}: column scp_codes holds no dictionary of SCP statements")
    return tuple(str(code) for code in told)


def _split(fold: str, path: Path) -> Split:
    found = number(fold)
    if found is None or found not in range(1, 11):
        raise DataError(f"{path}: column strat_fold holds {fold[:20]!r}; 1 to 10 are expected")
    return "test" if found == 10 else "validation" if found == 9 else "train"


PTB_XL = DataSet(
    name="ptb-xl",
    title="PTB-XL, a large publicly available electrocardiography dataset",
    version="1.0.3",
    url="https://physionet.org/content/ptb-xl/1.0.3/",
    access="open, without registration",
    licence="CC BY 4.0",
    citation="Wagner P, Strodthoff N, Bousseljot R, et al. Scientific Data 2020; 7:154. doi:10.1038/s41597-020-0495-6",
    folds="strat_fold: 1 to 8 train, 9 validation, 10 test; by patient",
    layout="ptbxl_database.csv, scp_statements.csv, records500/",
    entries=entries,
    in_pretraining=True,
)
