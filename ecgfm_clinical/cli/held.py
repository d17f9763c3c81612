"""`held list | show | release | reject`: what waits for a person, and the answer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ecgfm_clinical.cli import asking
from ecgfm_clinical.cli.common import JsonOption, SettingsOption, opened, opened_to_act, say, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecgfm_clinical.operate.decisions import ShownQuestion
    from ecgfm_clinical.settings import Settings
    from ecgfm_clinical.staging.failed_ecgs import FailedEcg
    from ecgfm_clinical.staging.records import PayloadToSeeTo, Reissue
    from ecgfm_clinical.staging.store import Store
    from ecgfm_connectors.patient import Patient

app = typer.Typer(
    name="held",
    no_args_is_help=True,
    help="Recordings that need a person: two people in one payload, a corrected patient, a sender's withdrawal, an "
    "undone merge. Payloads that need a look, and ECGs whose scoring failed for good.",
)

NumberArgument = Annotated[str, typer.Argument(help="Number of the question, as `held list` shows it.")]


@app.command("list")
def listed(
    decided: Annotated[bool, typer.Option("--decided", help="Also what a person has decided.")] = False,
    phi: asking.PhiOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What waits for a person, oldest first. Nothing of a held recording is sent until it is decided.

    Payloads that were refused because they name two patients are listed as P and their number, ECGs whose scoring
    failed for good as E and theirs; `held reject` ends them.
    """
    from dataclasses import asdict

    from ecgfm_clinical.operate import decisions

    with opened(settings) as (read, store):
        holds = store.results.holds(decided=decided)
        if phi and holds:
            asking.opened_record(read, store, [one.ecg_id for one in holds])
        found = [decisions.document_of(one, store, phi=phi) for one in holds]
        payloads, failed = store.questions.payloads_to_see_to(), store.failed_ecgs.waiting()
    if as_json:
        lists = {"payloads": [asdict(one) for one in payloads], "failed_ecgs": [asdict(one) for one in failed]}
        write_json({"questions": [one.to_json() for one in found], **lists})
        return
    for one in found:
        say(decisions.line_of(one))
        for who in one.patients if phi else ():
            say(f"  between    {who}")
    for payload in payloads:
        say(_payload_line(payload))
    for ecg in failed:
        say(_failed_line(ecg))
    if not found and not payloads and not failed:
        say("nothing waits for a person")


@app.command("show")
def show(
    number: NumberArgument, phi: asking.PhiOption = False, settings: SettingsOption = None, as_json: JsonOption = False
) -> None:
    """One question: between whom, what stands at each receiver, and what each answer would do."""
    from ecgfm_clinical.operate import decisions

    with opened(settings) as (read, store):
        held = store.results.hold(_question(number))
        if phi:
            asking.opened_record(read, store, [held.ecg_id])
        found = decisions.document_of(held, store, phi=phi)
    if as_json:
        write_json(found.to_json())
        return
    for line in decisions.lines_of(found):
        say(line)


