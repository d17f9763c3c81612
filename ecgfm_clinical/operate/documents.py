"""Documents of other systems as rows: beside which recording each stands, or why beside none."""

from typing import TYPE_CHECKING

from ecgfm_clinical.operate.story import shown_document
from ecgfm_clinical.staging.documents import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ecgfm_clinical.staging.documents import KeptDocument


def document_of(one: "KeptDocument", *, phi: bool) -> dict[str, object]:
    """For programs; what its sender wrote is masked unless `phi`."""
    place = {"version": one.version, "recordings": list(one.recording_ids), "reason": one.reason}
    return shown_document(one, phi=phi).to_json() | place


def lines_of(one: "KeptDocument", *, phi: bool) -> "Iterator[str]":
    """For people; with `phi` what it says as well."""
    shown = shown_document(one, phi=phi)
    about = " ".join(filter(None, (shown.kind, "by", shown.maker or "an unnamed maker", shown.status)))
    where = ", ".join(map(str, one.recording_ids))
    place = f"beside recording {where}" if one.reason is None else f"beside none ({one.reason}): {WORDS[one.reason]}"
    yield f"{one.document_id}  {one.received_at.isoformat()} from {one.source}, {about}, {place}"
    if phi:
        yield from (f"    {line}" for line in (shown.title, *shown.text.splitlines()))
