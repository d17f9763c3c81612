"""`patient show | merge | unmerge | link | object | erase`: who is who here, and what a person decides about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli import asking
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, opened_to_act, say, write_json

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.identities import Person
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.patient import Identifier

app = typer.Typer(
    name="patient",
    no_args_is_help=True,
    help=(
        "Who is who: an identity is an assigning authority and a number. Numbers are asked for and never an argument: "
        "arguments are seen by everyone on the machine and kept by shells."
    ),
)


@app.command("show")
def show(phi: asking.PhiOption = False, settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """One identity: merged into which, linked with which, its ECGs, and what stands of them at each receiver."""
    from ecgfm_clinical.operate import people

    asked = asking.number("of the patient")
    with opened(settings) as (read, store):
        person = store.identities.show(asked)
        if phi:
            asking.opened_record(read, store, [one.ecg_id for one in person.recordings])
        found = people.document_of(person, phi=phi)
    if as_json:
        write_json(found.to_json())
        return
    for line in people.lines_of(found):
        say(line)


@app.command("merge")
def merge(
    reason: asking.NeededReason,
    force: asking.ForceOption = False,
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """One number is another from now on, as if the hospital had sent A40.

    Messages that certainly never left go to the surviving number. What was sent stays where it is: receivers follow the
    hospital's own merges.
    """
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.staging.identities import require_mergeable

    with opened_to_act(settings) as (read, store):
        retired = asking.known_number("that is retired", read, store, force=force)
        surviving = asking.known_number("that survives it", read, store, force=force)
        require_mergeable(retired, surviving)
        _agree(read, store, {"is retired": retired, "survives": surviving}, yes=yes, quiet=as_json)
        actor = liveness.operator(read.site.operator)
        store.identities.merge(retired, surviving, reason=reason, now=wiring.utc_now(), actor=actor)
        _tell(store, retired, "merged", as_json)


@app.command("unmerge")
def unmerge(
    reason: asking.NeededReason,
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo a merge: the number is in use again, and its results move there.

    A result that was sent under the survivor is withdrawn there (W) and told anew under this number (F).
    """
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.staging.identities import require_retired

    with opened_to_act(settings) as (read, store):
        number = asking.number("whose merge is undone")
        found = store.identities.show(number)
        require_retired(found)
        named = {"is in use again": number} | ({"loses it": found.survivor} if found.survivor else {})
        _agree(read, store, named, yes=yes, quiet=as_json)
        actor = liveness.operator(read.site.operator)
        store.identities.unmerge(number, reason=reason, now=wiring.utc_now(), actor=actor)
        _tell(store, number, "in use again", as_json)


