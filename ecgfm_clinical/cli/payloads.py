"""`payloads list | show | export | resolve`: everything that came in and was set aside, with its reason."""

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
    opened_to_act,
    say,
    will_write,
    write_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from ecgfm_clinical.staging.kept import KeptPayload

app = typer.Typer(
    name="payloads",
    no_args_is_help=True,
    help="What came in and was set aside (refused, unreadable): list, show, export as received, resolve.",
)

#: Ways in as people call them.
_WAYS = {"dicom": "DICOM", "dicomweb": "DICOMweb", "mllp": "HL7", "file": "file"}

NumberArgument = Annotated[int, typer.Argument(help="Number of the payload, as `payloads list` shows it.")]


@app.command("list")
def listed(
    code: Annotated[str, typer.Option(help="Only those set aside for this reason.")] = "",
    source: Annotated[str, typer.Option(help="Only those that came by this listener or source.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Received at this time or later, in the site's zone.")] = None,
    before: Annotated[int | None, typer.Option(help="Go on after this number: the next page.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    phi: asking.PhiOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Payloads that were kept and not taken, or in part, newest first: number, time, sender, reason, how often."""
    from ecgfm_clinical.operate.payload_rows import document_of

    with opened(settings) as (read, store):
        found = store.payloads.set_aside(
            code=code, source=source, since=in_zone(since, read.site.zone), before=before, limit=limit
        )
    if as_json:
        write_json([document_of(one, phi=phi).to_json() for one in found])
        return
    for one in found:
        say(_line(one))
    if not found:
        say("nothing is set aside")


@app.command("show")
def show(
    number: NumberArgument, phi: asking.PhiOption = False, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """One payload: sender, time, size, reason, and the next step."""
    from ecgfm_clinical.operate.payload_rows import document_of

    with opened(settings) as (read, store):
        one = store.payloads.one(number)
    if as_json:
        write_json(document_of(one, phi=phi).to_json())
        return
    for what, words in _told(one, zone=read.site.zone, phi=phi):
        say(f"{what:14} {words}")
    for step in _next_steps(one):
        say(f"{'next':14} {step}")


@app.command("export")
def export(
    number: NumberArgument,
    out: Annotated[Path, typer.Option("--out", help="New file for the bytes; it may hold patient data.")],
    reason: asking.NeededReason,
    settings: SettingsOption = None,
) -> None:
    """Write a payload exactly as it was received; that it left the store goes into the audit trail."""
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.operate.files import write_new

    will_write(out)
    if out.exists():
        raise InputError(f"{out} exists already; name a new file")
    with opened(settings) as (read, store):
        actor = liveness.operator(read.site.operator)
        received = store.payloads.export(number, reason=reason, now=wiring.utc_now(), actor=actor)
    write_new(out, received.content)
    say(f"{out}: {len(received.content)} bytes as received, readable by this user only")


@app.command("resolve")
def resolve(
    numbers: Annotated[list[int], typer.Argument(help="Numbers of payloads that need a person.")],
    reason: asking.NeededReason,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a person has looked at payloads that need one: they stay as they are and are asked about no longer."""
    from ecgfm_clinical import liveness, wiring

    with opened_to_act(settings) as (read, store):
        actor = liveness.operator(read.site.operator)
        for number in numbers:
            store.questions.payload_seen(number, reason=reason, now=wiring.utc_now(), actor=actor)
    write_json({"payloads": numbers}) if as_json else say(f"{len(numbers)} payloads need nobody now")


def _told(one: "KeptPayload", *, zone: "tzinfo", phi: bool) -> "Iterator[tuple[str, str]]":
    """One payload in words, times in the site's zone; what there is nothing to say of is left out."""
    from ecgfm_clinical.ecg.inspection import MASK

    sender = f" from {one.peer}" if one.peer else ""
    yield "payload", str(one.payload_id)
    yield (
        "received",
        f"{_at(one.received_at, zone)} by {one.source} ({_WAYS.get(one.transport, one.transport)}){sender}",
    )
    if one.location:
        yield "file", one.location if phi else f"{MASK} (--phi shows it)"
    if one.repeats and one.repeated_at is not None:
        yield "came again", f"{_times(one.repeats)}, last {_at(one.repeated_at, zone)}"
    yield "size", f"{one.size:,} bytes".replace(",", " ")
    yield "SHA-256", one.sha256
    yield "became", _became(one)
    if one.needs_a_person:
        yield "waits", "for a person to look at it"


def _became(one: "KeptPayload") -> str:
    if one.disposition.value == "staged":
        taken = "an ECG, outcome or identity event"
        return f"{taken}; in part: {one.text} ({one.code})" if one.code else taken
    kept = {"refused": "refused", "unreadable": "unreadable: it does not decode"}[one.disposition.value]
    return f"{kept}; {one.text} ({one.code})"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _at(moment: datetime, zone: "tzinfo") -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def _line(one: "KeptPayload") -> str:
    when = one.received_at.isoformat(timespec="seconds")
    again = f", came {one.repeats + 1} times" if one.repeats else ""
    person = ", needs a person" if one.needs_a_person else ""
    sender = f"{one.source} ({one.peer})" if one.peer else one.source
    became = "taken in part" if one.disposition.value == "staged" else one.disposition.value
    why = f"{became}, {one.code}: {one.text}"
    return f"{one.payload_id}: {when} from {sender}, {why}{again}{person}"


def _next_steps(one: "KeptPayload") -> list[str]:
    steps = [f"`ecgfm-clinical payloads export {one.payload_id} --out FILE --reason WHY` gives its bytes"]
    if one.needs_a_person:
        steps.append(f"`ecgfm-clinical payloads resolve {one.payload_id} --reason WHY` once you have looked")
    steps.append("`ecgfm-clinical replay --refused` reads everything set aside again, after an upgrade or a setting")
    return steps
