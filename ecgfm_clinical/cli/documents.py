"""`documents`: what other systems said of ECGs, and beside which ECG each stands."""

from typing import Annotated

import typer

from ecgfm_clinical.cli import asking
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, say, write_json


def documents(
    left: Annotated[bool, typer.Option("--left", help="Only those that stand beside no ECG.")] = False,
    before: Annotated[int | None, typer.Option(help="Go on after this number: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many are looked at, newest first.")] = 50,
    phi: asking.PhiOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reports and pages of other systems, newest first: beside which recording each stands, or why beside none.

    `show ECG --phi` and the viewer show what they say.
    """
    from ecgfm_clinical.operate.documents import document_of, lines_of

    with opened(settings) as (read, store):
        found = store.documents.newest(limit=limit, before=before)
        shown = [one for one in found if one.reason is not None or not left]
        if phi:
            asking.opened_rows(read, store, "document_id", [one.document_id for one in shown])
    if as_json:
        write_json([document_of(one, phi=phi) for one in shown])
        return
    for one in shown:
        for line in lines_of(one, phi=phi):
            say(line)
    if not shown:
        say("there is none")
