"""Measured outcomes of MIMIC-IV's patients: troponin and any other laboratory item from `hosp/labevents.csv`, LVEF from
MIMIC-IV-Echo.

Both are credentialed data. A result becomes a label by the same rules as a hospital's own (nearest echo within its
window, troponin against its own upper limit near the ECG), so that nothing is decided here but what a row says.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from ecgfm.datasets.entry import Measured
from ecgfm.datasets.tables import existing, instant, number, rows, whole

#: `hosp/d_labitems.csv`: 51003 Troponin T. The published preprocessing code of ECG-FM lists it, without a threshold.
TROPONIN_T = ("51003",)
#: MIMIC-IV-Echo's structured field of the ejection fraction, the biplane one first.
LVEF = ("biplane_lvef", "lvef")


def laboratory(hospital: Path, items: Sequence[str], *, kind: str) -> Iterator[Measured]:
    """Numeric results of these laboratory items in `hosp/labevents.csv(.gz)`, as they stand there. Raises DataError.

    `kind` is what the settings of a head call it (`potassium`), or `troponin`.

    A result without a number, such as one that is pending, is passed over. `<` before the value, as in `<0.01`, is kept
    as a comparator: `valuenum` alone would read it as the limit itself.
    """
    path = hospital / "hosp" / "labevents.csv"
    wanted = set(items)
    columns = ("labevent_id", "subject_id", "itemid", "charttime", "value", "valuenum", "valueuom", "ref_range_upper")
    for row in rows(path, columns):
        if row["itemid"].strip() not in wanted:
            continue
        said = row["value"].strip()
        comparator = said[0] if said[:1] in ("<", ">") else ""
        value = number(said.lstrip("<>= ")) if comparator else number(row["valuenum"]) or number(said)
        if value is None or not row["charttime"].strip():
            continue
        limit = number(row["ref_range_upper"])
        yield Measured(
            patient=whole(row["subject_id"]),
            kind=kind,
            value=value,
            comparator=comparator,  # type: ignore[arg-type]  # one of the two letters, or none
            unit=row["valueuom"].strip(),
            observed_at=instant(row["charttime"], existing(path), "charttime"),
            result_id=f"labevents-{row['labevent_id'].strip()}",
            code=f"MIMIC|{row['itemid'].strip()}",
            assay="T" if row["itemid"].strip() in TROPONIN_T else "",
            upper_reference_limit=limit if limit and limit > 0 else None,
        )


def ejection_fractions(echo: Path) -> Iterator[Measured]:
    """LVEF of transthoracic echoes in MIMIC-IV-Echo's `structured-measurement.csv(.gz)`. Raises DataError.

    The fields of one echo stand one after the other; where it states both, the biplane value is the one that counts. A
    result that is no number is passed over.
    """
    path = echo / "structured-measurement.csv"
    columns = ("subject_id", "measurement_id", "measurement_datetime", "test_type", "measurement", "result")
    stated = (row for row in rows(path, columns) if row["measurement"].strip().lower() in LVEF)
    transthoracic = (
        row for row in stated if row["test_type"].strip().lower() == "tte" and number(row["result"]) is not None
    )
    for (patient, study), fields in groupby(
        transthoracic, lambda row: (whole(row["subject_id"]), row["measurement_id"])
    ):
        row = min(fields, key=lambda row: LVEF.index(row["measurement"].strip().lower()))
        value = number(row["result"])
        assert value is not None
        yield Measured(
            patient=patient,
            kind="lvef",
            value=value,
            unit="%",
            observed_at=instant(row["measurement_datetime"], existing(path), "measurement_datetime"),
            result_id=f"echo-{study.strip()}",
            assay="biplane" if row["measurement"].strip().lower() == LVEF[0] else "",
        )
