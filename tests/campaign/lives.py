"""Merges, undone merges, corrections, withdrawals and an operator's acts while processes die, and the truth of them.

One hand does them one after the other: what comes over a wire is repeated, byte for byte, until it is acknowledged, and
only then does the truth hear of it (`tests/clinical/lifecycle/truth.py`). What an operator does is done when the store
says so. The order of the acts is therefore known, whoever dies meanwhile.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import func, select

from ecgfm_clinical import wiring
from ecgfm_clinical.errors import StoreError, StoreUnavailable
from ecgfm_clinical.staging.holds import Hold, Question
from ecgfm_clinical.staging.schema import ecg, score_job
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.ecg import Ecg, Order
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.testing import dicom_writer, oru_writer
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.campaign.hospital import CANARY
from tests.clinical.lifecycle.truth import People, Recording
from tests.helpers.fakes import make_ecg

NUMBERS = tuple(f"{CANARY}{letter}" for letter in "ABCD")
PLACER = "LIFE"  #: how the orders of these recordings begin
START = datetime(2031, 1, 2, tzinfo=UTC)
YOUNGEST = 8  #: acts concern the recordings that came last


@dataclass(slots=True)
class Life:
    """One recording as its sender knows it."""

    newest: Ecg
    truth: Recording
    said: int = 1  #: which of its signals counts: the sender corrects it with another
    withdrawn_once: bool = False


class Lives:
    """A thread of acts; `people` and `lives` are the truth afterwards."""

    def __init__(self, store: Store, hl7_port: int, *, seed: int, pace: float) -> None:
        self.people = People()
        self.lives: dict[str, Life] = {}
        self.acts: dict[str, int] = {}  #: act -> how often it was done
        self.acknowledged: list[bytes] = []  #: payloads that hold a version
        self._store = store
        self._port = hl7_port
        self._chance = random.Random(seed)
        self._pace = pace
        self._messages = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.broken: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        acts = (self._arrives, self._arrives, self._corrects, self._names_another, self._withdraws, self._sends_final,
                self._merges, self._merges, self._merges, self._unlinks, self._unlinks, self._operator_withdraws,
                self._operator_corrects, self._operator_names, self._operator_answers)  # fmt: skip
        try:
            while not self._stop.is_set():
                act = self._chance.choice(acts) if self.lives else self._arrives
                if act():
                    name = act.__name__.strip("_").replace("_", " ")
                    self.acts[name] = self.acts.get(name, 0) + 1
                self._stop.wait(self._pace)
        except Exception as error:  # noqa: BLE001 - the campaign reports it
            self.broken.append(f"the hand that does the acts broke: {type(error).__name__}: {error}")

    # --- over the wire

    def _arrives(self) -> bool:
        count = len(self.lives) + 1
        name, number = f"{PLACER}{count:05d}", self._number()
        one = make_ecg(
            count,
            source_id=f"1.2.826.0.1.{count}",
            patient=patient(number),
            order=Order(placer=name, filler=f"EKG{count}"),
        )
        self._send_ecg(one, "F")
        self.lives[name] = Life(newest=one, truth=Recording(number=number, named=[number]))
        return True

    def _corrects(self) -> bool:
        life = self._any()
        said = life.said + 1
        signal = (life.newest.signal * np.float32(1 + 0.03 * said)).astype(np.float32)
        self._comes_again(life, signal=signal, source_id=f"{life.newest.source_id}.{said}", status="C")
        life.said = said
        return True

    def _names_another(self) -> bool:
        life = self._any()
        self._comes_again(life, patient=patient(self._number()), status="F")
        return True

    def _sends_final(self) -> bool:
        self._comes_again(self._any(), status="F")
        return True

    def _comes_again(self, life: Life, *, status: str, **changes: Any) -> None:
        """Another version; each has another urgency than the one before, so that none is a mere copy."""
        order = replace(life.newest.order, stat=not life.newest.order.stat)
        one = replace(life.newest, order=order, **changes)
        self._send_ecg(one, status)
        life.newest = one
        life.truth.comes_again(_number_of(one), self.people, follow=True, anew=True)

    def _withdraws(self) -> bool:
        life = self._any()
        self._send_ecg(life.newest, "W", version=False)
        life.truth.is_withdrawn("by-sender")
        life.withdrawn_once = True
        return True

    def _merges(self) -> bool:
        retired, surviving = self._chance.sample(NUMBERS, 2)
        self._adt("A40", f"PID|1||{_cx(surviving)}||{CANARY}", f"MRG|{_cx(retired)}")
        self.people.merge(retired, surviving)
        return True

    def _unlinks(self) -> bool:
        first, second = self._chance.sample(NUMBERS, 2)
        self._adt("A37", f"PID|1||{_cx(first)}||{CANARY}", f"PID|2||{_cx(second)}||{CANARY}")
        self.people.unlink(first, second)
        return True

    def _send_ecg(self, one: Ecg, status: str, *, version: bool = True) -> None:
        written = oru_writer.write_message(
            [(dicom_writer.write_ecg(one), "DICOM")],
            patient=one.patient,
            order=one.order,
            acquired_at=one.acquired.at if one.acquired else None,
            control_id=self._control_id(),
            sent_at=START + timedelta(seconds=self._messages),
        )
        content = written.replace(b"||||||F\r", f"||||||{status}\r".encode())
        self._insist(content)
        if version:
            self.acknowledged.append(content)

    def _adt(self, event: str, *segments: str) -> None:
        control_id = self._control_id()
        sent = (START + timedelta(seconds=self._messages)).strftime("%Y%m%d%H%M%S+0000")
        header = f"MSH|^~\\&|ADT|HOSP|ECGFM||{sent}||ADT^{event}|{control_id}|P|2.5.1"
        self._insist("".join(f"{line}\r" for line in (header, f"EVN|{event}", *segments)).encode())

    def _control_id(self) -> str:
        self._messages += 1
        return f"LIVES{self._messages:06d}"

    def _insist(self, content: bytes) -> None:
        while True:
            try:
                with MllpCart("127.0.0.1", self._port, timeout=5.0) as sender:
                    if sender.send(content).code == "AA":
                        return
            except ConnectorError:
                pass
            threading.Event().wait(0.1)

    # --- an operator

    def _operator_withdraws(self) -> bool:
        life = self._any()
        if life.truth.withdrawn or self._is_asked(life) or not self._is_told(life):
            return False
        self._decide(lambda now: self._results.withdraw(self._newest(life), reason="x", now=now, actor="operator"))
        life.truth.taken_back = str(life.said)
        return True

    def _operator_corrects(self) -> bool:
        life = self._any()
        try:
            self._decide(lambda now: self._results.correct(self._newest(life), reason="x", now=now, actor="operator"))
        except StoreError:  # taken back before it was scored
            return False
        life.truth.withdrawn, life.truth.taken_back = None, None
        return True

    def _operator_names(self) -> bool:
        life, number = self._any(), self._number()
        self._decide(
            lambda now: self._results.correct(
                self._newest(life), patient=patient(number), reason="x", now=now, actor="operator"
            )
        )
        life.truth.belongs_to(number)
        life.truth.withdrawn, life.truth.taken_back = None, None
        return True

    def _operator_answers(self) -> bool:
        held = self._results.holds()
        if held:
            self.answer(self._chance.choice(held), release=self._chance.random() < 0.5)
        return bool(held)

    def answer(self, held: Hold, *, release: bool) -> None:
        """`held release` or `held reject`."""
        life = self.lives[self._name(held.ecg_id)]
        act = self._results.release if release else self._results.reject
        self._decide(lambda now: act(held.hold_id, reason="x", now=now, actor="operator"))
        if held.question is not Question.UNMERGED:
            raise AssertionError(f"nobody should be asked here: {held.question.value}")
        if not release:
            life.truth.number, life.truth.assigned = _number_in(held.patients[-1]), True

    @property
    def _results(self) -> Any:
        return self._store.results

    def _decide(self, act: Callable[[datetime], Any]) -> None:
        while True:
            try:
                act(wiring.utc_now())
            except StoreUnavailable:
                threading.Event().wait(0.1)
                continue
            return

    # --- what the store is asked

    def versions(self, life: Life) -> list[int]:
        """The numbers of its versions, oldest first."""
        with self._store.database.reading() as ask:
            mine = select(ecg.c.recording_id).where(ecg.c.source_key == ask.key("source", life.newest.source_id))
            of = ask.connection.scalar(mine)
            query = select(ecg.c.ecg_id).where(ecg.c.recording_id == of).order_by(ecg.c.version)
            return list(ask.connection.scalars(query))

    def _newest(self, life: Life) -> int:
        return self.versions(life)[-1]

    def _name(self, ecg_id: int) -> str:
        return self._store.ecgs.load([ecg_id])[0].ecg.order.placer

    def _is_asked(self, life: Life) -> bool:
        mine = self.versions(life)
        return any(held.ecg_id in mine for held in self._results.holds())

    def _is_told(self, life: Life) -> bool:
        """Whether no job of the recording waits: what it says is told then, and can be taken back."""
        mine = self.versions(life)
        waiting = (score_job.c.ecg_id.in_(mine), score_job.c.state.in_(("waiting", "running")))
        with self._store.database.reading() as ask:
            return not ask.connection.scalar(select(func.count()).where(*waiting))

    def _any(self) -> Life:
        return self.lives[self._chance.choice(list(self.lives)[-YOUNGEST:])]

    def _number(self) -> str:
        return self._chance.choice(NUMBERS)


def patient(number: str) -> Patient:
    """One of the people of these lives."""
    return Patient(
        identifiers=(Identifier(authority="TEST", value=number),), family_name=CANARY, given_name=f"OF{number}"
    )


def _number_of(one: Ecg) -> str:
    return _number_in(one.patient)


def _number_in(who: Patient) -> str:
    return who.identifiers[0].value


def _cx(number: str) -> str:
    return f"{number}^^^TEST^MR"