@app.command("link")
def link(
    reason: asking.NeededReason,
    force: asking.ForceOption = False,
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Two numbers name one person and both stay in use, as if the hospital had sent A24. No message changes by it."""
    from ecgfm_clinical import liveness, wiring
    from ecgfm_clinical.staging.identities import require_linkable

    with opened_to_act(settings) as (read, store):
        one = asking.known_number("of the patient", read, store, force=force)
        other = asking.known_number("of the same person", read, store, force=force)
        require_linkable(one, other)
        _agree(read, store, {"is linked": one, "with": other}, yes=yes, quiet=as_json)
        actor = liveness.operator(read.site.operator)
        store.identities.link(one, other, reason=reason, now=wiring.utc_now(), actor=actor)
        _tell(store, one, "linked", as_json)


@app.command("object")
def keep_out(
    reason: asking.NeededReason,
    lift: Annotated[bool, typer.Option("--lift", help="The person objects no longer.")] = False,
    force: asking.ForceOption = False,
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a person out of learning: no ECG of theirs comes into any cohort from now on, under whatever number.

    Scoring and results go on. Heads that were trained before stay as they are: each bundle's provenance names the
    digest and the time of the cohort it came from, and whatever is trained from now on comes from a cohort without
    them.
    """
    from ecgfm_clinical import liveness, wiring

    with opened(settings) as (read, store):
        asked = asking.known_number("of the patient", read, store, force=force)
        _agree(read, store, {"objects no longer" if lift else "objects": asked}, yes=yes, quiet=as_json)
        act = store.objections.lift if lift else store.objections.keep
        act(asked, reason=reason, now=wiring.utc_now(), actor=liveness.operator(read.site.operator))
        ecg_ids = store.identities.ecg_ids(asked)
    if as_json:
        write_json({"kept_out": not lift, "ecgs": len(ecg_ids)})
        return
    say(
        f"Done: {len(ecg_ids)} ECGs "
        f"{'may be learned from again' if lift else 'are kept out of every cohort from now on'}."
    )


@app.command("erase")
def erase(
    reason: asking.NeededReason,
    force: asking.ForceOption = False,
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a person from the store: names, numbers, payloads, signals, messages and measurements; it cannot be undone.

    States and scores remain without a name, so that all sums stay true, and so does the audit trail, which names
    nobody. What the store does not reach is listed: backups, receivers and folders.
    """
    from dataclasses import asdict

    from ecgfm_clinical import liveness, wiring

    with opened_to_act(settings) as (read, store):
        asked = asking.known_number("of the patient", read, store, force=force)
        preview = _counted(asdict(store.erasing.preview(asked)))
        warning = f"{preview} would be erased; it cannot be undone."
        _agree(read, store, {"is erased": asked}, yes=yes, quiet=as_json, warning=warning)
        actor = liveness.operator(read.site.operator)
        gone = asdict(store.erasing.erase(asked, reason=reason, now=wiring.utc_now(), actor=actor))
        elsewhere = _not_reached(read, store)
    if as_json:
        write_json({"erased": gone, "not_reached": elsewhere})
        return
    say(f"Erased: {_counted(gone)}. Not reached from here:")
    for line in elsewhere:
        say(f"  {line}")


def _counted(found: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in found.items())


def _not_reached(read: "Settings", store: "Store") -> list[str]:
    """Where the person may stand besides."""
    made = [f"backup of {at:%Y-%m-%d %H:%M} UTC: {file}" for at, file in store.care.backups()]
    folders = [f"files taken from source {part.name}: {read.resolve(part.path)}" for part in read.sources.folder]
    results = [f"files for destination {part.name}: {read.resolve(part.path)}" for part in read.destinations.folders]
    receivers = [f"what was sent to {part.name}" for part in read.destinations.peers]
    kept = [f"embeddings and scores kept for learning, under ECG ids: {read.resolve(read.learning.folder)}"]
    other = [
        (
            "backups made by other means (pg_dump, snapshots); on PostgreSQL also the server's log, until VACUUM and "
            "archiving"
        )
    ]
    return [*made, *folders, *results, *receivers, *kept, *other]


def _agree(
    settings: "Settings",
    store: "Store",
    named: "dict[str, Identifier]",
    *,
    yes: bool,
    quiet: bool,
    warning: str = "",
) -> None:
    """Show each of the people with every ECG and message of theirs, named only on the screen of someone who is asked;
    then ask.
    """
    from ecgfm_clinical.operate import people

    for role, number in () if quiet else named.items():
        person = store.identities.show(number)
        if not yes:
            asking.opened_record(settings, store, [one.ecg_id for one in person.recordings])
        found = people.document_of(person, phi=not yes)
        for line in people.lines_of(found):
            say(f"{role + ': ' if line[:1] != ' ' else ''}{line}")
    if warning and not quiet:
        say(warning)
    asking.agreed(yes=yes)


def _tell(store: "Store", number: "Identifier", what: str, as_json: bool) -> None:
    from ecgfm_clinical.operate import people

    found: Person = store.identities.show(number)
    if as_json:
        write_json(people.document_of(found, phi=False).to_json())
    else:
        say(f"Done: the number is {what}; `ecgfm-clinical patient show` tells how it stands.")
