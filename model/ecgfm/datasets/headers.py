"""The comments of WFDB headers in which the PhysioNet challenges and Chapman-Shaoxing keep age, sex and diagnoses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecgfm.datasets.tables import number, rows
from ecgfm.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Comments:
    """`#Age`, `#Sex` and `#Dx` of one header."""

    age: float | None
    sex: Literal["M", "F", ""]
    codes: tuple[str, ...]  #: SNOMED CT


def headers(folder: Path) -> Iterator[Path]:
    """Every header below a folder, in a stable order. Raises DataError for none."""
    found = False
    for path in sorted(folder.rglob("*.hea")):
        found = True
        yield path
    if not found:
        raise DataError(f"{folder} holds no .hea file in any of its folders")


def comments(path: Path) -> Comments:
    """Raises DataError where the header cannot be read or has no `Dx` line."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    parts = (line.lstrip("#").partition(":") for line in lines if line.startswith("#"))
    told = {name.strip().lower(): value.strip() for name, _, value in parts}
    if "dx" not in told:
        raise DataError(f"{path}: no comment line `#Dx:`, which names the diagnoses")
    age = number(told.get("age", ""))
    sexes: Mapping[str, Literal["M", "F"]] = {"male": "M", "m": "M", "female": "F", "f": "F"}
    return Comments(
        age=age if age is not None and 0 <= age <= 120 else None,
        sex=sexes.get(told.get("sex", "").lower(), ""),
        codes=tuple(dict.fromkeys(code.strip() for code in told["dx"].split(",") if code.strip().isdigit())),
    )


def dictionary(path: Path, *, code: str, name: str) -> dict[str, str]:
    """SNOMED CT code -> the data set's abbreviation; of two names of one code the first. Raises DataError."""
    found: dict[str, str] = {}
    for row in rows(path, (code, name)):
        if row[code].strip():
            found.setdefault(row[code].strip(), row[name].strip())
    return found
