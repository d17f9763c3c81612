"""The staging store: one database, and a port to it for each subject.

Every method of a port is one transaction. Safe to share between threads; several processes on several hosts may open
the same store. Time comes as an argument. Every method raises StoreUnavailable where the database does not answer:
nothing of the step has happened then.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from ecgfm_clinical.staging import engine, settling
from ecgfm_clinical.staging.alerts import Alerts
from ecgfm_clinical.staging.audit_spool import AuditSpool
from ecgfm_clinical.staging.care import Care
from ecgfm_clinical.staging.checkpointing import Checkpointer
from ecgfm_clinical.staging.cohorts import Cohorts
from ecgfm_clinical.staging.coordination import Coordination
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.destinations import Destinations
from ecgfm_clinical.staging.documents import Documents
from ecgfm_clinical.staging.ecgs import Ecgs
from ecgfm_clinical.staging.elapsed import Elapsed
from ecgfm_clinical.staging.erasing import Erasing
from ecgfm_clinical.staging.failed_ecgs import FailedEcgs
from ecgfm_clinical.staging.home import Home
from ecgfm_clinical.staging.identities import Identities
from ecgfm_clinical.staging.intake import Intake
from ecgfm_clinical.staging.jobs import Jobs
from ecgfm_clinical.staging.leases import SYSTEM, Leases
from ecgfm_clinical.staging.movement import Movement
from ecgfm_clinical.staging.objections import Objections
from ecgfm_clinical.staging.opinions import Opinions
from ecgfm_clinical.staging.outbox import Outbox
from ecgfm_clinical.staging.outcomes import Outcomes
from ecgfm_clinical.staging.pauses import Pauses
from ecgfm_clinical.staging.payloads import Payloads
from ecgfm_clinical.staging.presets import Presets
from ecgfm_clinical.staging.processes import Processes
from ecgfm_clinical.staging.questions import Questions
from ecgfm_clinical.staging.records import Telling
from ecgfm_clinical.staging.registry import Registry
from ecgfm_clinical.staging.results import Results
from ecgfm_clinical.staging.room import Room, room_of
from ecgfm_clinical.staging.saliencies import Saliencies
from ecgfm_clinical.staging.sealing import Keyring
from ecgfm_clinical.staging.search import Search
from ecgfm_clinical.staging.shadow_answers import ShadowAnswers
from ecgfm_clinical.staging.sizes import Sizes


class Store:
    """Use `Store.open`."""

    def __init__(self, database: Database, *, free_bytes: Callable[[], int] | None = None, least_free: int = 0) -> None:
        path = engine.sqlite_path(database.writer.url)
        self._checkpointer = None if path is None else Checkpointer(path)
        self.database = database
        self._free_bytes = free_bytes
        self.intake = Intake(database, free_bytes=free_bytes, least_free=least_free, committed=self._nudge)
        self.ecgs = Ecgs(database)
        self.identities = Identities(database)
        self.jobs = Jobs(database)
        self.failed_ecgs = FailedEcgs(database)
        self.outcomes = Outcomes(database)
        self.documents = Documents(database)
        self.outbox = Outbox(database)
        self.destinations = Destinations(database)
        self.leases = Leases(database)
        self.results = Results(database)
        self.questions = Questions(database)
        self.care = Care(database)
        self.models = Registry(database)
        self.shadow_answers = ShadowAnswers(database)
        self.cohorts = Cohorts(database)
        self.coordination = Coordination(database)
        self.home = Home(database)
        self.erasing = Erasing(database)
        self.objections = Objections(database)
        self.processes = Processes(database)
        self.elapsed = Elapsed(database)
        self.movement = Movement(database)
        self.search = Search(database)
        self.payloads = Payloads(database)
        self.pauses = Pauses(database)
        self.presets = Presets(database)
        self.opinions = Opinions(database)
        self.saliencies = Saliencies(database)
        self.sizes = Sizes(database)
        self.alerts = Alerts(database)
        self.audit_spool = AuditSpool(database)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = False,
        keyring: Keyring | None = None,
        free_bytes: Callable[[], int] | None = None,
        least_free: int = 0,
        random_bytes: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        telling: Telling | None = None,
        spooled: frozenset[str] = frozenset(),
    ) -> Self:
        """Open a store at the current schema; `create` makes an empty one first where there is none.

        `free_bytes` tells the free space where the store lives, if it can be known; below `least_free` nothing new is
        taken in. `clock` dates what a store needs once, such as its epoch. Without `telling` no step that makes a
        message can be taken. Entries of the audit trail with the actions `spooled` wait to be told to an audit
        repository.

        Raises StoreNotReady (no or older schema), StoreTooNew, StoreUnavailable, SettingsError.
        """
        database = Database.open(
            url,
            create=create,
            keyring=keyring or Keyring(),
            random_bytes=random_bytes,
            telling=telling or Telling(),
            spooled=spooled,
        )
        settling.settle(database, now=clock(), actor=SYSTEM)
        return cls(database, free_bytes=free_bytes, least_free=least_free)

    def close(self) -> None:
        """Give the connections back."""
        if self._checkpointer is not None:
            self._checkpointer.stop()
        self.database.close()

    def check_schema(self) -> None:
        """Whether the schema is still this program's: a newer one may have migrated the store meanwhile.

        Raises StoreTooNew, StoreNotReady, StoreUnavailable.
        """
        self.database.check_schema()

    def room(self) -> Room:
        """What the store takes, and what is left where it lies. Raises StoreUnavailable."""
        return room_of(self.database, self._free_bytes)

    def _nudge(self) -> None:
        """Payloads and signals are nearly all that makes SQLite's log long."""
        if self._checkpointer is not None:
            self._checkpointer.nudge()
