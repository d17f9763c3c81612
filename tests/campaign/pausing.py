"""An operator who pauses and resumes while processes die, and looks whether the pause is obeyed.

A pause is in force for every claim that begins after its commit. What was claimed before is finished, or comes back
from the dead: once nothing of the part is in a worker's hands, nothing of it may happen until the operator resumes it,
whoever dies and is born meanwhile.
"""

import random
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlalchemy import Select, func, select

from ecgfm_clinical import wiring
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.staging.pauses import EVERYTHING, Part
from ecgfm_clinical.staging.schema import message, payload, score, score_job
from ecgfm_clinical.staging.store import Store
from tests.campaign.drop import NAME
from tests.campaign.fhir import MoodyFhirServer
from tests.campaign.hospital import HEADS, MoodyReceiver
from tests.campaign.pacs import MoodyPacs

T = TypeVar("T")
Receiver = MoodyReceiver | MoodyFhirServer | MoodyPacs

LOOK_EVERY = 0.2  # seconds
#: A claim that began before the pause is not seen until it is committed: one look at which nothing runs is not enough.
QUIET_LOOKS = 10
LONGEST_SETTLING = 60.0  # seconds that a pause waits for what was begun before it
LONGEST_PAUSE = 4.0


class Pausing:
    """A thread that pauses, watches, resumes, and works again for a while."""

    def __init__(self, store: Store, receivers: Mapping[str, Receiver], *, seed: int) -> None:
        self.acts: dict[str, int] = {}  #: what was paused -> how often it was seen to be obeyed
        self.broken: list[str] = []
        self._store = store
        self._receivers = receivers
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Everything goes on afterwards."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        parts = [EVERYTHING, Part(kind="source", name=NAME)]
        parts += [Part(kind="destination", name=name) for name in self._receivers]
        parts += [Part(kind="head", name=name) for name in sorted(HEADS)]
        due: list[Part] = []  # each once, in an order of its own, then all again
        try:
            while not self._stop.wait(self._chance.uniform(1.0, 4.0)):
                due = due or self._chance.sample(parts, len(parts))
                self._pause(due.pop())
        except Exception as error:  # noqa: BLE001 - the campaign reports it
            self.broken.append(f"the operator who pauses broke: {type(error).__name__}: {error}")

    def _pause(self, part: Part) -> None:
        pauses = self._store.pauses
        self._insist(lambda: pauses.pause(part, reason="x", now=wiring.utc_now(), actor="operator"))
        try:
            if self._has_settled(part):
                before = self._happened(part)
                self._stop.wait(self._chance.uniform(0.5, LONGEST_PAUSE))
                after = self._happened(part)
                if before != after:
                    self.broken.append(f"{part} was paused and went on: {before} became {after}")
                self.acts[f"pauses {part}"] = self.acts.get(f"pauses {part}", 0) + 1
        finally:
            self._insist(lambda: pauses.resume(part, reason="x", now=wiring.utc_now(), actor="operator"))

    def _has_settled(self, part: Part) -> bool:
        """Whether nothing of it is in anybody's hands any more; False where the campaign ends before."""
        waited, quiet = 0.0, 0
        before = self._insist(self._attempts)
        while quiet < QUIET_LOOKS and waited < LONGEST_SETTLING:
            before &= self._insist(self._attempts)
            owes = bool(before) if part.kind == "head" else self._insist(lambda: self._under_way(part)) > 0
            quiet = 0 if owes else quiet + 1
            if self._stop.wait(LOOK_EVERY):
                return False
            waited += LOOK_EVERY
        return waited < LONGEST_SETTLING

    def _attempts(self) -> frozenset[tuple[int, int]]:
        """The jobs in a worker's hands, and at which attempt: what one finishes that was begun before a head was paused
        may hold its answer, however long the commit takes.
        """
        running = select(score_job.c.job_id, score_job.c.attempts).where(score_job.c.state == "running")
        with self._store.database.reading() as ask:
            return frozenset((one.job_id, one.attempts) for one in ask.connection.execute(running))

    def _under_way(self, part: Part) -> int:
        names = self._destinations(part)
        sent = select(func.count()).where(message.c.state == "running", message.c.destination.in_(names))
        scored = select(func.count()).where(score_job.c.state == "running")
        with self._store.database.reading() as ask:
            jobs = (ask.connection.scalar(scored) or 0) if part == EVERYTHING else 0
            return jobs + (ask.connection.scalar(sent) or 0)

    def _happened(self, part: Part) -> dict[str, int]:
        """What must stand still: messages that a receiver got, files of a source, answers of a head; all of it, where
        everything is paused.
        """
        found = {name: len(self._receivers[name].messages) for name in self._destinations(part)}
        if part.kind in ("everything", "source"):
            taken = select(func.count()).where(payload.c.source == NAME)
            found["payloads of the folder"] = self._insist(lambda: self._count(taken))
        if part.kind in ("everything", "head"):
            newest = select(func.max(score.c.scoring_id))
            mine = newest if part == EVERYTHING else newest.where(score.c.head == part.name)
            found["newest scoring"] = self._insist(lambda: self._count(mine))
        return found

    def _count(self, query: Select[int]) -> int:
        with self._store.database.reading() as ask:
            return ask.connection.scalar(query) or 0

    def _destinations(self, part: Part) -> tuple[str, ...]:
        if part == EVERYTHING:
            return tuple(self._receivers)
        return (part.name,) if part.kind == "destination" else ()

    def _insist(self, act: Callable[[], T]) -> T:
        while True:
            try:
                return act()
            except StoreUnavailable:
                threading.Event().wait(0.1)
