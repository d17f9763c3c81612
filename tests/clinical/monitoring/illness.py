"""A running service that falls ill in every way of which somebody is told, and is mended: what a monitor scraped of it
meanwhile, and what it told by a channel of its own.
"""

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, select, text

from ecgfm_clinical import scorers
from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import Settings, read_settings
from ecgfm_clinical.staging import schema
from ecgfm_clinical.staging.home import Mark
from ecgfm_clinical.staging.model_records import DriftFinding
from ecgfm_clinical.staging.retry import after_failure
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.ecg import LEADS
from ecgfm_connectors.testing import cart, dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.clinical.monitoring.test_endpoint import get
from tests.helpers import prepared
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation, ecg, patient
from tests.helpers.tiny_models import write_tiny_bundle

MORE = """
[monitoring]
port = 0
[audit.messages]
host = "localhost"
port = {audit}
tls = {tls}
[[listeners.hl7]]
name = "strict"
host = "127.0.0.1"
port = 0
allowed_senders = ["NOBODY"]
[[sources.folder]]
name = "drop"
path = "drop"
every_seconds = 0.2
stable_seconds = 0
"""
BARE = """
[store]
url = "sqlite:///bare.sqlite"
min_free_mb = 0
[model]
bundle = "tiny"
device = "cpu"
[monitoring]
port = 0
[[listeners.dicom]]
name = "dicom"
host = "127.0.0.1"
port = 0
"""
#: A channel that takes every word, and one that takes none until there is a file of its name.
ALERTS = """
[alerts]
free_mb = {free_mb}
clear_minutes = 0
[[alerts.command]]
name = "told"
command = ["sh", "-c", "cat >> '{folder}/told'; echo >> '{folder}/told'"]
[[alerts.command]]
name = "broken"
command = ["sh", "-c", "test -e '{folder}/broken'"]
"""
ELSEWHERE = "elsewhere:1:2:service"
#: What the service without a model falls ill of; the other one of everything else.
BARE_ILLNESSES = frozenset({"unscored", "model-missing", "scoring-failed", "store-displaced"})
#: A share is compared with as many in the past, and counts from twenty on.
PAST, TODAY = 100, 20
FLAT = np.zeros((len(LEADS), 5000), dtype=np.float32)
Sample = tuple[str, tuple[tuple[str, str], ...]]


class ShiftedClock:
    """The time of this machine, and so much more."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """What one look at `/metrics` gave; without samples where nobody answered."""

    at: datetime
    samples: Mapping[Sample, float]

    @classmethod
    def of(cls, port: int | None, clock: ShiftedClock) -> "Scrape":
        told = ""
        with suppress(OSError, HTTPException):
            told = get(port, "/metrics")[1]
        samples = {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in text_string_to_metric_families(told)
            for one in family.samples
        }
        return cls(at=clock(), samples={**samples, ("up", ()): float(bool(samples))})

    def value(self, name: str, **labels: str) -> float:
        return self.samples.get((name, tuple(sorted(labels.items()))), 0.0)


def told(folder: Path) -> list[dict[str, str]]:
    """Every word of a service's alerts, in order."""
    path = folder / "told"
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def wait_for_none(left: Callable[[], Collection[object]]) -> None:
    """Until nothing is left. Raises TimeoutError, which names what is."""
    try:
        wait_until(lambda: not left())
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {left()}") from None


def not_open(store: Store, names: frozenset[str]) -> frozenset[str]:
    return names - {one.condition for one in store.alerts.current()}


def not_told(store: Store, clock: ShiftedClock) -> list[object]:
    """Alerts that are open, and words that wait for a channel."""
    return [*((one.condition, one.text) for one in store.alerts.current()), *store.alerts.due(now=clock())]


def quick(settings: Settings) -> Settings:
    """Alerts are looked at as soon as the last look is done."""
    return settings.model_copy(update={"alerts": settings.alerts.model_copy(update={"every_seconds": 0.3})})


@contextmanager
def without_a_model(folder: Path, clock: ShiftedClock) -> Iterator[tuple[Service, Store]]:
    """A process that takes ECGs in for a store that has no model yet, half an hour later."""
    path = folder / "settings.toml"
    path.write_text(BARE + ALERTS.format(folder=folder, free_mb=0))
    write_tiny_bundle(folder / "tiny")
    prepared.copy_store(folder / "bare.sqlite")
    read = quick(read_settings(path))
    store = Store.open(read.store_url)
    service = Service(read, "connect", store, clock=clock)
    service.start()
    try:
        for number in (1, 2):
            take(service, number)
        failed = _fail_for_good(store, clock)
        clock.ahead = timedelta(minutes=35)  # more than an hour in all would be a gap
        Mark(message_id=77, control_id="E77").write(folder / "mark")
        store.home.look(folder / "mark", now=clock(), actor="test")
        wait_until(lambda: Scrape.of(service.monitoring_port, clock).value("ecgfm_store_up"))
        wait_for_none(lambda: not_open(store, BARE_ILLNESSES))
        yield service, store
        store.home.adopt("restored", [folder / "mark"], now=clock(), actor="test")
        store.jobs.rescore([failed], now=clock(), actor="test")
        scorer = scorers.build_live_scorer(read, store, clock=clock)
        wait_until(lambda: not scorer.run_batch() and not store.questions.backlog().jobs_waiting)
        (folder / "broken").touch()
        clock.ahead += timedelta(minutes=20)
        wait_for_none(lambda: not_told(store, clock))
    finally:
        clock.ahead = timedelta()
        service.stop()
        store.close()


