"""`replay`: score an ECG again and compare, read again what was refused, send again what a receiver would not take."""

from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, opened_to_act, say, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.records import DeadLetter, SetAside
    from ecgfm_clinical.staging.store import Store


def replay(
    ecg: Annotated[str | None, typer.Argument(help="ECG id or source id: read, score and compare it again.")] = None,
    refused: Annotated[
        bool, typer.Option("--refused", help="Read every refused or unreadable payload again, after an upgrade say.")
    ] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Send again the messages that are set aside.")] = False,
    list_only: Annotated[
        bool, typer.Option("--list", help="With --refused or --dead: say which there are and why, and do nothing.")
    ] = False,
    message: Annotated[list[int] | None, typer.Option(help="With --dead: only the one with this number.")] = None,
    destination: Annotated[str | None, typer.Option(help="With --dead: this destination only.")] = None,
    recompose: Annotated[
        bool, typer.Option("--recompose", help="With --dead: composed anew under a new number, not the same bytes.")
    ] = False,
    bundle: Annotated[
        str | None, typer.Option("--model", help="Bundle folder, where the model that scored is not registered.")
    ] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do again what was done before.

    With ECG: scored by the model and the runtime that scored it then, whatever is live now; exits with 1 where the
    stored bytes or that model give anything but exactly the stored score. A score of a GPU that is compared on
    another card or driver may differ by a tolerance, which is said. Nothing in the store changes and nothing is sent.
    """
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.wording import phrase

    if sum((ecg is not None, refused, dead)) != 1:
        raise InputError("say what to replay: an ECG, --refused, or --dead")
    if ecg is not None and list_only:
        raise InputError("--list goes with --refused or --dead; `ecgfm-clinical show` tells of one ECG")
    if list_only:
        _list(settings, destination if dead else None, dead=dead, as_json=as_json)
        return
    with opened_to_act(settings) as (read, store):
        if ecg is not None:
            exact, found = _ecg(read, store, ecg, bundle)
        elif refused:
            exact, found = True, _refused(read, store)
        else:
            exact, found = True, _dead(read, store, destination, message, recompose)
    if as_json:
        write_json(found)
    for key, value in () if as_json else found.items():
        say(f"{key:12} {phrase(value)}")
    if not exact:
        raise typer.Exit(1)


def _ecg(settings: "Settings", store: "Store", wanted: str, bundle: str | None) -> tuple[bool, dict[str, object]]:
    from dataclasses import asdict

    from ecgfm_clinical.operate import again
    from ecgfm_clinical.operate.search import find_ecg

    found = again.replay_ecg(settings, store, find_ecg(store, wanted, by_id=wanted.isdigit()), bundle=bundle)
    return found.exact, {**asdict(found), "exact": found.exact}


def _refused(settings: "Settings", store: "Store") -> dict[str, object]:
    from ecgfm_clinical import liveness
    from ecgfm_clinical.operate import again

    found = again.read_again(settings, store, actor=liveness.operator(settings.site.operator))
    return dict(found.counts) or {"set aside": 0}


def _list(settings: "Path | None", destination: str | None, *, dead: bool, as_json: bool) -> None:
    """What --refused or --dead would take up: a document for programs, a line each for people."""
    from dataclasses import asdict

    with opened(settings) as (_, store):
        found: Sequence[DeadLetter | SetAside] = (
            store.questions.dead_letters(destination=destination) if dead else store.questions.set_aside()
        )
    if as_json:
        write_json([asdict(one) for one in found])
        return
    for one in found:
        say(_line(one))
    if not found:
        say("no message is set aside" if dead else "nothing is set aside")


def _line(one: "DeadLetter | SetAside") -> str:
    from ecgfm_clinical.staging.records import SetAside

    if isinstance(one, SetAside):
        when = one.received_at.isoformat(timespec="seconds")
        return f"payload {one.payload_id}: {when} from {one.source}, {one.disposition}, {one.code}: {one.text}"
    return (
        f"message {one.message_id}: ECG {one.ecg_id} to {one.destination}, {one.kind}, {one.control_id}, "
        f"{one.created_at.isoformat(timespec='seconds')}: {one.error.text if one.error else 'no reason kept'}"
    )


def _dead(
    settings: "Settings", store: "Store", destination: str | None, message_ids: list[int] | None, recompose: bool
) -> dict[str, object]:
    from ecgfm_clinical import liveness, wiring

    report = store.results.resend(
        destination=destination,
        message_ids=message_ids,
        recompose=recompose,
        now=wiring.utc_now(),
        actor=liveness.operator(settings.site.operator),
    )
    return {"sent again": len(report.created), "overtaken or replaced": len(report.cancelled)}
