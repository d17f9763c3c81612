"""Each row of the events of a result and of a message, done from each state that it names, and what is made of it."""

import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from ecgfm_clinical.staging.records import AttemptError, OutboundMessage, Retry
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.staging.story_records import MessageStory
from ecgfm_connectors.result import Ack
from tests.clinical.lifecycle import document
from tests.clinical.lifecycle.hospital import LEASE, Hospital

pytestmark = pytest.mark.slow(27)

RESULTS, MESSAGES = document.events("Result"), document.events("Message")


@pytest.fixture
def hospital(store_url: str) -> Iterator[Hospital]:
    one = Hospital(lambda telling: Store.open(store_url, create=True, telling=telling), control_ids=itertools.count(1))
    one.arrives("R1", "A")
    yield one
    one.store.leases.reap(now=one.now, worker="sender")
    one.settle(resend=True)
    one.store.close()


def story(hospital: Hospital) -> list[MessageStory]:
    """Every message to `ehr` about the recording, oldest first."""
    found = [one for ecg_id in hospital._versions("R1") for one in hospital.store.ecgs.story(ecg_id).messages]
    return sorted((one for one in found if one.destination == "ehr"), key=lambda one: one.message_id)


def kinds(hospital: Hospital) -> list[str]:
    return [one.kind for one in story(hospital)]


def results(hospital: Hospital) -> list[tuple[str, str]]:
    """(filler number, state) of each result at `ehr`, the oldest first."""
    recording = hospital.store.ecgs.story(hospital._versions("R1")[-1]).recording
    found = [(one.filler, one.state) for one in recording.results if one.destination == "ehr"]
    return sorted(found, key=lambda one: (len(one[0]), one[0]))


# --- a result ---------------------------------------------------------------------------------------------------------


def begin(hospital: Hospital, state: str) -> None:
    """Bring the result into this state."""
    if state == "none":
        return
    hospital.scores()
    if state == "pending":
        return
    hospital.sends("ehr", "lost on the way" if state == "in doubt" else "acknowledged")
    if state == "corrected":
        hospital.says_otherwise("R1", 0.25)
        hospital.scores()
        hospital.sends("ehr")
    elif state == "withdrawn":
        hospital.withdraws("R1")
    elif state == "superseded":
        hospital.names_patient("R1", "B")
        hospital.scores()


def again(hospital: Hospital) -> None:
    hospital.says_otherwise("R1", hospital.says["R1"])
    hospital.scores()


def anew(hospital: Hospital) -> None:
    hospital.says_otherwise("R1", 0.75)
    hospital.scores()


def moved(hospital: Hospital) -> None:
    hospital.names_patient("R1", "B")
    hospital.scores()


def fate_unknown(hospital: Hospital) -> None:
    hospital.sends("ehr", "lost on the way")


#: Event -> the same done here, and the kinds of message that it makes.
RESULT_ACTS: dict[str, tuple[Callable[[Hospital], object], list[str]]] = {
    "scored": (lambda one: one.scores(), ["F"]),
    "scored again, something new": (anew, ["C"]),
    "scored again, nothing new": (again, []),
    "scored again after it was taken back, something new": (anew, ["F"]),
    "scored again after it was taken back, nothing new": (again, []),
    "acknowledged": (lambda one: one.sends("ehr"), []),
    "fate unknown": (fate_unknown, []),
    "taken back": (lambda one: one.withdraws("R1"), []),
    "taken back after it may have left": (lambda one: one.withdraws("R1"), ["W"]),
    "moved to another patient": (moved, ["W", "F"]),
}
#: A row for `any` says nothing of a result that there is not: its first score is another row.
RESULT_CASES = [
    (event, start)
    for event, row in RESULTS.items()
    for start in document.named(row[2], "Result")
    if (event, start) != ("scored again, nothing new", "none")
]


def test_every_event_of_a_result_is_tried_here() -> None:
    assert RESULTS.keys() == RESULT_ACTS.keys()


@pytest.mark.parametrize(("event", "start"), RESULT_CASES)
def test_each_event_moves_a_result_as_it_is_written(hospital: Hospital, event: str, start: str) -> None:
    begin(hospital, start)
    before = results(hospital)
    filler, state = before[0] if before else ("", "none")
    assert state == start
    heard = kinds(hospital)
    act, made = RESULT_ACTS[event]
    act(hospital)
    after = dict(results(hospital))
    (expected,) = document.named(RESULTS[event][3], "Result") or [start]
    assert after.get(filler or next(iter(after), ""), "none") == expected
    assert kinds(hospital)[len(heard) :] == made
    if event == "moved to another patient":
        assert len(after) == 2, "F there under a new filler number"
    elif event != "scored":
        assert after.keys() <= dict(before).keys(), "the same filler number for as long as it lives"


# --- a message --------------------------------------------------------------------------------------------------------


class Sender:
    """One message to `ehr`, step by step."""

    def __init__(self, hospital: Hospital) -> None:
        self.hospital = hospital
        self.outbox = hospital.store.outbox
        self.held: OutboundMessage | None = None

    def claim(self) -> None:
        (self.held,) = self.outbox.claim(
            worker="sender", destination="ehr", limit=1, now=self.hospital._tick(), lease=LEASE
        )

    def begin(self) -> None:
        assert self.held is not None
        self.outbox.begin(self.held, now=self.hospital._tick(), worker="sender")

    def acknowledged(self) -> None:
        assert self.held is not None
        body = story(self.hospital)[0].body
        assert body is not None
        self.hospital._fixed.setdefault(self.held.control_id, 0)
        self.hospital._arrives_at("ehr", body)
        ack = Ack(code="AA", control_id=self.held.control_id)
        self.outbox.finish(self.held, ack, now=self.hospital._tick(), worker="sender")

    def fails(self, *, again: bool, code: Literal["", "AE", "AR"] = "", undelivered: bool = False) -> None:
        assert self.held is not None
        now = self.hospital._tick()
        error = AttemptError(at=now, attempt=self.held.attempts, kind=code or "Unreachable", text="x")
        retry = Retry(due_at=now if again else None, error=error)
        ack = Ack(code=code, control_id=self.held.control_id) if code else None
        self.outbox.fail(self.held, retry, now=now, worker="sender", ack=ack, undelivered=undelivered)

    def dies(self) -> None:
        self.hospital.store.leases.reap(now=self.hospital._tick(), worker="sender")


