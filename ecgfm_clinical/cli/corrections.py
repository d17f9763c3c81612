"""`correct` and `withdraw`: shown first, done after a yes, told to every destination that holds the result."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli import asking
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened_to_act, say, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ecgfm_clinical.staging.records import Told
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.patient import Patient


def withdraw(
    ecg: Annotated[str | None, typer.Argument(help="ECG id or source id whose results are taken back.")] = None,
    model: Annotated[str | None, typer.Option(help="Every result of this model: the digest, or its beginning.")] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only what was scored at or after this time, in the site's zone.")
    ] = None,
    delete: Annotated[
        bool,
        typer.Option("--delete", help="Delete (OBX-11 = D) what never should have been, instead of withdrawing it."),
    ] = False,
    reason: asking.ReasonOption = "",
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back results (OBX-11 = W or D): of one ECG, or of a whole model, for all time or since a time.

    What was not sent yet is cancelled; what was sent, or may have been, is followed by a withdrawal under a number of
    its own. `status` and `show` tell when the receiver has acknowledged it.
    """
    from ecgfm_clinical import liveness
    from ecgfm_clinical.errors import InputError, NotFound
    from ecgfm_clinical.operate import correction
    from ecgfm_clinical.operate.search import find_ecg

    if ecg is None and model is None and since is None:
        raise InputError("say what to withdraw: an ECG, --model DIGEST, or --since TIME")
    with opened_to_act(settings) as (read, store):
        standing = store.results.told(
            ecg_id=find_ecg(store, ecg, by_id=ecg.isdigit()) if ecg is not None else None,
            model_id=model,
            since=since.replace(tzinfo=read.site.zone) if since is not None and since.tzinfo is None else since,
        )
        if not standing:
            raise NotFound(
                "no result stands that this names; `ecgfm-clinical show ECG` and `model list` say what there is"
            )
        if not _agreed(standing, "deleted" if delete else "withdrawn", yes=yes, quiet=as_json):
            raise typer.Exit(1)
        done = correction.withdraw(
            store, standing, delete=delete, reason=reason, actor=liveness.operator(read.site.operator)
        )
    _tell(done.created, done.cancelled, as_json)


def correct(
    ecg: Annotated[str, typer.Argument(help="ECG id or source id.")],
    wrong_patient: Annotated[
        bool,
        typer.Option(
            "--wrong-patient",
            help="Asks for AUTHORITY|TYPE|NUMBER of the right one, as in `TESTHOSP|MR|4711`, on standard input.",
        ),
    ] = False,
    force: asking.ForceOption = False,
    reason: asking.ReasonOption = "",
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge one ECG again and send its result as a correction (OBX-11 = C).

    With --wrong-patient: the result is withdrawn from the patient it went to and sent to the right one, in this order.
    Name and birth date of the right patient are taken from the ADT messages the store has seen; the old ones are not
    carried over. The number is asked for and never an argument: arguments are seen by everyone on the machine and kept
    by shells. Both people are named before anything is done; a number that nothing here ever named is refused unless
    --force.
    """
    from ecgfm_clinical import liveness
    from ecgfm_clinical.operate import correction
    from ecgfm_clinical.operate.search import find_ecg
    from ecgfm_connectors.patient import Patient

    with opened_to_act(settings) as (read, store):
        ecg_id = find_ecg(store, ecg, by_id=ecg.isdigit())
        right = None
        if wrong_patient:
            right = Patient(identifiers=(asking.known_number("of the right patient", read, store, force=force),))
            if not as_json:
                if not yes:
                    asking.opened_record(read, store, [ecg_id])
                _name_both(store, ecg_id, right, shown=not yes)
        if not _agreed(store.results.told(ecg_id=ecg_id), "corrected", yes=yes, quiet=as_json):
            raise typer.Exit(1)
        done = correction.correct(
            store, ecg_id, patient=right, reason=reason, actor=liveness.operator(read.site.operator)
        )
    _tell(done.created, done.cancelled, as_json)
    if not as_json:
        say("The ECG is judged again, for age, sex and patient are part of the judgement; its result then follows.")


def _name_both(store: "Store", ecg_id: int, right: "Patient", *, shown: bool) -> None:
    """Whose the recording is now and whose it would be: named only on the screen of someone who is asked."""
    from ecgfm_clinical.ecg.inspection import MASK
    from ecgfm_clinical.operate import people

    now = store.ecgs.story(ecg_id).recording.patient
    say(f"ECG {ecg_id} belongs to  {people.named(now) if shown else MASK}")
    say(f"ECG {ecg_id} goes to     {people.addressee(store, right.identifiers[0], shown=shown)}")


def _agreed(standing: "Iterable[Told]", what: str, *, yes: bool, quiet: bool) -> bool:
    """Show what would be touched and ask, unless told not to."""
    standing = list(standing)
    for one in () if quiet else standing:
        sent = "sent, or perhaps" if one.may_have_left else "not sent yet"
        say(
            f"ECG {one.ecg_id} to {one.destination}: {one.kind}, {one.state.word}, {sent}, by {one.model}, "
            f"{one.control_id}"
        )
    if not quiet:
        say(f"{len(standing)} results of {len({one.ecg_id for one in standing})} ECGs would be {what}")
    return yes or typer.confirm("Do it?", default=False, err=True)


def _tell(created: tuple[int, ...], cancelled: tuple[int, ...], as_json: bool) -> None:
    if as_json:
        write_json({"messages": list(created), "cancelled": list(cancelled)})
    else:
        say(f"{len(created)} messages will be sent, {len(cancelled)} unsent ones were cancelled")
