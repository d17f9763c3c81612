"""Two people decide on the same thing: the second is told that somebody was first, who, and what was done."""

from collections.abc import Collection, Iterator
from typing import Literal

from ecgfm_clinical.web.visit import Visit

LOOKED_BACK = 200  #: newest entries of the audit trail that are searched for who was first


def overtaken(
    visit: Visit, missed: Collection[int], *, of: int, what: Literal["message", "payload", "ecg"]
) -> Iterator[str]:
    """Of `of` messages, payloads or ECGs that somebody chose, these waited for nobody any more."""
    if not missed:
        return
    yield visit.say("%(count)d of %(of)d chosen had been dealt with already.", count=len(missed), of=of)
    for one in visit.store.care.found(limit=LOOKED_BACK, action=f"{what}."):
        of_it = one.ecg_id if what == "ecg" else one.detail.get(f"{what}_id")
        if of_it in missed and "/web" in one.actor:
            at = visit.language.moment(one.at, visit.console.zone)
            yield visit.say("%(action)s by %(actor)s at %(at)s.", action=one.action, actor=one.actor, at=at)
            return