def _fail_for_good(store: Store, clock: ShiftedClock) -> int:
    """The job of one ECG; which one."""
    (job,) = store.jobs.claim(worker="test", limit=1, now=clock(), lease=timedelta(minutes=5))
    store.jobs.fail(job, after_failure(ValueError(), attempts=4, limit=4, now=clock()), now=clock(), worker="test")
    return job.ecg_id


def take(service: Service, number: int, **changes: Any) -> None:
    """One ECG by C-STORE."""
    content = dicom_writer.write_ecg(ecg(number, f"P{number}", **changes))
    cart.send([content], host="127.0.0.1", port=service.ports["dicom"])


def fall_ill(service: Service, site: Installation, clock: ShiftedClock) -> None:
    site.ehr.plan(Fault.AE)
    take(service, 2)
    wait_until(lambda: (sent := site.store.questions.backlog().destinations.get("ehr")) and sent.dead)
    site.ehr.stop()
    take(service, 3)
    wait_until(lambda: site.store.destinations.status("ehr", now=clock()).since)
    take(service, 4)
    take(service, 4, patient=patient("SOMEBODY"))
    _forge_the_audit_trail(site.store, "DROP TRIGGER audit_no_update")
    _forge_the_audit_trail(site.store, "UPDATE audit SET actor = 'x' || actor WHERE audit_id = 1")
    clock.ahead = timedelta(hours=26)
    _forge_a_past(site.store, clock() - timedelta(days=10))
    _send_what_is_no_good(service, clock)
    wait_until(lambda: site.store.questions.counts().not_evaluable == TODAY)
    _drift(site, clock, DriftFinding(code="mix", month="2026-01", text="another device"))
    assert site.command("pause", "head", "reduced_lvef", "--reason", "a test")[0] == 0
    site.store._free_bytes = lambda: 100_000  # what a disk that is nearly full would leave
    site.store.sizes.note(1, now=clock() - timedelta(days=6))
    silent_since = clock() - timedelta(minutes=5)
    site.store.processes.lives(ELSEWHERE, roles="score", started_at=silent_since, ailing=(), now=silent_since)


def _forge_the_audit_trail(store: Store, statement: str) -> None:
    with store.database.writer.begin() as connection:
        connection.execute(text(statement))


def _forge_a_past(store: Store, at: datetime) -> None:
    """A hundred ECGs that were scored and a hundred outcomes, all by the source `hl7`."""
    with store.database.writer.begin() as connection:
        payload = dict(connection.execute(select(schema.payload)).mappings().first() or {})
        payload |= {"source": "hl7", "received_at": at, "disposition": "staged", "code": ""}
        del payload["payload_id"]
        connection.execute(insert(schema.payload), [payload | {"sha256": os.urandom(32)} for _ in range(PAST)])
        known = connection.execute(select(schema.payload).where(schema.payload.c.source == "hl7")).mappings().first()
        assert known is not None
        ecg = dict(connection.execute(select(schema.ecg)).mappings().first() or {})
        ecg |= {"source": "hl7", "received_at": at, "state": "scored", "payload_id": known["payload_id"]}
        del ecg["ecg_id"]
        connection.execute(insert(schema.ecg), [ecg | {"source_key": os.urandom(32)} for _ in range(PAST)])
        outcome = {
            "payload_id": known["payload_id"],
            "version": 1,
            "patient_key": ecg["patient_key"],
            "kind": "troponin",
            "status": "final",
            "value": 5.0,
            "comparator": "",
            "unit": "ng/L",
            "code": "",
            "assay": "",
            "observed_at": at,
            "received_at": at,
            "private": payload["private"],
        }
        connection.execute(insert(schema.outcome), [outcome | {"source_key": os.urandom(32)} for _ in range(PAST)])


