"""Looking: `status`, `search`, `show`, `statements`, `inspect`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli import asking
from ecgfm_clinical.cli.common import (
    JsonOption,
    SettingsOption,
    in_zone,
    opened,
    say,
    settings_from,
    will_write,
    write_json,
)

if TYPE_CHECKING:
    from ecgfm_clinical.staging.story_records import EcgStory


def status(
    since: Annotated[
        datetime | None, typer.Option(help="Count ECGs received from this time on, in the site's zone.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Count ECGs received before this time.")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """How many ECGs were received, scored, not evaluable, failed or still wait, and whether results get out.

    received = scored + not evaluable + failed + waiting, always. Exits with 1 where a person must look.
    """
    from ecgfm_clinical import wiring
    from ecgfm_clinical.operate.status import status_of, status_text

    with opened(settings) as (read, store):
        zone = read.site.zone
        found = status_of(
            store,
            now=wiring.utc_now(),
            since=in_zone(since, zone),
            until=in_zone(until, zone),
            limits=read.attention,
            sources=wiring.source_names(read),
        )
    write_json(found.to_json()) if as_json else say(status_text(found))
    if found.needs_attention:
        raise typer.Exit(1)


def search(
    number: Annotated[
        str,
        typer.Argument(help="OBR-3 as the EHR shows it, MSH-10, accession, order number, SOP Instance UID or ECG id."),
    ] = "",
    patient: Annotated[bool, typer.Option("--patient", help="Of one patient: asks for AUTHORITY|TYPE|NUMBER.")] = False,
    source: Annotated[str, typer.Option(help="That came by this listener or source.")] = "",
    state: Annotated[str, typer.Option(help="waiting, scored, not_evaluable or failed.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Received at this time or later, in the site's zone.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Received before this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find ECGs by what you have in hand, newest first. A search for a patient goes into the audit trail.

    MSH-10 is that of a message we sent or received; of received ones all are listed with their senders and what they
    gave, outcomes and refusals too (`--json` lists ECGs alone; the console's API has both).
    """
    from ecgfm_clinical.operate import search as searching

    with opened(settings) as (read, store):
        found = searching.search(
            store,
            number=number,
            patient=asking.number("of the patient") if patient else None,
            source=source,
            state=state,
            since=in_zone(since, read.site.zone),
            until=in_zone(until, read.site.zone),
            limit=limit,
            operator=read.site.operator,
        )
        heard = store.search.heard(number) if number else []
    if as_json:
        write_json([searching.document_of(one).to_json() for one in found])
        return
    for one in found:
        say(searching.line_of(one))
    if not found:
        say("no ECG fulfils this")
    for came in heard:
        say(searching.heard_line(came))


def show(
    ecg: Annotated[
        str,
        typer.Argument(help="ECG id, SOP Instance UID, OBR-3 as the EHR shows it, MSH-10, accession or order number."),
    ],
    by_id: Annotated[
        bool, typer.Option("--id", help="The number is an ECG id, whatever else has that number.")
    ] = False,
    png: Annotated[Path | None, typer.Option(help="Draw the ECG on paper (25 mm/s, 10 mm/mV) here.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="The same, as a PDF.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write the result page here: ECG, patient and answers on one sheet (PDF/A).")
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    phi: Annotated[bool, typer.Option("--phi", help="Show identifying values and message bodies.")] = False,
) -> None:
    """The whole story of one ECG: received, judged, scored by which model, sent when, acknowledged how."""
    from ecgfm_clinical.extras import need
    from ecgfm_clinical.operate.search import find_ecg
    from ecgfm_clinical.operate.story import story_of, story_text

    will_write(png, ".png")
    will_write(pdf, ".pdf")
    will_write(page, ".pdf")
    if png or pdf:
        need("score", "drawing an ECG")
    with opened(settings) as (read, store):
        story = store.ecgs.story(find_ecg(store, ecg, by_id=by_id))
        if phi or png or pdf or page:
            asking.opened_record(read, store, [story.ecg.ecg_id])
        if page:
            from ecgfm_clinical.operate.page import page_of

            page.write_bytes(page_of(read, store, story))
    for path in filter(None, (png, pdf)):
        _draw(story, path)
    found = story_of(story, phi=phi)
    write_json(found.to_json()) if as_json else say(story_text(found))


def _draw(story: "EcgStory", path: Path) -> None:
    """On paper, with the number of the ECG and without its patient."""
    from ecgfm_clinical.ecg.paper import draw
    from ecgfm_clinical.errors import InputError

    one = story.ecg.ecg
    if not one.signal.size:
        raise InputError(f"the signal of ECG {story.ecg.ecg_id} was removed by retention: it cannot be drawn")
    draw(one.signal, one.sampling_rate, path, title=f"ECG {story.ecg.ecg_id}, version {story.ecg.version}")


def statements(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """How much of what devices state is not understood, by device and software version.

    A share that jumps with a new version means that the update changed the device's wording: look at one of its ECGs
    with `ecgfm-clinical show ECG --phi`.
    """
    from ecgfm_clinical.operate.statements import document_of

    with opened(settings) as (_, store):
        found = store.questions.statements()
    if as_json:
        write_json([document_of(one).to_json() for one in found])
        return
    for one in found:
        device = " ".join(filter(None, (one.manufacturer, one.model, one.software))) or "unknown device"
        say(f"{device}: {one.ecgs} ECGs, {one.unread} statements not understood in {one.ecgs_with_unread} of them")


def inspect(
    file: Annotated[Path, typer.Argument(help="An ECG file of any format we read.")],
    npz: Annotated[Path | None, typer.Option(help="Write signal (12 × N, mV), leads and sampling_rate here.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw the ECG on paper (25 mm/s, 10 mm/mV) here.")] = None,
    phi: Annotated[bool, typer.Option("--phi", help="Show identifying values instead of ***.")] = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what we read in any ECG file: identifiers, leads, rate, duration, filters, quality findings.

    Needs no installation; with settings, times and patient numbers are read as that site would. Quality findings and
    --png need the extra `score`.
    """
    from ecgfm_clinical.ecg.inspection import describe, write_npz
    from ecgfm_clinical.extras import have, need, sentence
    from ecgfm_clinical.files.reading import read_ecgs
    from ecgfm_clinical.wording import phrase

    will_write(npz)
    will_write(png, ".png")
    if png is not None:
        need("score", "drawing an ECG")
    ecgs = read_ecgs(file, settings_from(settings) if settings else None)
    if npz is not None:
        write_npz(ecgs[0], npz)
    if png is not None:
        from ecgfm_clinical.ecg.paper import draw

        draw(ecgs[0].signal, ecgs[0].sampling_rate, png, title=file.name if phi else "")
    described = [describe(ecg, phi=phi).to_json() for ecg in ecgs]
    if as_json:
        write_json(described[0] if len(described) == 1 else described)
        return
    if not have("score"):
        described = [{**one, "quality": f"not judged: that {sentence('score', '').strip()}"} for one in described]
    for one in described:
        for key, value in one.items():
            say(f"{key:18} {phrase(value)}")