def to(sender: Sender, state: str, *, in_doubt: bool) -> None:
    """Bring the message into this state, with an attempt of unknown fate before, or without."""
    if in_doubt:
        sender.claim()
        sender.begin()
        sender.fails(again=True)
    if state in ("sending", "set aside"):
        sender.claim()
        sender.begin()
    if state == "set aside":
        sender.fails(again=False, code="AE")


def overtaken(hospital: Hospital) -> None:
    """Another model says something else: a correction where the first message may have left, else a first result."""
    anew(hospital)


#: Event -> the same done here, in doubt before or not.
MESSAGE_ACTS: dict[str, Callable[[Sender], object]] = {
    "claimed": lambda one: one.claim(),
    "acknowledged": lambda one: one.acknowledged(),
    "not connected": lambda one: one.fails(again=True, undelivered=True),
    "no answer": lambda one: one.fails(again=True),
    "refused for now (AR, CR; AE where it means busy)": lambda one: one.fails(again=True, code="AR"),
    "refused for its content (AE, CE)": lambda one: one.fails(again=False, code="AE"),
    "attempts spent": lambda one: one.fails(again=False),
    "sender died": lambda one: one.dies(),
    "sent again by a person": lambda one: one.hospital.sends_dead_letters_again(recompose=False),
    "cancelled": lambda one: one.hospital.withdraws("R1"),
    "composed anew, as a merge is made or undone": lambda one: one.hospital.merge("A", "Z"),
    "overtaken by a later message of the same result": lambda one: overtaken(one.hospital),
}
#: Events of a message of which it is certain that it never left.
NEVER_LEFT = ("cancelled", "composed anew, as a merge is made or undone")
MESSAGE_CASES = [
    (event, start, in_doubt)
    for event, row in MESSAGES.items()
    for start in document.named(row[1], "Message")
    for in_doubt in ((False,) if event in NEVER_LEFT else (False, True))
]


def test_every_event_of_a_message_is_tried_here() -> None:
    assert MESSAGES.keys() == MESSAGE_ACTS.keys()


@pytest.mark.parametrize(("event", "start", "in_doubt"), MESSAGE_CASES)
def test_each_event_moves_a_message_as_it_is_written(
    hospital: Hospital, event: str, start: str, in_doubt: bool
) -> None:
    hospital.scores()
    sender = Sender(hospital)
    to(sender, start, in_doubt=in_doubt)
    assert story(hospital)[0].state.word == start
    MESSAGE_ACTS[event](sender)
    (after, *_) = story(hospital)
    (expected,) = document.named(MESSAGES[event][2], "Message")
    assert after.state.word == expected
    written = MESSAGES[event][3].split(":")[0]
    doubt = {"yes": True, "no": False}.get(written, in_doubt)
    assert after.in_doubt == (doubt or (event == "attempts spent"))


def test_a_result_that_lives_again_waits_until_it_has_left(hospital: Hospital) -> None:
    begin(hospital, "withdrawn")
    hospital.sends("ehr")
    anew(hospital)
    assert [state for _, state in results(hospital)] == ["pending"]
    hospital.sends("ehr")
    assert [state for _, state in results(hospital)] == ["sent"]


def test_a_message_set_aside_needs_nobody_once_its_result_was_taken_back(hospital: Hospital) -> None:
    """Its fate stays unknown; the withdrawal that follows it says what stands."""
    hospital.scores()
    hospital.sends("ehr", "refused, spent")
    assert hospital.store.questions.backlog().destinations["ehr"].dead == 1
    hospital.withdraws("R1")
    assert [(one.kind, one.state.word, one.in_doubt) for one in story(hospital)] == [
        ("F", "cancelled", True),
        ("W", "waiting", False),
    ]
    assert hospital.store.questions.backlog().destinations["ehr"].dead == 0
    hospital.sends("ehr")
    assert hospital.heard("ehr") == ["W"]
    assert [state for _, state in results(hospital)] == ["withdrawn"]


def test_a_withdrawal_set_aside_is_overtaken_by_none_but_another_withdrawal(hospital: Hospital) -> None:
    begin(hospital, "withdrawn")
    hospital.sends("ehr", "refused, spent")
    anew(hospital)
    assert [(one.kind, one.state.word) for one in story(hospital)] == [
        ("F", "acknowledged"),
        ("W", "set aside"),
        ("F", "waiting"),
    ]
    hospital.sends("ehr")
    assert hospital.store.questions.backlog().destinations["ehr"].dead == 1
    hospital.withdraws("R1")
    assert [(one.kind, one.state.word) for one in story(hospital)][1] == ("W", "cancelled")


def test_what_may_have_left_is_not_cancelled_but_followed_by_a_withdrawal(hospital: Hospital) -> None:
    hospital.scores()
    to(Sender(hospital), "waiting", in_doubt=True)
    hospital.withdraws("R1")
    assert [(one.kind, one.state.word) for one in story(hospital)] == [("F", "waiting"), ("W", "waiting")]
