"""What each receiver holds of one recording, and which message it is owed next: the result's part of `LIFECYCLE.md`.

Pure functions over the messages so far: no database, no clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ecgfm_clinical.staging.records import TAKES_BACK, Kind, MessageState


class ResultState(StrEnum):
    """Where the result of one recording stands at one receiver."""

    NONE = "none"  #: nothing was ever sent, or all of it certainly never left
    PENDING = "pending"  #: its first message waits
    SENT = "sent"  #: acknowledged
    IN_DOUBT = "in doubt"  #: a message may have left, and its fate is unknown
    CORRECTED = "corrected"  #: a C replaced it
    WITHDRAWN = "withdrawn"  #: a W or D took it back
    SUPERSEDED = "superseded"  #: the recording went to another patient; this result was taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """One message about a recording to one destination, as far as it matters for what follows."""

    message_id: int
    ecg_id: int  #: the version it tells of
    scoring_id: int
    kind: Kind
    state: MessageState
    in_doubt: bool  #: some attempt may have reached the receiver, and nothing says what became of it
    filler: str  #: OBR-3
    generation: int  #: how often the recording had changed hands when it was made
    filed_key: str  #: the identity in PID-3
    output_digest: str  #: of what it tells

    @property
    def may_have_left(self) -> bool:
        return self.state is MessageState.ACKNOWLEDGED or self.in_doubt

    @property
    def counts(self) -> bool:
        """Whether the receiver has it, may have it, or will: what was given up before it left counts for nothing."""
        return self.may_have_left or self.state in (MessageState.WAITING, MessageState.RUNNING)


def standing(messages: Iterable[SentMessage]) -> list[SentMessage]:
    """The newest message of each result that the receiver holds, may hold or is about to hold, oldest first."""
    newest: dict[str, SentMessage] = {}
    for one in messages:
        if one.counts:
            newest.pop(one.filler, None)
            newest[one.filler] = one
    return [one for one in newest.values() if one.kind not in TAKES_BACK]


def taken_back_in_doubt(messages: Iterable[SentMessage]) -> list[SentMessage]:
    """The newest message of each result, where that is a withdrawal which was given up and may never have arrived: what
    it takes back stands perhaps.
    """
    newest = {one.filler: one for one in messages if one.counts}
    given_up = (MessageState.DEAD, MessageState.CANCELLED)
    return [one for one in newest.values() if one.kind in TAKES_BACK and one.state in given_up]


def state_of(messages: Sequence[SentMessage], filler: str, *, generation: int) -> ResultState:
    """Where the result with this filler number stands; `generation` is the recording's own."""
    counting = [one for one in messages if one.filler == filler and one.counts]
    if not counting:
        return ResultState.NONE
    last = counting[-1]
    if last.kind in TAKES_BACK:
        return ResultState.SUPERSEDED if last.generation < generation else ResultState.WITHDRAWN
    if not any(one.may_have_left for one in _since_taken_back(counting)):
        return ResultState.PENDING
    if last.in_doubt and last.state is not MessageState.ACKNOWLEDGED:
        return ResultState.IN_DOUBT
    return ResultState.CORRECTED if last.kind == "C" else ResultState.SENT


def _since_taken_back(messages: Sequence[SentMessage]) -> Sequence[SentMessage]:
    """What was told after the last withdrawal: a result that lives again is not there because it once was."""
    taken_back = [place for place, one in enumerate(messages, start=1) if one.kind in TAKES_BACK]
    return messages[max(taken_back, default=0) :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What a receiver is owed after a scoring."""

    take_back: tuple[SentMessage, ...] = ()  #: results that must not stand beside the one that is told now
    kind: Kind | None = None  #: F or C; None: the receiver would learn nothing
    filler: str | None = None  #: of the result that a C corrects, or an F revives; None: a new one


def owed(
    messages: Sequence[SentMessage],
    *,
    ecg_id: int,
    generation: int,
    output_digest: str,
    same_subject: bool,
    taken_back: str | None,
    reinstated: bool,
    again: bool,
) -> Owed:
    """What a receiver is owed for one scoring of the version `ecg_id`.

    `same_subject`: the newest message told of another version that names the same patient, order and time.
    `taken_back`: digest of what a person took back. `reinstated`: what was withdrawn may be told again. `again`: a
    person wants it told whether it is news or not.
    """
    held = standing(messages)
    mine = [one for one in held if one.generation == generation]
    others = tuple(one for one in held if one.generation != generation)
    stray = tuple(one for one in mine[:-1])  # stores of the first schema gave each version a number of its own
    if mine and output_digest == taken_back and not again:  # it stands because its withdrawal could not be sent
        return Owed(take_back=(*others, *stray))
    if mine:
        last = mine[-1]
        news = last.output_digest != output_digest or not (last.ecg_id == ecg_id or same_subject)
        if not (news or again):
            return Owed(take_back=(*others, *stray))
        return Owed(take_back=(*others, *stray), kind="C", filler=last.filler)
    before = [one for one in messages if one.generation == generation and one.counts]
    known = {taken_back, before[-1].output_digest if before and not reinstated else None}
    if output_digest in known and not again:  # taken back, and nothing new since
        return Owed(take_back=others)
    return Owed(take_back=others, kind="F", filler=before[-1].filler if before else None)
