"""What an act on one ECG would do, before anybody does it; and whether somebody else did something meanwhile."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from ecgfm_clinical.errors import InputError, NotFound, StoreError
from ecgfm_clinical.staging.records import MessageState
from ecgfm_clinical.web.one_ecg import number_of, set_aside
from ecgfm_clinical.web.users import Role
from ecgfm_clinical.web.visit import Visit
from ecgfm_clinical.wording import N_

if TYPE_CHECKING:
    from ecgfm_clinical.staging.records import AuditEvent, Told
    from ecgfm_clinical.staging.story_records import EcgStory


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgAct:
    """What can be done to one ECG after a preview."""

    name: str
    button: str
    follows: str
    role: Role
    asks_why: bool = True
    danger: bool = False


ACTS = (
    EcgAct(
        name="correct",
        button=N_("Correct"),
        follows=N_(
            "The ECG is judged again, and its result is sent as a correction (OBX-11 C) to every destination that "
            "holds one. What has not left yet is cancelled first."
        ),
        role=Role.OPERATOR,
    ),
    EcgAct(
        name="send-again",
        button=N_("Send again"),
        follows=N_(
            "Its messages that are set aside go again: the same bytes under the same number. What a later result "
            "has overtaken is cancelled."
        ),
        role=Role.OPERATOR,
        asks_why=False,
    ),
    EcgAct(
        name="withdraw",
        button=N_("Withdraw"),
        follows=N_(
            "Its results are taken back at every destination: cancelled where they never left, followed by a "
            "withdrawal (OBX-11 W) where they did or may have."
        ),
        role=Role.ADMINISTRATOR,
        danger=True,
    ),
)

#: What people do to an ECG, as the audit trail names it.
PEOPLES = ("ecg.corrected", "ecg.withdrawn", "ecg.deleted", "recording.", "message.resent", "message.recomposed")


def show(visit: Visit) -> Response:
    """What stands where, and what follows; nothing happens yet."""
    act = next((one for one in ACTS if one.name == visit.asked.text("act")), None)
    if act is None:
        raise InputError("there are the acts " + ", ".join(one.name for one in ACTS))
    story = visit.store.ecgs.story(number_of(visit))
    return visit.page(
        "ecg_preview.html",
        act=act,
        ecg_id=story.ecg.ecg_id,
        standing=_standing(visit, story, act),
        seen=story.events[-1].event_id if story.events else 0,
    )


def _standing(visit: Visit, story: "EcgStory", act: EcgAct) -> "list[Told]":
    """The results that the act concerns. Raises NotFound where there are none."""
    found = visit.store.results.told(ecg_id=story.ecg.ecg_id)
    if act.name == "send-again":
        dead = set(set_aside(story))
        if not dead:
            raise NotFound(f"no message of ECG {story.ecg.ecg_id} is set aside")
        return [one for one in found if one.state is MessageState.DEAD]
    if act.name == "withdraw" and not found:
        raise NotFound(f"no result of ECG {story.ecg.ecg_id} stands")
    return found


def refuse_if_overtaken(visit: Visit, story: "EcgStory") -> None:
    """Raises StoreError where somebody acted on the ECG after the page was made on which this act was decided."""
    seen = visit.form.number("seen")
    if seen is None:
        return
    for one in story.events:
        if one.event_id > seen and one.action.startswith(PEOPLES) and "/web" in one.actor:
            raise StoreError(
                f"nothing was done: {one.actor} was first, at {one.at:%Y-%m-%d %H:%M:%S} UTC: {one.action}"
                f"{_why(one)}. Look at the ECG again, then decide"
            )


def _why(event: "AuditEvent") -> str:
    reason = event.detail.get("reason")
    return f", {reason}" if reason else ""
