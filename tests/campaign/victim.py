"""One process of the product that kills itself, without a word, at a named point between two of its steps.

At the nth call of a step, just before it, just before its commit, or just after it; `preparing.record_of` also at the
sight of a poison ECG. Step `-` is a process that waits to be killed from outside.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

Order = tuple[str, str, int]  #: step, when, nth
NO_ORDER: Order = ("-", "-", 0)
#: An ECG of this rate stands for whatever makes a native library crash, or the system kill the process for its memory.
POISON_RATE = 499.0

#: role -> steps after, before or within which it can die; steps that write can also die just before their commit.
STEPS = {
    "connect": ("Intake.record",),
    "score": ("Jobs.claim", "Ecgs.load", "preparing.record_of", "Predictor._prediction", "Jobs.finish", "Leases.reap"),
    "report": (
        "Outbox.claim",
        "Outbox.begin",
        "MllpDestination.send",
        "FhirServer.send",
        "StorageDestination.send",
        "StorageDestination._store",
        "Outbox.finish",
        "Outbox.fail",
    ),
}
#: class, or module of functions -> where it is
HOMES = {
    "Intake": "ecgfm_clinical.staging.intake",
    "Jobs": "ecgfm_clinical.staging.jobs",
    "Ecgs": "ecgfm_clinical.staging.ecgs",
    "Outbox": "ecgfm_clinical.staging.outbox",
    "Leases": "ecgfm_clinical.staging.leases",
    "Predictor": "ecgfm.predictor",
    "preparing": "ecgfm_clinical.pipeline.preparing",
    "MllpDestination": "ecgfm_connectors.hl7.sender",
    "FhirServer": "ecgfm_connectors.fhir.server",
    "StorageDestination": "ecgfm_connectors.dicom.results.storing",
}
STEPS["all"] = tuple(step for steps in STEPS.values() for step in steps)  # one process that does everything
#: Steps that commit nothing.
READS = (
    "Ecgs.load",
    "preparing.record_of",
    "Predictor._prediction",
    "MllpDestination.send",
    "FhirServer.send",
    "StorageDestination.send",
    "StorageDestination._store",
)

_step_under_way: ContextVar[str] = ContextVar("_step_under_way", default="")


def points(role: str) -> list[tuple[str, str]]:
    """Every (step, when) of a role."""
    found = []
    for step in STEPS[role]:
        found += [(step, "before"), (step, "after")]
        if step not in READS:
            found.append((step, "commit"))
    return found


def die() -> None:
    """SIGKILL to this process: no handler, no finally, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(step: str, when: str, nth: int) -> None:
    """Make the `nth` call of `step` the last thing this process does."""
    owner, name = step.split(".")
    place = _place(owner)
    original: Callable[..., Any] = getattr(place, name)
    calls = 0

    def fatal(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        last = calls == nth
        if last and when == "before":
            die()
        if when == "poison" and arguments[0].ecg.sampling_rate == POISON_RATE:
            die()
        token = _step_under_way.set(step if last else "")
        try:
            result = original(*arguments, **named)
        finally:
            _step_under_way.reset(token)
        if last and when == "after":
            die()
        return result

    setattr(place, name, fatal)
    if when == "commit":
        _die_at_commit_of(step)


def _place(owner: str) -> Any:
    home = import_module(HOMES[owner])
    return getattr(home, owner, home)


def _die_at_commit_of(step: str) -> None:
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "commit")
    def _(_connection: Any) -> None:  # called just before the database commits
        if _step_under_way.get() == step:
            die()


#: Imported once by the process from which victims are forked: a death then costs no seconds of imports.
LOADED_BEFORE_BIRTH = (
    "ecgfm.predictor",
    "ecgfm.runtimes.torch_runtime",
    "ecgfm_clinical.cli",
    "ecgfm_clinical.pipeline.live",
    "ecgfm_clinical.pipeline.preparing",
    "ecgfm_clinical.service.service",
    "ecgfm_clinical.staging.store",
    "ecgfm_connectors.dicom.results.storing",
    "ecgfm_connectors.dicom.storage",
    "ecgfm_connectors.fhir.server",
    "ecgfm_connectors.hl7.listener",
    "ecgfm_connectors.hl7.result",
    "ecgfm_connectors.hl7.sender",
    "ecgfm_connectors.reading",
    "psycopg",
    "ecgfm_clinical.engine.frozen",
)


def start(role: str, settings: Path, order: Order, log: Path) -> ForkServerProcess:
    """A process that lives this role and writes to that log."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED_BEFORE_BIRTH))
    process = context.Process(target=live, args=(role, settings, order, log))
    process.start()
    return process


def live(role: str, settings: Path, order: Order, log: Path) -> None:
    """Run one role, as its command does, until killed."""
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    step, when, nth = order
    if step != "-":
        arm(step, when, nth)
    sys.argv = ["ecgfm-clinical", "run", "--role", role, "--settings", str(settings)]
    from ecgfm_clinical.cli import main

    main()
