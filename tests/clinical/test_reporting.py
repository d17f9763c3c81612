"""Results out: bytes fixed before the first send, repeated until their fate is known, set aside when a person
must look.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Literal

import pytest

from ecgfm_clinical.pipeline.codes import local_code
from ecgfm_clinical.pipeline.composing import Composer
from ecgfm_clinical.pipeline.reporting import Reporter
from ecgfm_clinical.staging.records import MessageState, Score, Scoring
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Verdict
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import NotReached, Unreachable
from ecgfm_connectors.hl7.ack import reaction
from ecgfm_connectors.hl7.profile import Profile
from ecgfm_connectors.hl7.result import compose
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack
from tests.helpers.fakes import Clock, make_ecg

Stage = Callable[[Ecg], Verdict]
Code = Literal["AA", "AE", "AR", "CA", "CE", "CR"]


class Destination:
    """Answers what it was told to, and keeps what it got."""

    name = "ehr"

    def __init__(self, *answers: Code | tuple[Code, str] | None) -> None:
        self.answers = list(answers)
        self.got: list[tuple[str, bytes]] = []

    def send(self, body: bytes, *, control_id: str) -> Ack:
        self.got.append((control_id, body))
        answer = self.answers.pop(0) if self.answers else "AA"
        if answer is None:
            raise Unreachable("ehr: no acknowledgement in time")
        code, condition = answer if isinstance(answer, tuple) else (answer, "")
        return Ack(code=code, control_id=control_id, error_code=condition)

    def check(self) -> str:
        return "answers"

    def close(self) -> None:
        pass


@pytest.fixture
def store(store: Store) -> Store:
    """Messages are written as a site's are."""
    formats = {"ehr": lambda result: compose(result, Profile())}
    telling = replace(store.database.telling, destinations=("ehr",), compose=Composer(formats, device_id="device"))
    return Store(replace(store.database, telling=telling))


@pytest.fixture
def scored(store: Store, stage: Stage, clock: Clock) -> Callable[[Ecg], int]:
    """Stages one ECG and records a score for it; its id."""

    def put(ecg: Ecg) -> int:
        (ecg_id,) = stage(ecg).ecg_ids
        (job,) = store.jobs.claim(worker="w", limit=1, now=clock(), lease=timedelta(minutes=5))
        reasons = (("flat-lead", "V2: no change for 1 s or more"),)
        scoring = Scoring(
            ecg_id=ecg_id,
            model_id="f" * 64,
            model_name="test-model",
            model_version="3",
            preprocessing="p",
            runtime="r",
            input_digest="d",
            scored_at=clock(),
            scores=(
                Score(
                    head="reduced_lvef", label="reduced_lvef", probability=0.75, logit=1.1, threshold=0.5, positive=True
                ),
                Score(head="troponin", label="troponin", probability=None, logit=None, reasons=reasons),
            ),
        )
        assert not store.jobs.finish([(job, scoring)], now=clock(), worker="w")
        return ecg_id

    return put


def reporter(store: Store, destination: Destination, clock: Clock, worker: str = "sender") -> Reporter:
    return Reporter(
        store,
        destination,
        react=reaction,
        worker=worker,
        clock=clock,
        max_attempts=3,
        lease=timedelta(minutes=5),
    )


def message_of(store: Store, ecg_id: int) -> tuple[MessageState, list[str]]:
    (message,) = store.ecgs.story(ecg_id).messages
    return message.state, [error.kind for error in message.errors]


def test_the_message_says_what_was_found(store: Store, scored: Callable[[Ecg], int], clock: Clock) -> None:
    ecg_id = scored(make_ecg(1))
    destination = Destination()
    assert reporter(store, destination, clock).run_batch() == 1
    ((control_id, body),) = destination.got
    lines = [line.split("|") for line in body.decode().split("\r") if line]
    first, second = (line for line in lines if line[0] == "OBX")
    assert control_id == "CONTROL1"
    assert lines[0][9] == "CONTROL1"
    assert (first[3].split("^")[0], first[5], first[8], first[11]) == ("ECGFM-LVEF", "0.7500", "H", "F")
    assert second[11] == "X"
    assert "flat-lead" in second[5]
    assert message_of(store, ecg_id) == (MessageState.ACKNOWLEDGED, [])