def _send_what_is_no_good(service: Service, clock: ShiftedClock) -> None:
    """ECGs that are flat, ECGs that are damaged, results in a unit that nobody knows, and a stranger."""
    with MllpCart("127.0.0.1", service.ports["hl7"]) as sender:
        for number in range(100, 100 + TODAY):
            flat = ecg(number, f"P{number}", signal=FLAT)
            assert sender.send(oru_writer.write_ecg(flat, control_id=f"F{number}", sent_at=clock())).code == "AA"
        good = oru_writer.write_ecg(ecg(9, signal=FLAT), control_id="M9", sent_at=clock())
        for number in range(TODAY):
            cut = good.replace(b"|M9|", b"|D%d|" % number)[: len(good) // 2]
            assert sender.send(cut).code != "AA"
        sender.send(_troponins_nobody_understands())
    with MllpCart("127.0.0.1", service.ports["strict"]) as stranger:
        stranger.send(good)


def _troponins_nobody_understands() -> bytes:
    results = b"".join(
        b"OBX|%d|NM|6598-7^Troponin T.cardiac^LN||0.05|bananas|<0.014|H|||F|||20310101110000+0000\r" % number
        for number in range(1, TODAY + 1)
    )
    return (
        b"MSH|^~\\&|LAB|HOSP|ECGFM||20310101120000+0000||ORU^R01|L1|P|2.5.1\r"
        b"PID|1||P1^^^TESTHOSP^MR||TESTFAMILY^ADA||19600517|F\r"
        b"OBR|1||F1|6598-7^Troponin T^LN|||20310101110000+0000\r" + results
    )


def _drift(site: Installation, clock: ShiftedClock, *findings: DriftFinding) -> None:
    live = site.store.models.live()
    assert live is not None
    site.store.models.keep_drift(live.model_id, findings, "", now=clock(), actor="test")


def ill(site: Installation, port: int | None, clock: ShiftedClock, expected: frozenset[str]) -> Scrape:
    """Once a task has failed for the third time, and of everything that is wrong the site was told."""
    log = Path(site.settings.store_folder, "staging.sqlite-wal")
    found: list[Scrape] = []

    def untold() -> frozenset[str]:
        os.truncate(log, max(log.stat().st_size, 1_100_000_000))  # SQLite reads no further than it has written
        return not_open(site.store, expected)

    def is_ill() -> bool:
        untold()
        found.append(Scrape.of(port, clock))
        told = found[-1]
        return (
            told.value("ecgfm_task_failures", task="pull drop") >= 3
            and told.value("ecgfm_audit_messages_oldest_seconds") > 3600
            and told.value("ecgfm_store_log_bytes") > 1e9
        )

    wait_for_none(untold)
    wait_until(is_ill)
    return found[-1]


def while_the_store_is_silent(site: Installation, port: int | None, clock: ShiftedClock) -> Scrape:
    def does_not_answer(*_: object, **__: object) -> NoReturn:
        raise StoreUnavailable("no answer")

    with pytest.MonkeyPatch.context() as fault:
        fault.setattr(site.store.questions, "backlog", does_not_answer)
        return Scrape.of(port, clock)


def mend(service: Service, site: Installation, clock: ShiftedClock, folder: Path) -> None:
    (ehr,) = site.settings.destinations.hl7
    site.ehr = EhrReceiver(port=ehr.port)
    site.ehr.start()
    (folder / "broken").touch()
    site.store._free_bytes = lambda: 9 * 10**9
    site.store.processes.ended(ELSEWHERE)
    site.store.database.forget_old_pages()
    _forge_the_audit_trail(site.store, "UPDATE audit SET actor = substr(actor, 2) WHERE audit_id = 1")
    _drift(site, clock)
    assert site.command("resume", "head", "reduced_lvef", "--reason", "a test")[0] == 0
    unreadable = [one.payload_id for one in site.store.questions.payloads_to_see_to()]
    assert site.command("payloads", "resolve", *unreadable, "--reason", "seen")[0] == 0
    assert site.command("replay", "--dead")[0] == 0
    assert site.command("held", "reject", 1, "--reason", "x", "--yes")[0] == 0
    clock.ahead += timedelta(hours=25)  # shares are those of a day, and once a day the audit trail is read
    for number in (10, 11):
        take(service, number)
    with MllpCart("127.0.0.1", service.ports["hl7"]) as sender:
        sender.send(oru_writer.write_ecg(ecg(12), control_id="M12", sent_at=clock()))
    site.store.elapsed.look(clock())
    site.store.elapsed.vouch(now=clock(), actor="test")


def is_well(told: Scrape) -> bool:
    """Everything that takes its time to get well has."""
    failures = [value for (name, _), value in told.samples.items() if name == "ecgfm_task_failures"]
    return bool(failures) and not any(
        (
            *failures,
            told.value("ecgfm_audit_messages_waiting"),
            told.value("ecgfm_outbox_messages", destination="ehr", state="waiting"),
            told.value("ecgfm_outbox_messages", destination="ehr", state="set_aside"),
            told.value("ecgfm_destination_outage_seconds", destination="ehr"),
            told.value("ecgfm_processes", state="silent"),
            told.value("ecgfm_store_log_bytes") > 1e9,
        )
    )
