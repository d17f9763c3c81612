"""PhysioNet/CinC Challenges 2020 and 2021, CPSC 2018 among them: WFDB headers with `#Dx`, and the challenge's mapping.

`dx_mapping_scored.csv` (from the challenge's evaluation repository) gives the labels; it is looked for in the folder
and in the folder above. Patients are not named: each recording counts as a patient of its own, which the data sets do
not promise. The first folder below the data set's (`cpsc_2018`, `georgia`, `ptb-xl` …) is the site.
"""

from collections.abc import Iterator
from pathlib import Path

from ecgfm.datasets.entry import DataSet, Entry
from ecgfm.datasets.headers import comments, dictionary, headers
from ecgfm.errors import DataError

MAPPING = "dx_mapping_scored.csv"
#: Scored as one by the challenge: the right code counts as the left one.
SAME = {"713427006": "59118001", "63593006": "284470004", "17338001": "427172004", "733534002": "164909002"}


def entries(folder: Path) -> Iterator[Entry]:
    """One a header. Raises DataError."""
    names = _names(_mapping(folder))
    labels = {code: name for code, name in names.items() if SAME.get(code) not in names}
    for path in headers(folder):
        said = comments(path)
        present = {labels.get(code) or labels.get(SAME.get(code, "")) for code in said.codes}
        inside = path.relative_to(folder)
        yield Entry(
            recording=inside.as_posix(),
            patient=inside.with_suffix("").as_posix(),
            labels={name: float(name in present) for name in labels.values()},
            age=said.age,
            sex=said.sex,
            site=inside.parts[0] if len(inside.parts) > 1 else "",
            codes=tuple(f"SNOMED:{code}" for code in said.codes),
        )


def _names(mapping: Path) -> dict[str, str]:
    """Code -> abbreviation; the two challenges spell the column of codes differently."""
    with mapping.open(encoding="utf-8-sig") as file:
        older = "SNOMED CT Code" in file.readline()
    return dictionary(mapping, code="SNOMED CT Code" if older else "SNOMEDCTCode", name="Abbreviation")


def _mapping(folder: Path) -> Path:
    for candidate in (folder / MAPPING, folder.parent / MAPPING):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{folder / MAPPING} is not there; it comes with the challenge's evaluation code "
        "(github.com/physionetchallenges/evaluation-2021) and names the scored labels"
    )


CHALLENGE = DataSet(
    name="challenge-2021",
    title="PhysioNet/Computing in Cardiology Challenges 2020 and 2021 (CPSC, CPSC-Extra, Georgia, PTB-XL, Ningbo …)",
    version="1.0.3",
    url="https://physionet.org/content/challenge-2021/1.0.3/",
    access="open, without registration",
    licence="CC BY 4.0",
    citation="Reyna MA, Sadr N, Perez Alday EA, et al. Will Two Do? Computing in Cardiology 2021. "
    "doi:10.23919/CinC53138.2021.9662687",
    folds="none was published for the training data; patients are not named",
    layout=f"training/**/*.hea, {MAPPING}",
    notes="Some sources overlap with PTB-XL and Chapman-Shaoxing: a head of one of them saw these recordings.",
    entries=entries,
    in_pretraining=True,
)
