"""The receipt of a run: what it was given and what it gave, by digest. It holds nothing that differs between two runs
over the same files, however often one of them was killed.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from ecgfm_clinical.backfill.disk import DataSet, Place, write_whole
from ecgfm_clinical.backfill.parts import Part, Written, part_there
from ecgfm_clinical.backfill.plan import Plan, as_json
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.answers import OUTCOMES


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReceipt:
    """One part: rows of the manifest, outcomes, files."""

    rows: int
    outcomes: dict[str, int]
    files: dict[DataSet, Written]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """All of a run."""

    plan: Plan
    outcomes: dict[str, int]  #: of the parts; what lies beside the recordings stands in the manifest's own count
    unreadable: Written  #: unreadable.csv; a row a file
    parts: tuple[PartReceipt, ...]


def parts_there(place: Place, plan: Plan) -> Iterator[Part | None]:
    """The record of each part, in order."""
    return (part_there(place, plan, number) for number in range(plan.parts))


def write_receipt(place: Place, plan: Plan) -> Receipt:
    """Of a run whose parts are all there. Raises InputError where one is not any more."""
    total, receipts, listed, count = Counter[str](), [], io.StringIO(), 0
    lines = csv.writer(listed, lineterminator="\n")
    lines.writerow(["file", "code", "reason"])
    for number, part in enumerate(parts_there(place, plan)):
        if part is None:
            raise InputError(f"part {number} in {place.folder} went away while others were written; repeat the command")
        total.update(part.outcomes)
        receipts.append(PartReceipt(rows=part.rows, outcomes=part.outcomes, files=part.files))
        count += len(part.unreadable)
        lines.writerows([one.file, one.code, one.reason] for one in part.unreadable)
    content = listed.getvalue().encode()
    write_whole(place.unreadable, content)
    receipt = Receipt(
        plan=plan,
        outcomes={outcome: total[outcome] for outcome in OUTCOMES},
        unreadable=Written(rows=count, size=len(content), sha256=hashlib.sha256(content).hexdigest()),
        parts=tuple(receipts),
    )
    write_whole(place.receipt, as_json(receipt))
    return receipt


def read_receipt(place: Place) -> Receipt:
    """Raises InputError where there is none, or it is damaged."""
    try:
        receipt: Receipt = TypeAdapter(Receipt).validate_json(place.receipt.read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{place.folder} has no receipt: no backfill has ended there; repeat its `backfill run` to complete it"
        ) from None
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{place.receipt} cannot be read: it was changed by hand or is damaged; "
            "repeat its `backfill run`, which writes it again"
        ) from error
    return receipt
