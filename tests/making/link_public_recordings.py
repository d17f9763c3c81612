"""Lays out freely licensed public recordings for the demo encoder, as links to where they lie; none of them is copied.

`python -m tests.making.link_public_recordings INDEX.tsv OUT` reads a table of files (columns path, format, licence, …;
paths relative to the table) and makes `OUT/pretrain` and `OUT/probe`. Only recordings under CC-BY, CC0 or MIT are
taken. PTB-XL's folds 1 to 5 are for pretraining and 6 to 10 for the probe, with their diagnostic superclasses in
`OUT/probe/labels.csv`; a fold never shares a patient.
"""

import argparse
import csv
import re
from pathlib import Path

FREE = re.compile(r"CC-BY(?!-N)|CC0")  # of the data; every repository licence beside it is permissive
PRETRAIN = ("wfdb_cinc2020", "wfdb_cinc2021", "wfdb_chapman", "mat_code15")
PTBXL = "wfdb_ptbxl500"
PROBE_FOLDS = range(6, 11)
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")


def link(source: Path, target: Path) -> None:
    """`target` becomes a link to `source`; an older link of that name is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def recordings(index: Path) -> list[dict[str, str]]:
    """The table's freely licensed files of the formats above that hold or head a recording."""
    with index.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    wanted = (*PRETRAIN, PTBXL)
    return [
        row
        for row in rows
        if row["format"] in wanted
        and FREE.search(row["licence"])
        and Path(row["path"]).suffix in (".hea", ".mat", ".dat")
    ]


def main() -> None:
    """Make the links and the label table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    rows = recordings(arguments.index)
    folds = {
        str(Path(row["path"]).with_suffix("")): int(found.group(1))
        for row in rows
        if (found := re.search(r"fold (\d+)", row["labels"]))
    }
    labelled: list[tuple[str, ...]] = []
    for row in rows:
        path = Path(row["path"])
        held_out = row["format"] == PTBXL and folds.get(str(path.with_suffix("")), 0) in PROBE_FOLDS
        name = Path(row["format"]) / path.name
        link(arguments.index.parent / path, arguments.out / ("probe" if held_out else "pretrain") / name)
        if held_out and path.suffix == ".hea":
            named = re.search(r"superclass ([A-Z+]+)", row["labels"])
            classes = set(named.group(1).split("+")) if named else set()
            labelled.append((name.as_posix(), *(str(int(label in classes)) for label in SUPERCLASSES)))
    with (arguments.out / "probe" / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("recording", *SUPERCLASSES), *labelled])
    print(f"{len(rows)} files linked, {len(labelled)} recordings held out for the probe")


if __name__ == "__main__":
    main()
