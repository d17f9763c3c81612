"""Undo until sent: what an act put on its way waits a little, and meanwhile whoever did it may take it back.

What can be undone is remembered by the console that did it; after a restart, or once it is sent, the ordinary acts are
the way back.
"""

from typing import assert_never

from starlette.responses import Response

from ecgfm_clinical.web.undoables import LeftUnanswered, LookedAt, ReadAgain, Resent, Undoable, Withdrawn
from ecgfm_clinical.web.visit import Visit


def done(visit: Visit, title: str, lines: list[str], one: Undoable, *, back: str) -> Response:
    """What an act came to, with the button that undoes it while what follows from it waits."""
    word = visit.console.undoables.keep(one, user=_user(visit)) if _did_something(one) else ""
    seconds = 0 if one.due_at is None else round((one.due_at - visit.now).total_seconds())
    return visit.page("done.html", title=title, lines=lines, back=back, undo=word, undo_seconds=seconds)


def undo(visit: Visit) -> Response:
    """Take back what was not sent yet."""
    one = visit.console.undoables.take(visit.form.text("undo"), user=_user(visit))
    match one:
        case Resent():
            lines, back = _resent(visit, one), "/dead"
        case Withdrawn():
            lines, back = _withdrawn(visit, one), "/dead"
        case ReadAgain():
            lines, back = _read_again(visit, one), "/refused"
        case LookedAt():
            lines, back = _looked_at(visit, one), "/refused"
        case LeftUnanswered():
            lines, back = _left_unanswered(visit, one), "/held"
        case _:
            assert_never(one)
    return visit.done(visit.say("Undone"), lines, back=back)


def _user(visit: Visit) -> str:
    return visit.user.name if visit.user is not None else ""


def _did_something(one: Undoable) -> bool:
    match one:
        case Resent() | Withdrawn():
            return bool(one.done.created or one.done.cancelled)
        case ReadAgain():
            return bool(one.payloads)
        case LookedAt():
            return bool(one.payload_ids)
        case LeftUnanswered():
            return bool(one.settled)


def _resent(visit: Visit, one: Resent) -> list[str]:
    count = visit.store.results.undo_resend(one.done, due_at=one.due_at, now=visit.now, actor=visit.actor)
    told = visit.say_many("%(count)d message was undone.", "%(count)d messages were undone.", count)
    return [told, *_had_left(visit, len(one.done.created) - count)]


def _withdrawn(visit: Visit, one: Withdrawn) -> list[str]:
    results, created = visit.store.results, one.done.created
    undone = [results.undo_withdrawal(each, created, now=visit.now, actor=visit.actor) for each in one.ecg_ids]
    told = visit.say_many("%(count)d withdrawal was undone.", "%(count)d withdrawals were undone.", sum(undone))
    return [told, *_had_left(visit, len(undone) - sum(undone))]


def _had_left(visit: Visit, left: int) -> list[str]:
    return [visit.say("%(left)d had left already: correct or withdraw these ECGs instead.", left=left)] if left else []


def _read_again(visit: Visit, one: ReadAgain) -> list[str]:
    payloads = visit.store.payloads
    undone = payloads.set_aside_again(one.payloads, due_at=one.due_at, now=visit.now, actor=visit.actor)
    count, left = len(undone), len(one.payloads) - len(undone)
    lines = [visit.say_many("%(count)d payload is set aside again.", "%(count)d payloads are set aside again.", count)]
    if left:
        lines.append(visit.say("Taken up already, and left as read: %(left)d. Withdraw these ECGs instead.", left=left))
    return lines


def _looked_at(visit: Visit, one: LookedAt) -> list[str]:
    questions = visit.store.questions
    again = [questions.payload_unseen(each, now=visit.now, actor=visit.actor) for each in one.payload_ids]
    return [
        visit.say_many("%(count)d payload needs a person again.", "%(count)d payloads need a person again.", sum(again))
    ]


def _left_unanswered(visit: Visit, one: LeftUnanswered) -> list[str]:
    failed = visit.store.failed_ecgs
    count = sum(failed.unsettle(each, now=visit.now, actor=visit.actor) for each in one.settled)
    return [visit.say_many("%(count)d ECG needs a person again.", "%(count)d ECGs need a person again.", count)]