def test_every_repeat_is_the_same_bytes_even_after_a_crash(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    ecg_id = scored(make_ecg(1))
    destination = Destination(None, None)
    assert reporter(store, destination, clock).run_batch() == 1
    clock.advance(minutes=10)
    assert reporter(store, destination, clock, "another-process").run_batch() == 1
    clock.advance(minutes=10)
    assert reporter(store, destination, clock, "a-third").run_batch() == 1
    assert len(destination.got) == 3
    assert len(set(destination.got)) == 1
    (message,) = store.ecgs.story(ecg_id).messages
    assert message.state is MessageState.ACKNOWLEDGED
    assert [(error.kind, error.attempt) for error in message.errors] == [("Unreachable", 2)], "equal errors are one"


@pytest.mark.parametrize("answer", ["AE", "CE", ("AR", "203"), ("CR", "201")])
def test_a_content_refusal_is_set_aside_at_once(
    store: Store, scored: Callable[[Ecg], int], clock: Clock, answer: Code | tuple[Code, str]
) -> None:
    ecg_id = scored(make_ecg(1))
    destination = Destination(answer)
    reporter(store, destination, clock).run_batch()
    clock.advance(hours=1)
    assert reporter(store, destination, clock).run_batch() == 0
    code = answer if isinstance(answer, str) else answer[0]
    assert message_of(store, ecg_id) == (MessageState.DEAD, [code])
    assert store.questions.backlog().destinations["ehr"].dead == 1


def test_a_receiver_that_is_busy_gets_it_again(store: Store, scored: Callable[[Ecg], int], clock: Clock) -> None:
    ecg_id = scored(make_ecg(1))
    destination = Destination(("AR", "207"))
    reporter(store, destination, clock).run_batch()
    clock.advance(hours=1)
    reporter(store, destination, clock).run_batch()
    assert message_of(store, ecg_id) == (MessageState.ACKNOWLEDGED, ["AR"])


def test_an_ae_that_may_mean_busy_is_believed_a_few_times(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    ecg_id = scored(make_ecg(1))
    busy: list[Code] = ["AE"] * 9
    destination = Destination(None, None, *busy)
    one = Reporter(
        store,
        destination,
        react=partial(reaction, ae_means_busy=True),
        worker="sender",
        clock=clock,
        max_attempts=None,
        lease=timedelta(minutes=5),
    )
    for _ in range(12):
        one.run_batch()
        clock.advance(hours=1)
    assert len(set(destination.got)) == 1
    assert message_of(store, ecg_id) == (MessageState.DEAD, ["Unreachable"] + ["AE"] * 5)


def test_one_patients_results_keep_their_order_and_hold_up_no_one_else(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    patient = make_ecg(1).patient
    first = scored(make_ecg(1))
    second = scored(make_ecg(2, patient=patient))
    other = scored(make_ecg(3))
    destination = Destination(("AR", "207"))
    one = reporter(store, destination, clock)
    assert one.run_batch() == 2  # the first of this patient, and the other patient's
    assert [control_id for control_id, _ in destination.got] == ["CONTROL1", "CONTROL3"]
    clock.advance(minutes=10)
    while one.run_batch():
        pass
    assert [control_id for control_id, _ in destination.got] == ["CONTROL1", "CONTROL3", "CONTROL1", "CONTROL2"]
    assert {message_of(store, ecg_id)[0] for ecg_id in (first, second, other)} == {MessageState.ACKNOWLEDGED}


def test_a_result_that_names_no_patient_is_set_aside_unsent(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    ecg_id = scored(make_ecg(1, patient=Patient()))
    destination = Destination()
    reporter(store, destination, clock).run_batch()
    assert destination.got == []
    assert message_of(store, ecg_id) == (MessageState.DEAD, ["Refused"])


def test_attempts_end(store: Store, scored: Callable[[Ecg], int], clock: Clock) -> None:
    ecg_id = scored(make_ecg(1))
    destination = Destination(*[None] * 9)
    one = reporter(store, destination, clock)
    for _ in range(9):
        one.run_batch()
        clock.advance(hours=1)
    assert len(destination.got) == 3
    assert message_of(store, ecg_id) == (MessageState.DEAD, ["Unreachable"] * 2)


class Unplugged(Destination):
    """A destination that can't be connected to until it is plugged in."""

    def __init__(self) -> None:
        super().__init__()
        self.plugged = False
        self.tries = 0

    def send(self, body: bytes, *, control_id: str) -> Ack:
        self.tries += 1
        if not self.plugged:
            raise NotReached("ehr cannot be reached: connection refused")
        return super().send(body, control_id=control_id)


@pytest.mark.slow
def test_an_outage_is_one_event_and_all_messages_follow_its_end_at_once(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    ecgs = [scored(make_ecg(number)) for number in range(10)]
    destination = Unplugged()
    one = reporter(store, destination, clock)
    before = store.care.audit_length()
    for _ in range(60):  # an hour, looked at every minute
        one.run_batch()
        clock.advance(minutes=1)
    assert destination.tries == 60, "one message is tried, whatever waits"
    assert store.destinations.status("ehr", now=clock()).attempts == 60
    assert store.care.audit_length() - before <= 12, "the outage, and that each message may have been on the wire once"
    assert {message_of(store, ecg_id)[0] for ecg_id in ecgs} == {MessageState.WAITING}
    assert all(len(store.ecgs.story(ecg_id).messages[0].errors) <= 1 for ecg_id in ecgs)
    destination.plugged = True
    assert one.run_batch() == 1  # the one that is tried
    assert one.run_batch() == 9, "all others follow at once"
    assert {message_of(store, ecg_id)[0] for ecg_id in ecgs} == {MessageState.ACKNOWLEDGED}
    actions = [event.action for event in store.care.trail(limit=10_000)]
    assert (actions.count("destination.open"), actions.count("destination.closed")) == (1, 1)


class AnotherProtocol(Destination):
    """Answers by a protocol of its own, as told: an answer, or what it raises."""

    def __init__(self, *behaviour: Ack | Unreachable) -> None:
        super().__init__()
        self.behaviour = list(behaviour)

    def send(self, body: bytes, *, control_id: str) -> Ack:
        self.got.append((control_id, body))
        told = self.behaviour.pop(0)
        if isinstance(told, Unreachable):
            raise told
        return replace(told, control_id=control_id)


def by_status(ack: Ack) -> Literal["done", "retry", "dead"]:
    return "done" if ack.code == "HTTP 201" and not ack.error_code else "dead"


def test_an_answer_of_another_protocol_is_kept_in_its_own_words(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    ecg_id = scored(make_ecg(1))
    sender = reporter(store, AnotherProtocol(Ack(code="HTTP 201", control_id="")), clock)
    sender._react = by_status
    assert sender.run_batch() == 1
    (message,) = store.ecgs.story(ecg_id).messages
    assert message.state is MessageState.ACKNOWLEDGED
    assert message.acknowledgement is not None
    assert message.acknowledgement.code == "HTTP 201"
    (summary,) = store.ecgs.newest(limit=1)
    assert summary.messages[0].ack_code is None, "the column is HL7's MSA-1, and nobody said AA"


@pytest.mark.parametrize("in_doubt", [False, True])
def test_a_refusal_that_says_not_what_became_of_the_message_leaves_it_in_doubt(
    store: Store, scored: Callable[[Ecg], int], clock: Clock, in_doubt: bool
) -> None:
    ecg_id = scored(make_ecg(1))
    answer = Ack(code="HTTP 200", control_id="", error_code="other-resource", in_doubt=in_doubt)
    sender = reporter(store, AnotherProtocol(answer), clock)
    sender._react = by_status
    sender.run_batch()
    (message,) = store.ecgs.story(ecg_id).messages
    assert message.state is MessageState.DEAD
    assert message.in_doubt is in_doubt
    assert message.errors[0].text == "the receiver answered HTTP 200, code other-resource"


def test_a_receiver_that_names_a_time_is_left_alone_until_then(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    scored(make_ecg(1))
    busy = NotReached("server: too many requests", retry_after=timedelta(minutes=4))
    endless = NotReached("server: too many requests", retry_after=timedelta(days=300))
    destination = AnotherProtocol(busy, endless, Ack(code="HTTP 201", control_id=""))
    sender = reporter(store, destination, clock)
    sender._react = by_status
    sender.run_batch()
    clock.advance(minutes=3)
    assert sender.run_batch() == 0
    clock.advance(minutes=2)
    assert sender.run_batch() == 1
    clock.advance(minutes=59)
    assert sender.run_batch() == 0
    clock.advance(minutes=2)
    assert sender.run_batch() == 1
    assert len(destination.got) == 3


def test_while_a_destination_waits_nothing_is_tried(store: Store, scored: Callable[[Ecg], int], clock: Clock) -> None:
    scored(make_ecg(1))
    destination = Unplugged()
    one = reporter(store, destination, clock)
    assert one.run_batch() == 1
    assert one.run_batch() == 0
    assert destination.tries == 1


def test_a_message_that_is_never_answered_does_not_hold_up_the_others(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    poison, *healthy = [scored(make_ecg(number)) for number in range(4)]
    (unanswered,) = (one.control_id for one in store.ecgs.story(poison).messages)

    class Swallows(Destination):
        def send(self, body: bytes, *, control_id: str) -> Ack:
            if control_id == unanswered:
                raise Unreachable("ehr: no acknowledgement in time")
            return super().send(body, control_id=control_id)

    one = reporter(store, Swallows(), clock)
    for _ in range(8):
        one.run_batch()
        clock.advance(minutes=1)
    assert {message_of(store, ecg_id)[0] for ecg_id in healthy} == {MessageState.ACKNOWLEDGED}
    assert message_of(store, poison)[0] is MessageState.DEAD


def test_a_batch_ends_with_the_message_under_way_once_the_service_stops(
    store: Store, scored: Callable[[Ecg], int], clock: Clock
) -> None:
    for number in range(3):
        scored(make_ecg(number + 1))
    destination = Destination()
    sender = reporter(store, destination, clock)
    sender._stopping = lambda: len(destination.got) == 1
    sender.run_batch()
    assert len(destination.got) == 1
    reporter(store, destination, clock, worker="next process").run_batch()  # nothing is held any longer
    assert len(destination.got) == 3


def test_codes_are_local_distinct_and_fit() -> None:
    from ecgfm.heads import INTERPRETATION, REDUCED_LVEF, TROPONIN

    codes = [
        local_code(spec.name, label).code for spec in (REDUCED_LVEF, TROPONIN, INTERPRETATION) for label in spec.labels
    ]
    assert len(set(codes)) == len(codes) == 19
    assert all(code.startswith("ECGFM-") and len(code) <= 20 for code in codes)