@app.command("release")
def release(
    number: NumberArgument,
    reason: asking.NeededReason,
    wrong_patient: Annotated[
        bool,
        typer.Option("--wrong-patient", help="It belongs to somebody else: asks for AUTHORITY|TYPE|NUMBER."),
    ] = False,
    force: asking.ForceOption = False,
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer yes: `held show` tells what follows. With --wrong-patient the recording goes to whom you name."""
    from ecgfm_clinical import liveness, wiring
    from ecgfm_connectors.patient import Patient

    with opened_to_act(settings) as (read, store):
        hold_id = _question(number)
        found = _found(read, store, hold_id, phi=not yes)
        named = None
        if wrong_patient:
            identifier = asking.known_number("of the right patient", read, store, force=force)
            named = Patient(identifiers=(identifier,))
        _preview(store, found, release=True, named=named, yes=yes, quiet=as_json)
        asking.agreed(yes=yes)
        actor = liveness.operator(read.site.operator)
        done = store.results.release(hold_id, patient=named, reason=reason, now=wiring.utc_now(), actor=actor)
    _tell(done, as_json)


@app.command("reject")
def reject(
    number: NumberArgument,
    reason: asking.NeededReason,
    yes: asking.YesOption = False,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer no: `held show` tells what follows. Of a payload (P and its number, or P-all): you have looked at it.
    Of an ECG whose scoring failed for good (E and its number, or E-all): it stays without an answer.
    """
    from ecgfm_clinical import liveness, wiring

    with opened_to_act(settings) as (read, store):
        actor = liveness.operator(read.site.operator)
        if (kept := _kept_as_it_is(number, store)) is not None:
            for line in kept.lines if not as_json else ():
                say(line)
            asking.agreed(yes=yes or not kept.numbers)
            for one in kept.numbers:
                kept.close(one, reason=reason, now=wiring.utc_now(), actor=actor)
            write_json({kept.key: kept.numbers}) if as_json else say(
                f"{len(kept.numbers)} {kept.what} stay as they are and need nobody now."
            )
            return
        hold_id = _question(number)
        _preview(store, _found(read, store, hold_id, phi=not yes), release=False, named=None, yes=yes, quiet=as_json)
        asking.agreed(yes=yes)
        done = store.results.reject(hold_id, reason=reason, now=wiring.utc_now(), actor=actor)
    _tell(done, as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What stays as it is because a person says so."""

    key: str  #: for programs
    what: str
    numbers: list[int]
    lines: tuple[str, ...]
    close: "Callable[..., object]"


def _kept_as_it_is(number: str, store: "Store") -> _Kept | None:
    """What a number of `held list` with a letter names; None where it names a question."""
    from ecgfm_clinical.operate.search import row_number

    kind, named = number[:1].upper(), number[1:].lower()
    if kind not in ("P", "E") or not (named == "-all" or row_number(named)):
        return None
    close: Callable[..., object]
    if kind == "P":
        waiting = {one.payload_id: _payload_line(one) for one in store.questions.payloads_to_see_to()}
        key, what, close = "payloads", "payloads", store.questions.payload_seen
    else:
        waiting = {one.ecg_id: _failed_line(one) for one in store.failed_ecgs.waiting()}
        key, what, close = "failed_ecgs", "ECGs", store.failed_ecgs.settle
    numbers = list(waiting) if named == "-all" else [int(named)]
    lines = tuple(waiting[one] for one in numbers if one in waiting)
    return _Kept(key=key, what=what, numbers=numbers, lines=lines, close=close)


def _failed_line(one: "FailedEcg") -> str:
    received = one.received_at.isoformat(timespec="seconds")
    why = f" ({one.error})" if one.error else ""
    where = f"received {received} from {one.source}: `ecgfm-clinical show {one.ecg_id} --id`"
    what = f"scoring again for the owed answer of {', '.join(one.owed)} failed" if one.owed else "scoring failed"
    return f"E{one.ecg_id}: {what}{why}, {where}"


def _payload_line(payload: "PayloadToSeeTo") -> str:
    received = payload.received_at.isoformat(timespec="seconds")
    return f"P{payload.payload_id}: {payload.code}, received {received} from {payload.source}: {payload.text}"


def _question(number: str) -> int:
    from ecgfm_clinical.errors import InputError
    from ecgfm_clinical.operate.search import row_number

    if number[:1].upper() == "P":
        raise InputError(
            "P names a payload that was refused whole: `payloads show` tells of it, `held reject` says that you have "
            "looked at it, and its sender must send it again"
        )
    if number[:1].upper() == "E":
        raise InputError(
            "E names an ECG whose scoring failed: `show` tells why, `correct` judges it again, `held reject` says that "
            "it stays without an answer"
        )
    found = row_number(number)
    if found is None:
        raise InputError("a question has a number; `ecgfm-clinical held list` shows what waits")
    return found


def _found(settings: "Settings", store: "Store", hold_id: int, *, phi: bool) -> "ShownQuestion":
    """The question, undecided. Raises NotFound, StoreError before anything is asked."""
    from ecgfm_clinical.errors import StoreError
    from ecgfm_clinical.operate import decisions

    held = store.results.hold(hold_id)
    if held.decision is not None:
        raise StoreError(f"question {hold_id} was decided already: {held.decision} by {held.decided_by}")
    if phi:
        asking.opened_record(settings, store, [held.ecg_id])
    return decisions.document_of(held, store, phi=phi)


def _preview(
    store: "Store", found: "ShownQuestion", *, release: bool, named: "Patient | None", yes: bool, quiet: bool
) -> None:
    from ecgfm_clinical.operate import decisions, people

    if quiet:
        return
    for line in decisions.lines_of(found):
        say(line)
    if named is not None:
        say(f"  you named  {people.addressee(store, named.identifiers[0], shown=not yes)}")
    say(f"{'Released' if release else 'Rejected'}: {decisions.what_follows(found, release=release, patient=named)}")


def _tell(done: "Reissue", as_json: bool) -> None:
    if as_json:
        write_json({"messages": list(done.created), "cancelled": list(done.cancelled)})
    else:
        say(f"{len(done.created)} messages will be sent, {len(done.cancelled)} unsent ones were cancelled.")
        say("The ECG is judged again where its answer is not plain yet; its result then follows.")
