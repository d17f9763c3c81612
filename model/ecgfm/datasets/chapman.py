"""Chapman-Shaoxing-Ningbo (PhysioNet `ecg-arrhythmia` 1.0.0): `WFDBRecords/` and `ConditionNames_SNOMED-CT.csv`.

Diagnoses stand as SNOMED CT codes in the headers' comments; a label is the acronym of the data set's own table. One
recording a patient. There is no official split.
"""

from collections.abc import Iterator
from pathlib import Path

from ecgfm.datasets.entry import DataSet, Entry
from ecgfm.datasets.headers import comments, dictionary, headers


def entries(folder: Path) -> Iterator[Entry]:
    """One a header. A code that the table does not name stays among the codes and is no label. Raises DataError."""
    names = dictionary(folder / "ConditionNames_SNOMED-CT.csv", code="Snomed_CT", name="Acronym Name")
    labels = tuple(dict.fromkeys(names.values()))
    for path in headers(folder):
        said = comments(path)
        present = {names.get(code) for code in said.codes}
        yield Entry(
            recording=path.relative_to(folder).as_posix(),
            patient=path.stem,
            labels={name: float(name in present) for name in labels},
            age=said.age,
            sex=said.sex,
            codes=tuple(f"SNOMED:{code}" for code in said.codes),
        )


CHAPMAN = DataSet(
    name="chapman-shaoxing",
    title="A large scale 12-lead electrocardiogram database for arrhythmia study (Chapman, Shaoxing, Ningbo)",
    version="1.0.0",
    url="https://physionet.org/content/ecg-arrhythmia/1.0.0/",
    access="open, without registration",
    licence="CC BY 4.0",
    citation="Zheng J, Chu H, Struppa D, et al. Scientific Reports 2020; 10:2898. doi:10.1038/s41598-020-59821-7",
    folds="none; one recording a patient",
    layout="ConditionNames_SNOMED-CT.csv, WFDBRecords/*/*/*.hea",
    entries=entries,
    in_pretraining=True,
)
