"""Looking at a message before it goes: `preview`."""

from typing import Annotated

import typer

from ecgfm_clinical.cli import asking
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, say, write_json


def preview(
    ecg: Annotated[
        str,
        typer.Argument(help="ECG id, SOP Instance UID, OBR-3 as the EHR shows it, MSH-10, accession or order number."),
    ],
    destination: Annotated[str, typer.Option(help="A destination of the settings.")],
    by_id: Annotated[
        bool, typer.Option("--id", help="The number is an ECG id, whatever else has that number.")
    ] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    phi: Annotated[
        bool, typer.Option("--phi", help="Show whom it is about; that you look goes into the audit trail.")
    ] = False,
) -> None:
    """Print the message that a destination would get of one ECG now, each field with its name.

    Never sends; writes nothing, but with --phi the audit trail's entry.
    """
    from ecgfm_clinical import telling, wiring
    from ecgfm_clinical.operate import preview as previewing
    from ecgfm_clinical.operate.search import find_ecg

    with opened(settings) as (read, store):
        ecg_id = find_ecg(store, ecg, by_id=by_id)
        if phi:
            asking.opened_record(read, store, [ecg_id])
        draw = telling.page_drawer(read, store) if destination in read.destinations.with_page else None
        found = previewing.preview(store, ecg_id, destination, now=wiring.utc_now(), phi=phi, draw=draw)
    if as_json:
        write_json({"standing": found.standing, "lines": list(previewing.lines_of(found))})
        return
    say(found.standing)
    for line in previewing.lines_of(found):
        say(line)
