"""Each rule fires on what a running service tells of its illness, and clears on what it tells once it is mended.

The service is scraped well, ill and mended; what it told becomes the series of an afternoon, on which Prometheus' own
tool evaluates the rules as shipped.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ecgfm_clinical.errors import StoreUnavailable
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging import migrations
from ecgfm_clinical.staging.model_records import DriftFinding
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.ecg import LEADS
from ecgfm_connectors.testing import cart, dicom_writer, oru_writer
from ecgfm_connectors.testing.ehr import EhrReceiver, Fault
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.clinical.monitoring.test_endpoint import get
from tests.clinical.monitoring.test_rules import RULES, promtool, rules
from tests.helpers.audit_repository import AuditRepository
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation, ecg

pytestmark = [
    pytest.mark.slow(40),
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed"),
    pytest.mark.skipif(shutil.which(OPENSSL) is None, reason="the openssl program is not installed"),
]

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
[monitoring]
port = 0
[[listeners.dicom]]
name = "dicom"
host = "127.0.0.1"
port = 0
"""
ELSEWHERE = "elsewhere:1:2:service"
#: Steps of ten minutes for which each scrape is shown to Prometheus: `increase(…[6h])` and `for: 1h` need their time.
#: Before them lie 27 hours without a scrape, for promtool's clock begins at 0 and a source is silent after a day.
STEP = 10
BEFORE, WELL, ILL, MENDED = 27 * 6, 2, 13, 50
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
        text = ""
        with suppress(OSError, HTTPException):
            text = get(port, "/metrics")[1]
        samples = {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }
        return cls(at=clock(), samples={**samples, ("up", ()): float(bool(samples))})

    def value(self, name: str, **labels: str) -> float:
        return self.samples.get((name, tuple(sorted(labels.items()))), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Afternoon:
    """What a monitor saw, one after the other."""

    well: Scrape
    mended: Scrape
    ill: Mapping[str, Scrape]  #: alert → the scrape of its illness; `""`: of all others

    def series(self, alert: str) -> list[dict[str, str]]:
        scrapes = ((self.well, WELL), (self.ill.get(alert, self.ill[""]), ILL), (self.mended, MENDED))
        named = next(rule["expr"] for rule in rules() if rule["alert"] == alert)
        keys = dict.fromkeys(key for scrape, _ in scrapes for key in scrape.samples if key[0] in named)
        return [{"series": _series(*key), "values": " ".join(_values(key, scrapes))} for key in keys]


def _series(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    told = (*labels, ("instance", "here"), ("job", "ecgfm"))
    return f"{name}{{{','.join(f'{label}={json.dumps(value)}' for label, value in told)}}}"


def _values(key: Sample, scrapes: tuple[tuple[Scrape, int], ...]) -> Iterator[str]:
    """promtool's clock begins at 0: times are told as of the beginning of the phase in which they were told."""
    begin = BEFORE
    yield f"_x{BEFORE}"
    for scrape, steps in scrapes:
        value = scrape.samples.get(key)
        if value and key[0].endswith("_timestamp_seconds"):
            value += begin * STEP * 60 - scrape.at.timestamp()
        yield f"_x{steps}" if value is None else f"{value:f}x{steps - 1}"
        begin += steps


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory: pytest.TempPathFactory) -> Afternoon:
    """A service that falls ill in every way there is a rule for, and is mended."""
    folder, clock = tmp_path_factory.mktemp("site"), ShiftedClock()
    no_model = _without_a_model(tmp_path_factory.mktemp("bare"), clock)
    authority = CertificateAuthority(tmp_path_factory.mktemp("tls"))
    ours, theirs = authority.issue("client", days=90), authority.issue("server", days=90)
    repository = AuditRepository(theirs)
    (folder / "drop").mkdir()
    tls = f'{{ certificate = "{ours.certificate}", key = "{ours.key}", trusted = "{ours.trusted}" }}'
    site = Installation(folder, more=MORE.format(audit=repository.port, tls=tls))
    service = Service(site.settings, "all", site.store, clock=clock)
    service.start()
    port = service.monitoring_port
    try:
        _take(service, 1)
        wait_until(lambda: Scrape.of(port, clock).value("ecgfm_scored_total", outcome="scored") == 1)
        wait_until(lambda: Scrape.of(port, clock).value("ecgfm_store_up"))
        well = Scrape.of(port, clock)
        _fall_ill(service, site, clock)
        authority.issue("client", days=2)  # in the place of the one that is shown
        repository.stop()
        (folder / "drop").rmdir()
        ill = _ill(site, port, clock)
        no_store = _while_the_store_is_silent(site, port, clock)
        (folder / "drop").mkdir()
        authority.issue("client", days=90)
        repository = AuditRepository(theirs, port=repository.port)
        _mend(service, site, clock)
        wait_until(lambda: _is_well(Scrape.of(port, clock)))
        mended = Scrape.of(port, clock)
    finally:
        service.stop()
        repository.stop()
        site.close()
    gone = Scrape.of(port, clock)
    bare = {"EcgfmNoModel": no_model, "EcgfmScoringStandsStill": no_model}
    special = {"EcgfmStoreDown": no_store, "EcgfmProcessDown": gone}
    return Afternoon(well=well, mended=mended, ill={"": ill, **special, **bare})


def _without_a_model(folder: Path, clock: ShiftedClock) -> Scrape:
    """A process that takes an ECG in for a store that has no model yet, an hour later."""
    path = folder / "settings.toml"
    path.write_text(BARE)
    read = read_settings(path)
    migrations.upgrade(read.store_url)
    store = Store.open(read.store_url)
    service = Service(read, "connect", store, clock=clock)
    service.start()
    try:
        _take(service, 1)
        clock.ahead = timedelta(hours=1)
        wait_until(lambda: Scrape.of(service.monitoring_port, clock).value("ecgfm_store_up"))
        return Scrape.of(service.monitoring_port, clock)
    finally:
        clock.ahead = timedelta()
        service.stop()
        store.close()


def _take(service: Service, number: int, **changes: Any) -> None:
    content = dicom_writer.write_ecg(ecg(number, f"P{number}", **changes))
    cart.send([content], host="127.0.0.1", port=service.ports["dicom"])


def _fall_ill(service: Service, site: Installation, clock: ShiftedClock) -> None:
    site.ehr.plan(Fault.AE)
    _take(service, 2)
    wait_until(lambda: (sent := site.store.questions.backlog().destinations.get("ehr")) and sent.dead)
    site.ehr.stop()
    flat = np.zeros((len(LEADS), 5000), dtype=np.float32)
    for number in range(3, 8):
        _take(service, number, signal=flat)
    wait_until(lambda: site.store.questions.counts().not_evaluable == 5)
    wait_until(lambda: site.store.destinations.status("ehr", now=clock()).since)
    site.dicom(b"no recording at all")
    with MllpCart("127.0.0.1", service.ports["strict"]) as stranger:
        stranger.send(oru_writer.write_ecg(ecg(9), control_id="M9", sent_at=clock()))
    _drift(site, clock, DriftFinding(code="mix", month="2026-01", text="another device"))
    clock.ahead = timedelta(hours=26)
    site.store._free_bytes = lambda: 10**9  # what a disk that is nearly full would leave
    silent_since = clock() - timedelta(minutes=5)
    site.store.processes.lives(ELSEWHERE, roles="score", started_at=silent_since, ailing=(), now=silent_since)


def _drift(site: Installation, clock: ShiftedClock, *findings: DriftFinding) -> None:
    live = site.store.models.live()
    assert live is not None
    site.store.models.keep_drift(live.model_id, findings, "", now=clock(), actor="test")


def _ill(site: Installation, port: int | None, clock: ShiftedClock) -> Scrape:
    """Once a task has failed for the third time."""
    log = Path(site.settings.store_folder, "staging.sqlite-wal")
    found: list[Scrape] = []

    def is_ill() -> bool:
        os.truncate(log, max(log.stat().st_size, 1_100_000_000))  # SQLite reads no further than it has written
        found.append(Scrape.of(port, clock))
        told = found[-1]
        return (
            told.value("ecgfm_task_failures", task="pull drop") >= 3
            and told.value("ecgfm_audit_messages_oldest_seconds") > 3600
            and told.value("ecgfm_store_log_bytes") > 1e9
        )

    wait_until(is_ill)
    return found[-1]


def _while_the_store_is_silent(site: Installation, port: int | None, clock: ShiftedClock) -> Scrape:
    def does_not_answer(*_: object, **__: object) -> NoReturn:
        raise StoreUnavailable("no answer")

    with pytest.MonkeyPatch.context() as fault:
        fault.setattr(site.store.questions, "backlog", does_not_answer)
        return Scrape.of(port, clock)


def _mend(service: Service, site: Installation, clock: ShiftedClock) -> None:
    (ehr,) = site.settings.destinations.hl7
    site.ehr = EhrReceiver(port=ehr.port)
    site.ehr.start()
    site.store._free_bytes = lambda: 9 * 10**9
    site.store.processes.ended(ELSEWHERE)
    site.store.database.forget_old_pages()
    _drift(site, clock)
    unreadable = [one.payload_id for one in site.store.questions.payloads_to_see_to()]
    assert site.command("payloads", "resolve", *unreadable, "--reason", "seen")[0] == 0
    assert site.command("replay", "--dead")[0] == 0
    _take(service, 10)


def _is_well(told: Scrape) -> bool:
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


def test_every_rule_fires_on_a_service_that_is_ill_and_clears_once_it_is_mended(
    afternoon: Afternoon, tmp_path: Path
) -> None:
    shutil.copy(RULES, tmp_path / "rules.yml")
    cases = [_case(afternoon, rule["alert"]) for rule in rules()]
    assert len(cases) > 15
    document = {"rule_files": ["rules.yml"], "evaluation_interval": f"{STEP}m", "tests": cases}
    (tmp_path / "cases.yml").write_text(json.dumps(document))
    promtool("test", "rules", tmp_path / "cases.yml")


def _case(afternoon: Afternoon, alert: str) -> dict[str, Any]:
    """Silent while all is well, fires while it is ill, silent in the end."""
    firing = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    well, ill, mended = (STEP * (BEFORE + steps - 1) for steps in (WELL, WELL + ILL, WELL + ILL + MENDED))
    return {
        "name": alert,
        "interval": f"{STEP}m",
        "input_series": afternoon.series(alert),
        "promql_expr_test": [
            {"expr": f"count({firing})", "eval_time": f"{well}m", "exp_samples": []},
            {
                "expr": f"clamp_max(count(count_over_time({firing}[{STEP * ILL}m])), 1)",
                "eval_time": f"{ill}m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            },
            {"expr": f"count({firing})", "eval_time": f"{mended}m", "exp_samples": []},
        ],
    }
