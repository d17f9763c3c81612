"""Whether a run's folder holds what its receipt says, and answers each row of its manifest exactly once."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ecgfm.digest import sha256
from ecgfm_clinical.backfill.disk import DATA_SETS, Place
from ecgfm_clinical.backfill.manifest import rows
from ecgfm_clinical.backfill.parts import Written
from ecgfm_clinical.backfill.plan import Plan, read_plan
from ecgfm_clinical.backfill.receipt import PartReceipt, Receipt, read_receipt
from ecgfm_clinical.files.reading import name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found."""

    receipt: Receipt
    problems: tuple[str, ...]  #: none where all is as the receipt says


def verify(place: Place) -> Verdict:
    """Read all of it again. Raises InputError where there is no receipt."""
    receipt = read_receipt(place)
    return Verdict(receipt=receipt, problems=tuple(_problems(place, receipt)))


def _problems(place: Place, receipt: Receipt) -> Iterator[str]:
    plan = receipt.plan
    if read_plan(place) != plan:
        yield f"{place.plan} and the receipt name different runs"
    if not place.manifest.is_file() or sha256(place.manifest) != plan.manifest.sha256:
        yield f"{place.manifest} is not the manifest of the receipt"
        return
    if [one.rows for one in receipt.parts] != [len(plan.rows_of(number)) for number in range(plan.parts)]:
        yield "the parts of the receipt do not cover the rows of the manifest"
        return
    yield from _file(place.unreadable, receipt.unreadable)
    every = rows(place)
    for number, part in enumerate(receipt.parts):
        named = [name_of(row.path) for row in islice(every, part.rows)]
        wrong = [said for name, one in part.files.items() for said in _file(place.part(name, number), one)]
        yield from wrong or _answers(place.part("predictions", number), part, named)
    yield from _strays(place, plan, receipt)


def _file(path: Path, wanted: Written) -> Iterator[str]:
    try:
        if sha256(path) != wanted.sha256:
            yield f"{path} has other bytes than the receipt says"
    except OSError as error:
        yield f"{path} cannot be read: {error.strerror}"


def _answers(path: Path, part: PartReceipt, named: list[str]) -> Iterator[str]:
    """Each of the rows has its ECGs, numbered from 0, in order; or was passed over as no recording."""
    from pyarrow import parquet

    table = parquet.read_table(path, columns=["file", "ecg"])
    waiting, missing, last = iter(named), 0, ("", -1)
    for file, ecg in zip(table["file"].to_pylist(), table["ecg"].to_pylist(), strict=True):
        if (file, ecg) != (last[0], last[1] + 1):
            skipped = next((count for count, name in enumerate(waiting) if name == file), None)
            if skipped is None or ecg != 0:
                yield f"{path} answers a file twice, or one that the manifest does not have there"
                return
            missing += skipped
        last = (file, ecg)
    missing += sum(1 for _ in waiting)
    if missing != part.outcomes["passed over"] or sum(part.outcomes.values()) - missing != table.num_rows:
        yield f"{path} does not answer as many files as its record says"


def _strays(place: Place, plan: Plan, receipt: Receipt) -> Iterator[str]:
    """Files that a reader of the data set would take for parts."""
    for name in DATA_SETS:
        ours = {place.part(name, number).name for number, part in enumerate(receipt.parts) if name in part.files}
        try:
            found = {one.name for one in (place.folder / name).iterdir() if not one.name.startswith(".")}
        except FileNotFoundError:
            continue
        for stray in sorted(found - ours):
            yield f"{place.folder / name / stray} is no part of this run; readers of the folder would take it for one"
