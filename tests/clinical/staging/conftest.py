"""A store on either database, and short ways to fill it with invented ECGs of invented patients."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ecgfm_clinical.errors import LeaseLost
from ecgfm_clinical.staging.records import Draft, Job, OutboundMessage, Score, Scoring, Telling
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.contents import Contents, Merge
from ecgfm_connectors.ecg import LEADS, Ecg, Order
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.result import Ack

NOW = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
LEASE = timedelta(minutes=5)


def write(draft: Draft) -> bytes:
    """A message in which everything shows that a test may ask for."""
    patient = draft.ecg.patient
    identifiers = "~".join(f"{one.value}^{one.type}^{one.authority}" for one in patient.identifiers)
    values = ",".join(f"{score.head}={score.probability}" for score in draft.scoring.scores)
    before = "" if draft.replaces is None else ",".join(score.head for score in draft.replaces.scores)
    fields = ("MSH", draft.control_id, draft.kind, identifiers, patient.family_name, patient.sex, values, before)
    return "|".join(fields).encode()


class Ward:
    """One store and the invented hospital around it."""

    now = NOW
    lease = LEASE

    def __init__(self, store: Store) -> None:
        self._numbers = itertools.count(1)
        telling = Telling(destinations=("ehr",), compose=write, control_ids=self.control_id)
        self.store = Store(replace(store.database, telling=telling))

    def with_telling(self, **changes: Any) -> Store:
        """The same store, in which messages are made otherwise."""
        return Store(replace(self.store.database, telling=replace(self.store.database.telling, **changes)))

    def later(self, **delta: float) -> datetime:
        return self.now + timedelta(**delta)

    def identifier(self, value: str, authority: str = "TESTHOSP", type: str = "MR") -> Identifier:
        return Identifier(authority=authority, type=type, value=value)

    def patient(self, value: str = "4711", **more: Any) -> Patient:
        return Patient(identifiers=(self.identifier(value),), family_name="Testperson", given_name="Ada", **more)

    def ecg(self, source_id: str | None = None, **changes: Any) -> Ecg:
        number = next(self._numbers)
        given: dict[str, Any] = {
            "source_id": source_id or f"1.2.826.0.1.{number}",
            "format": "dicom",
            "patient": self.patient(),
            "acquired": None,
            "sampling_rate": 500.0,
            "signal": np.full((12, 10), number, dtype=np.float32),
            "stored_leads": LEADS,
        }
        return Ecg(**(given | changes))

    def received(self, content: bytes | None = None, **changes: Any) -> Received:
        given: dict[str, Any] = {
            "transport": "dicom",
            "source": "carts",
            "content": content if content is not None else f"payload {next(self._numbers)}".encode(),
            "received_at": self.now,
        }
        return Received(**(given | changes))

    def take(
        self, contents: Contents | PayloadError | Ecg | None = None, received: Received | None = None, **ecg: Any
    ) -> Verdict:
        """Stage something; an ECG of patient 4711 where nothing is said."""
        if contents is None:
            contents = self.ecg(**ecg)
        if isinstance(contents, Ecg):
            contents = Contents(ecgs=(contents,))
        received = received or self.received()
        return self.store.intake.record(received, contents, now=received.received_at, actor="carts")

    def take_stat(self) -> Verdict:
        return self.take(order=Order(stat=True))

    def merge(self, retired: str, surviving: str, **more: Any) -> Verdict:
        event = Merge(retired=self.identifier(retired), surviving=self.identifier(surviving), event="A40")
        return self.take(Contents(identity_events=(event,), **more))

    def claim(self, *, worker: str = "scorer", limit: int = 10, now: datetime | None = None) -> list[Job]:
        return self.store.jobs.claim(worker=worker, limit=limit, now=now or self.later(seconds=1), lease=self.lease)

    def scoring(self, ecg_id: int, probability: float | None = 0.25, **changes: Any) -> Scoring:
        reasons = (("lead-off", "lead V1 is missing"),) if probability is None else ()
        given: dict[str, Any] = {
            "ecg_id": ecg_id,
            "model_id": "a" * 64,
            "model_name": "test",
            "model_version": "1",
            "preprocessing": "1",
            "runtime": "null",
            "input_digest": "b" * 64,
            "scored_at": self.now,
            "scores": (
                Score(head="reduced_lvef", label="yes", probability=probability, logit=-1.0, reasons=reasons),
                Score(head="troponin", label="yes", probability=None, logit=None, reasons=(("age", "age unknown"),)),
            ),
        }
        return Scoring(**(given | changes))

    def finish(
        self, job: Job, destinations: Sequence[str] = ("ehr",), *, worker: str = "scorer", **changes: Any
    ) -> None:
        store = self.with_telling(destinations=tuple(destinations))
        scored = [(job, self.scoring(job.ecg_id, **changes))]
        if store.jobs.finish(scored, now=self.later(seconds=2), worker=worker):
            raise LeaseLost

    def control_id(self) -> str:
        return f"CTRL{next(self._numbers):06d}"

    def score_all(self, destinations: Sequence[str] = ("ehr",), **changes: Any) -> None:
        while jobs := self.claim():
            for job in jobs:
                self.finish(job, destinations, **changes)

    def claim_messages(
        self, *, worker: str = "sender", destination: str = "ehr", limit: int = 10, now: datetime | None = None
    ) -> list[OutboundMessage]:
        return self.store.outbox.claim(
            worker=worker, destination=destination, limit=limit, now=now or self.later(seconds=3), lease=self.lease
        )

    def begin(self, message: OutboundMessage, *, worker: str = "sender") -> bytes:
        """The bytes, now perhaps on the wire."""
        return self.store.outbox.begin(message, now=self.later(seconds=4), worker=worker)

    def on_the_wire(self, message: OutboundMessage, *, worker: str = "sender") -> OutboundMessage:
        """The same message after its sending began."""
        self.begin(message, worker=worker)
        return message

    def addressed(self, message: OutboundMessage) -> str:
        """Whom the message is for as it stands in the store, not sent: the identifiers in it."""
        (body,) = (
            one.body for one in self.store.ecgs.story(message.ecg_id).messages if one.message_id == message.message_id
        )
        assert body is not None
        return body.decode().split("|")[3]

    def acknowledge(self, message: OutboundMessage, *, worker: str = "sender") -> None:
        ack = Ack(code="AA", control_id=message.control_id)
        self.store.outbox.finish(message, ack, now=self.later(seconds=5), worker=worker)

    def send_all(self, destination: str = "ehr") -> list[str]:
        """Control ids in the order sent."""
        sent = []
        while messages := self.claim_messages(destination=destination):
            for message in messages:
                self.begin(message)
                self.acknowledge(message)
                sent.append(message.control_id)
        return sent

    def at_once(self, steps: Sequence[Any]) -> list[Any]:
        """Call every step in a thread of its own."""
        with ThreadPoolExecutor(len(steps)) as pool:
            return [future.result() for future in [pool.submit(step) for step in steps]]


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store.open(store_url, create=True)
    yield opened
    opened.close()


@pytest.fixture
def ward(store: Store) -> Ward:
    return Ward(store)


@pytest.fixture
def ward_of() -> type[Ward]:
    """For tests that open their store themselves."""
    return Ward
