"""The hall's part of the page of bounds is true: each default is the program's, and a test goes beyond each limit."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ecgfm_clinical.auditing import sending
from ecgfm_clinical.backfill import on_ray
from ecgfm_clinical.cli import signs, workshops
from ecgfm_clinical.engine import crew
from ecgfm_clinical.monitoring import endpoint, learners, rejected_callers
from ecgfm_clinical.operate.status import status_of
from ecgfm_clinical.pipeline import reporting, strangers
from ecgfm_clinical.service import presence, retention, service, watch, worker
from ecgfm_clinical.settings import Attention, Audit, Retention, Scoring, ServiceSettings
from ecgfm_clinical.settings import Store as StorePart
from ecgfm_clinical.settings.destinations import Hl7Destination
from ecgfm_clinical.settings.fhir import FhirDestination
from ecgfm_clinical.settings.pacs import DicomDestination
from ecgfm_clinical.settings.part import Part
from ecgfm_clinical.settings.web import Web
from ecgfm_clinical.staging import elapsed, processes, retry, saliencies, signed_heads
from ecgfm_clinical.staging.records import Job
from ecgfm_clinical.staging.store import Store
from ecgfm_clinical.web import (
    asking,
    audit,
    ecgs,
    impatient,
    limiter,
    oidc,
    outcomes,
    refused,
    security,
    server,
    sessions,
)
from ecgfm_connectors.dicom import storage, web
from ecgfm_connectors.dicom.results import stow
from ecgfm_connectors.errors import Unreachable
from ecgfm_connectors.fhir import http
from ecgfm_connectors.hl7 import listener
from tests.helpers.fakes import Clock, make_ecg

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "deploy" / "LIMITS.md"
PARTS = {
    "scoring": Scoring(),
    "service": ServiceSettings(),
    "store": StorePart(),
    "attention": Attention(),
    "retention": Retention(),
    "audit": Audit(),
}
#: Parts that an installation has several of, or none.
OF_MANY: dict[str, type[Part]] = {
    "destinations.hl7": Hl7Destination,
    "destinations.fhir": FhirDestination,
    "destinations.dicom": DicomDestination,
    "web": Web,
}
CONSTANTS: dict[str, object] = {
    "http._CONNECT_SECONDS": http._CONNECT_SECONDS,
    "http._LONGEST_PATIENCE": http._LONGEST_PATIENCE,
    "stow._LONGEST_PATIENCE": stow._LONGEST_PATIENCE,
    "ecgs.PER_PAGE": ecgs.PER_PAGE,
    "audit.PER_PAGE": audit.PER_PAGE,
    "refused.PER_PAGE": refused.PER_PAGE,
    "outcomes.PER_PAGE": outcomes.PER_PAGE,
    "endpoint.MOST_CALLERS": endpoint.MOST_CALLERS,
    "endpoint.TIMEOUT": endpoint.TIMEOUT,
    "endpoint.REQUEST_WITHIN": endpoint.REQUEST_WITHIN,
    "http._LONGEST_ANSWER": http._LONGEST_ANSWER,
    "stow._ANSWERS": stow._ANSWERS,
    "stow._MAX_ANSWER": stow._MAX_ANSWER,
    "web._LONGEST_ANSWER": web._LONGEST_ANSWER,
    "web._MAX_OBJECT": web._MAX_OBJECT,
    "sessions.MOST": sessions.MOST,
    "server.MOST_CONNECTIONS": server.MOST_CONNECTIONS,
    "impatient.REQUEST_WITHIN": impatient.REQUEST_WITHIN,
    "server.MOST_OF_ONE_ADDRESS": server.MOST_OF_ONE_ADDRESS,
    "security.LONGEST_BODY": security.LONGEST_BODY,
    "asking.LONGEST": asking.LONGEST,
    "asking.MOST_FIELDS": asking.MOST_FIELDS,
    "oidc.PATIENCE": oidc.PATIENCE,
    "oidc.LONGEST_ANSWER": oidc.LONGEST_ANSWER,
    "on_ray.RETRIES": on_ray.RETRIES,
    "on_ray.ANSWERS_WITHIN": on_ray.ANSWERS_WITHIN,
    "listener._WORKERS": listener._WORKERS,
    "listener._LONGEST_WAIT": listener._LONGEST_WAIT,
    "storage._WORKERS": storage._WORKERS,
    "storage._LONGEST_WAIT": storage._LONGEST_WAIT,
    "watch.ALARM_AFTER": watch.ALARM_AFTER,
    "worker.LONGEST_WAIT": worker.LONGEST_WAIT,
    "service.LISTENER_GRACE": service.LISTENER_GRACE,
    "presence.FAILURES_TOLD": presence.FAILURES_TOLD,
    "processes.SILENT_AFTER": processes.SILENT_AFTER,
    "sending.BATCH": sending.BATCH,
    "rejected_callers.MOST_LINES": rejected_callers.MOST_LINES,
    "strangers.MOST_BYTES": strangers.MOST_BYTES,
    "strangers.MOST_OF_ONE_ADDRESS": strangers.MOST_OF_ONE_ADDRESS,
    "reporting.BUSY_ANSWERS": reporting.BUSY_ANSWERS,
    "reporting.LONGEST_OUTAGE_WAIT": reporting.LONGEST_OUTAGE_WAIT,
    "retry.LONGEST_WAIT": retry.LONGEST_WAIT,
    "retention.PAUSE": retention.PAUSE.total_seconds() / 3600,
    "elapsed.TOLERANCE": elapsed.TOLERANCE.total_seconds() / 3600,
    "saliencies.MOST_WAITING": saliencies.MOST_WAITING,
    "crew.PATIENCE": crew.PATIENCE,
    "limiter.MOST_OF_A_NAME": limiter.MOST_OF_A_NAME,
    "limiter.MOST_OF_AN_ADDRESS": limiter.MOST_OF_AN_ADDRESS,
    "signed_heads.STRANDS": signed_heads.STRANDS,
    "signs.HANGS_AFTER": signs.HANGS_AFTER.total_seconds() / 3600,
    "learners.TOLD_FOR": learners.TOLD_FOR.days,
    "workshops.TOLERANCE": workshops.TOLERANCE.total_seconds() / 3600,
    "workshops.UNSERVED": workshops.UNSERVED.days,
}


def _rows() -> list[list[str]]:
    lines = (
        line.strip("|").split(" | ")
        for line in PAGE.read_text(encoding="utf-8").partition("## What is watched")[0].splitlines()
    )
    cells = [[cell.strip(" |") for cell in line] for line in lines if len(line) == 5]
    return [row for row in cells if row[0] != "limit"]


def _program(setting: str) -> object:
    """The default of a setting, or the constant in brackets."""
    if constant := re.search(r"\(`(.+)`\)", setting):
        value = CONSTANTS[constant[1]]
        return value.total_seconds() if isinstance(value, timedelta) else value
    part, _, name = setting.strip("`").rpartition(".")
    if part in OF_MANY:
        return OF_MANY[part].model_fields[name].default
    return getattr(PARTS[part], name)


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[0])
def test_each_default_is_the_programs_and_each_limit_has_its_test(row: list[str]) -> None:
    _, setting, default, _, tried = row
    if "(one)" not in setting:
        found = _program(setting)
        assert (None if default == "—" else float(default)) == found
    file, _, name = tried.strip("`").partition("::")
    (path,) = TESTS.rglob(file)
    assert f"def {name}(" in path.read_text(encoding="utf-8")


def test_the_page_has_all_rows() -> None:
    assert len(_rows()) >= 20
    named = " ".join(row[1] for row in _rows())
    assert not [name for name in CONSTANTS if name not in named]


def _claim(store: Store, clock: Clock, limit: int) -> tuple[Job, ...]:
    return tuple(store.jobs.claim(worker="w", limit=limit, now=clock(), lease=timedelta(minutes=5)))


def test_a_worker_takes_no_more_than_a_batch(store: Store, clock: Clock, stage: Callable[[Any], Any]) -> None:
    for number in range(3):
        stage(make_ecg(number + 1))
    assert [len(_claim(store, clock, 2)) for _ in range(2)] == [2, 1]


def test_an_ecg_whose_attempts_are_used_up_fails(store: Store, clock: Clock, stage: Callable[[Any], Any]) -> None:
    stage(make_ecg(1))
    for attempt in range(1, 5):
        (job,) = _claim(store, clock, 1)
        again = retry.after_failure(ValueError(), attempts=attempt, limit=4, now=clock())
        store.jobs.fail(job, again, now=clock(), worker="w")
        clock.advance(minutes=6)
    assert store.questions.counts().failed == 1
    assert status_of(store, now=clock()).needs_person.failed_score_jobs == 1


def test_a_task_that_always_fails_waits_longer_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    stop = Event()

    def fails() -> int:
        raise ValueError

    one = worker.Worker("one", fails, stop=stop, every=timedelta(seconds=0))
    for _ in range(12):
        one._once()
        waits.append(one._wait())
    stop.set()
    assert waits == sorted(waits)
    assert waits[-1] == worker.LONGEST_WAIT


def test_no_repeat_waits_longer(clock: Clock) -> None:
    waits = [
        retry.after_failure(Unreachable("away"), attempts=attempt, limit=None, now=clock(), jitter=1.0).due_at
        for attempt in range(1, 100)
    ]
    assert max(due - clock() for due in waits if due) == retry.LONGEST_WAIT


def _scored(store: Store, clock: Clock, stage: Callable[[Any], Any]) -> None:
    from ecgfm_clinical.staging.records import Score
    from ecgfm_clinical.staging.records import Scoring as Found

    stage(make_ecg(1))
    (job,) = _claim(store, clock, 1)
    store.jobs.fail(job, retry.after_failure(ValueError(), attempts=1, limit=4, now=clock()), now=clock(), worker="w")
    clock.advance(minutes=6)
    (job,) = _claim(store, clock, 1)
    found = Found(
        ecg_id=job.ecg_id,
        model_id="m" * 64,
        model_name="m",
        model_version="1",
        preprocessing="p",
        runtime="torch",
        input_digest="",
        scored_at=clock(),
        scores=(Score(head="h", label="l", probability=0.5, logit=0.0),),
        demo=False,
    )
    store.jobs.finish([(job, found)], now=clock(), worker="w")


def test_a_result_unsent_for_too_long_needs_a_person(store: Store, clock: Clock, stage: Callable[[Any], Any]) -> None:
    _scored(store, clock, stage)
    assert status_of(store, now=clock()).needs_person.count == 0
    clock.advance(hours=25)
    assert status_of(store, now=clock()).needs_person.unsent_too_long == ("archive", "ehr")


def test_reasons_of_attempts_go_by_age_once_the_work_succeeded(
    store: Store, clock: Clock, stage: Callable[[Any], Any]
) -> None:
    _scored(store, clock, stage)
    assert len(store.ecgs.story(1).job_errors) == 1
    store.elapsed.vouch(now=clock(), actor="operator")
    day = {"attempts": timedelta(days=1)}
    assert store.care.expire(now=clock(), actor="r", ages=day).attempts == 0
    clock.advance(days=2)
    store.elapsed.vouch(now=clock(), actor="operator")
    assert store.care.expire(now=clock(), actor="r", ages=day).attempts == 1
    assert store.ecgs.story(1).job_errors == ()
