"""Dead letters: messages that wait for a person, and the acts on all of them that a filter names.

An act is previewed first. What is done is done to the messages that were previewed, whatever came since.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from ecgfm_clinical.errors import InputError, NotFound
from ecgfm_clinical.operate import correction
from ecgfm_clinical.web import undoing
from ecgfm_clinical.web.overtaken import overtaken
from ecgfm_clinical.web.undoables import Resent, Withdrawn
from ecgfm_clinical.web.users import Role
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_

if TYPE_CHECKING:
    from ecgfm_clinical.staging.records import DeadLetter, Reissue

SHOWN = 200
MOST_AT_ONCE = 1000  #: messages one act is done to


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What can be done to everything that matches."""

    name: str
    button: str
    follows: str
    role: Role
    asks_why: bool = False


ACTS = (
    Act(
        name="again",
        button=N_("Send again"),
        follows=N_("the same bytes go again under the same number; what a later result has overtaken is cancelled"),
        role=Role.OPERATOR,
    ),
    Act(
        name="recompose",
        button=N_("Compose anew and send"),
        follows=N_("composed anew under new numbers and sent; the messages of today are cancelled"),
        role=Role.OPERATOR,
    ),
    Act(
        name="withdraw",
        button=N_("Withdraw the results"),
        follows=N_(
            "every result of these ECGs is taken back at every destination: cancelled where it never left, followed by "
            "a withdrawal (OBX-11 W) where it did"
        ),
        role=Role.ADMINISTRATOR,
        asks_why=True,
    ),
)


def show(visit: Visit) -> Response:
    """What fulfils the filter, oldest first, page by page."""
    found, after = _matching(visit), visit.asked.number("after") or 0
    rest = [one for one in found if one.message_id > after]
    return visit.page(
        "dead.html",
        found=rest[:SHOWN],
        count=len(found),
        further=visit.asked.query(after=str(rest[SHOWN - 1].message_id)) if len(rest) > SHOWN else "",
        acts=ACTS,
        most=MOST_AT_ONCE,
        destinations=visit.settings.destination_names,
    )


def preview(visit: Visit) -> Response:
    """What an act would be done to, and what follows; nothing happens yet."""
    act = next((one for one in ACTS if one.name == visit.asked.text("act")), None)
    if act is None:
        raise InputError("there are the acts " + ", ".join(one.name for one in ACTS))
    found = _matching(visit)[:MOST_AT_ONCE]
    if not found:
        raise NotFound(N_("no message that is set aside fulfils this any more"))
    return visit.page("dead_preview.html", act=act, found=found, query=visit.asked.query(act=""))


def again(visit: Visit) -> Response:
    """Send the previewed messages again."""
    return _resent(visit, recompose=False)


def recompose(visit: Visit) -> Response:
    """Send them composed anew."""
    return _resent(visit, recompose=True)


def withdraw(visit: Visit) -> Response:
    """Take back the results of the ECGs that the previewed messages are about."""
    chosen, reason = set(_chosen(visit)), visit.form.reason()
    ecgs = sorted({one.ecg_id for one in visit.store.questions.dead_letters() if one.message_id in chosen})
    standing = [told for ecg_id in ecgs for told in visit.store.results.told(ecg_id=ecg_id)]
    if not standing:
        raise NotFound(N_("no result of these ECGs stands any more"))
    due_at = visit.now + visit.console.undoables.wait
    done = correction.withdraw(visit.store, standing, not_before=due_at, reason=reason, actor=visit.actor)
    one = Withdrawn(done=done, due_at=due_at, ecg_ids=tuple(ecgs))
    return undoing.done(visit, visit.say("Withdrawn"), told(visit, done), one, back="/dead")


def told(visit: Visit, done: "Reissue") -> list[str]:
    """What an act on results came to."""
    return [
        visit.say_many(
            "%(count)d message will be sent, %(cancelled)d cancelled.",
            "%(count)d messages will be sent, %(cancelled)d cancelled.",
            len(done.created),
            cancelled=len(done.cancelled),
        )
    ]


def _resent(visit: Visit, *, recompose: bool) -> Response:
    return resent(visit, _chosen(visit), recompose=recompose, back="/dead")


def resent(visit: Visit, chosen: Sequence[int], *, recompose: bool = False, back: str) -> Response:
    """Send these again, after a while in which it can be undone; who comes second is told what the first did."""
    due_at = visit.now + visit.console.undoables.wait
    done = visit.store.results.resend(
        message_ids=chosen, recompose=recompose, not_before=due_at, now=visit.now, actor=visit.actor
    )
    missed = set(chosen) - set(done.created) - set(done.cancelled)
    lines = [*told(visit, done), *overtaken(visit, missed, of=len(chosen), what="message")]
    return undoing.done(visit, visit.say("Sent again"), lines, Resent(done=done, due_at=due_at), back=back)


def _chosen(visit: Visit) -> tuple[int, ...]:
    chosen = visit.form.numbers("message")
    if not chosen:
        raise InputError(N_("no message was chosen"))
    if len(chosen) > MOST_AT_ONCE:
        raise InputError(f"{MOST_AT_ONCE} messages at a time, at most")
    return chosen


def _matching(visit: Visit) -> "list[DeadLetter]":
    asked = visit.asked
    kind, reason = asked.text("kind"), asked.text("error")
    found = visit.store.questions.dead_letters(destination=asked.text("destination") or None)
    return [
        one
        for one in found
        if (not kind or one.kind == kind) and (not reason or (one.error is not None and one.error.kind == reason))
    ]
