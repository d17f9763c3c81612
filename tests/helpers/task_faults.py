"""A service with every task that there is, and a fault in the middle of each: it raises, hangs, is slow or its thread
dies.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.monitoring.rejected_callers import RejectedCallers
from ecgfm_clinical.service import ports, retention, service, tasks, watch, worker
from ecgfm_clinical.service.watch import Watch
from ecgfm_clinical.service.worker import Worker
from ecgfm_clinical.settings import ServiceSettings, Settings, read_settings
from ecgfm_clinical.settings.care import Otlp
from ecgfm_clinical.staging.hearing import PostgresqlEar, SqliteEar
from ecgfm_clinical.staging.signed_heads import HeadsFile
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.files.folder import FolderSource

Kind = Literal["raises", "hangs", "slow", "killed"]
OFTEN = 0.1  #: seconds; tasks that come round more often do so while others are waited for, for processor time alone


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch and a pulse that come round often."""
    monkeypatch.setattr(watch, "LOOK_EVERY", OFTEN)
    monkeypatch.setattr(Watch.__init__, "__kwdefaults__", {**(Watch.__init__.__kwdefaults__ or {}), "every": OFTEN})
    monkeypatch.setattr(service, "PULSE_EVERY", timedelta(seconds=OFTEN))
    monkeypatch.setattr(service, "GRACE", 0.2)


def everything(site: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a service with every task, each of them often due."""
    for owner, name in (
        (service, "IDLE"),
        (tasks, "IDLE"),
        (service, "AUDIT_EVERY"),
        (retention, "EVERY"),
    ):
        monkeypatch.setattr(owner, name, timedelta(seconds=OFTEN))
    monkeypatch.setattr(worker, "LONGEST_WAIT", OFTEN)
    text = re.sub(r"^port = \d+", "port = 0", site.read_text(), flags=re.MULTILINE)
    site.write_text(
        text
        + '\n[[alerts.command]]\nname = "pager"\ncommand = ["true"]\n'
        + '\n[[sources.folder]]\nname = "drop"\npath = "drop"\n'
        + '\n[[destinations.file]]\nname = "out"\npath = "out"\n'
    )
    (site.parent / "drop").mkdir()
    (site.parent / "out").mkdir()
    read = read_settings(site)
    folders = tuple(part.model_copy(update={"every_seconds": OFTEN}) for part in read.sources.folder)
    collector = Otlp.model_construct(url="http://collector.invalid/", every_seconds=OFTEN)
    return read.model_copy(
        update={
            "scoring": read.scoring.model_copy(update={"every_seconds": OFTEN}),
            "sources": read.sources.model_copy(update={"folder": folders}),
            "alerts": read.alerts.model_copy(update={"every_seconds": OFTEN}),
            "audit": read.audit.model_copy(update={"export_seconds": OFTEN}),
            "monitoring": read.monitoring.model_copy(update={"otlp": collector}),
            "retention": read.retention.model_copy(update={"payload_days": 1}),
            "service": ServiceSettings.model_construct(hang_seconds=900, stop_seconds=90),
        }
    )


class TaskFaults:
    """A fault in the middle of each task of a service, until it is mended."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, store: Store, settings: Settings, kind: Kind = "raises"
    ) -> None:
        self.mended = Event()
        self.kind = kind
        self.reached: set[str] = set()  #: tasks that met their fault
        self.steps: Counter[str] = Counter()  #: task -> steps that were done
        self._gate: tuple[frozenset[str], Event] = (frozenset(), Event())  #: slow tasks, and what they wait for
        monkeypatch.setattr(wiring, "build_audit_repository", lambda _: SimpleNamespace(send=lambda _: None))
        monkeypatch.setattr(wiring, "build_push", lambda *_, **__: self._broken(lambda: None))
        #: what a process with the console does now and then
        self.chores = {"sign-ins": self._broken(lambda: None)}
        where: dict[str, tuple[Any, str]] = {
            "pulse": (store.leases, "reap"),
            "listen": (PostgresqlEar if store.database.reader.dialect.name == "postgresql" else SqliteEar, "listen"),
            "score": (store.jobs, "claim"),
            "shadow": (store.models, "shadow"),
            "saliency": (store.saliencies, "claim"),
            "ports": (ports, "sweep"),
            "retention": (store.care, "announce"),
            "alerts": (store.alerts, "look"),
            "audit heads": (HeadsFile, "add"),
            "audit messages": (store.audit_spool, "first"),
            "callers": (RejectedCallers, "drain"),
            **{f"pull {part.name}": (FolderSource, "pull") for part in settings.sources.all},
            **{f"report {name}": (store.outbox, "claim") for name in settings.destination_names},
        }
        self.tasks = {*where, *self.chores, "push of metrics"}
        if kind == "slow":  # wherever in its step a task is slow
            self.mended.set()
            monkeypatch.setattr(service, "Worker", self._slowed)
            return
        for owner, step in set(where.values()):
            monkeypatch.setattr(owner, step, self._broken(getattr(owner, step)))

    def hold(self, names: frozenset[str]) -> None:
        """From now on these are slow, and no others."""
        (_, before), self._gate = self._gate, (names, Event())
        before.set()

    def _slowed(self, name: str, step: Callable[[], int | None], **options: Any) -> Worker:
        def slow() -> int | None:
            held, released = self._gate
            if name in held:
                self.reached.add(name)
                released.wait(120)
            done = step()
            self.steps[name] += 1
            return done

        return Worker(name, slow, **options)

    def _broken(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def broken(*arguments: Any, **named: Any) -> Any:
            task = threading.current_thread().name
            if not self.mended.is_set():
                self._fault(task)
            self.steps[task] += 1
            return step(*arguments, **named)

        return broken

    def _fault(self, task: str) -> None:
        first = task not in self.reached
        match self.kind:
            case "raises":
                self.reached.add(task)
                raise RuntimeError("4711")
            case "hangs":
                self.reached.add(task)
                self.mended.wait(120)
                raise RuntimeError("4711")
            case "killed" if task in self.tasks and (first or task != "pulse"):  # which tells of the others
                self.reached.add(task)
                raise SystemExit
