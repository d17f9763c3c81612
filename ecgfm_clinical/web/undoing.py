"""Undo until sent: what an act put on its way waits a little, and meanwhile whoever did it may take it back.

What can be undone is remembered by the console that did it; after a restart, or once it is sent, the ordinary acts are
the way back.
"""

from starlette.responses import Response

from ecgfm_clinical.web.undoables import Undoable
from ecgfm_clinical.web.visit import Visit


def done(visit: Visit, title: str, lines: list[str], one: Undoable, *, back: str) -> Response:
    """What an act came to, with the button that undoes it while its messages wait."""
    word = visit.console.undoables.keep(one) if one.done.created or one.done.cancelled else ""
    seconds = round((one.due_at - visit.now).total_seconds())
    return visit.page("done.html", title=title, lines=lines, back=back, undo=word, undo_seconds=seconds)


def undo(visit: Visit) -> Response:
    """Take back what was not sent yet."""
    user = visit.user.name if visit.user is not None else ""
    one = visit.console.undoables.take(visit.form.text("undo"), user=user)
    results = visit.store.results
    if one.act == "resend":
        count = results.undo_resend(one.done, due_at=one.due_at, now=visit.now, actor=visit.actor)
        left = len(one.done.created) - count
    else:
        count, left = 0, 0
        for ecg_id in one.ecg_ids:
            undone = results.undo_withdrawal(ecg_id, one.done.created, now=visit.now, actor=visit.actor)
            count, left = count + undone, left + (not undone)
    told = (
        visit.say("%(count)d messages were undone.", count=count)
        if one.act == "resend"
        else visit.say("%(count)d withdrawals were undone.", count=count)
    )
    lines = [told]
    if left:
        lines.append(visit.say("%(left)d had left already: correct or withdraw these ECGs instead.", left=left))
    return visit.done(visit.say("Undone"), lines, back="/dead")
