"""Each rule, and each alert of the program's own, opens on what a running service is ill of, and clears once it is
mended.

The service is scraped well, ill and mended; what it told becomes the series of an afternoon, on which Prometheus' own
tool evaluates the rules as shipped. What the program told by a channel of its own meanwhile is read beside them.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ecgfm_clinical.service.service import Service
from tests.clinical.monitoring import illness
from tests.clinical.monitoring.illness import Sample, Scrape, ShiftedClock
from tests.clinical.monitoring.test_rules import ROOT, RULES, promtool, rules
from tests.helpers.audit_repository import AuditRepository
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation

pytestmark = [
    pytest.mark.slow(40),
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which(OPENSSL) is None, reason="the openssl program is not installed"),
]

#: Steps of ten minutes for which each scrape is shown to Prometheus: `increase(…[6h])` and `for: 1h` need their time.
#: Before them lie 27 hours without a scrape, for promtool's clock begins at 0 and a source is silent after a day.
STEP = 10
BEFORE, WELL, ILL, MENDED = 27 * 6, 2, 13, 50


def conditions() -> frozenset[str]:
    """Every condition of which the runbook says that a site is told of it."""
    runbook = (ROOT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")
    table = runbook.partition("| condition, and its section | when |")[2].partition("\n\n")[0]
    return frozenset(name for row in table.splitlines()[2:] for name in re.findall("`([a-z-]+)`", row.split("|")[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Afternoon:
    """What a monitor saw, one after the other, and what the services told by their channels."""

    well: Scrape
    mended: Scrape
    ill: Mapping[str, Scrape]  #: alert → the scrape of its illness; `""`: of all others
    told: Sequence[Mapping[str, str]]

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
    """A service that falls ill in every way there is a rule or an alert for, and is mended."""
    folder, bare, clock = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("bare"), ShiftedClock()
    with illness.without_a_model(bare, clock) as (service, _):
        no_model = Scrape.of(service.monitoring_port, clock)
    authority = CertificateAuthority(tmp_path_factory.mktemp("tls"))
    ours, theirs = authority.issue("client", days=90), authority.issue("server", days=90)
    repository = AuditRepository(theirs)
    (folder / "drop").mkdir()
    tls = f'{{ certificate = "{ours.certificate}", key = "{ours.key}", trusted = "{ours.trusted}" }}'
    more = illness.MORE.format(audit=repository.port, tls=tls) + illness.ALERTS.format(folder=folder, free_mb=2000)
    site = Installation(folder, more=more)
    site.store._free_bytes = lambda: 9 * 10**9
    service = Service(illness.quick(site.settings), "all", site.store, clock=clock)
    service.start()
    port = service.monitoring_port
    try:
        illness.take(service, 1)
        wait_until(lambda: Scrape.of(port, clock).value("ecgfm_scored_total", outcome="scored") == 1)
        wait_until(lambda: Scrape.of(port, clock).value("ecgfm_store_up"))
        well = Scrape.of(port, clock)
        assert site.store.alerts.newest(limit=1) == []
        repository.stop()
        illness.fall_ill(service, site, clock)
        authority.issue("client", days=1)  # in the place of the one that is shown: it has ended by the shifted clock
        (folder / "drop").rmdir()
        ill = illness.ill(site, port, clock, conditions() - illness.BARE_ILLNESSES)
        no_store = illness.while_the_store_is_silent(site, port, clock)
        (folder / "drop").mkdir()
        authority.issue("client", days=90)
        repository = AuditRepository(theirs, port=repository.port)
        illness.mend(service, site, clock, folder)
        wait_until(lambda: illness.is_well(Scrape.of(port, clock)))
        illness.wait_for_none(lambda: illness.not_told(site.store, clock))
        mended = Scrape.of(port, clock)
    finally:
        service.stop()
        repository.stop()
        site.close()
    gone = Scrape.of(port, clock)
    without = {"EcgfmNoModel": no_model, "EcgfmScoringStandsStill": no_model}
    special = {"EcgfmStoreDown": no_store, "EcgfmProcessDown": gone}
    told = [*illness.told(bare), *illness.told(folder)]
    return Afternoon(well=well, mended=mended, ill={"": ill, **special, **without}, told=told)


def test_every_alert_opens_on_a_service_that_is_ill_and_clears_once_it_is_mended(afternoon: Afternoon) -> None:
    states: dict[tuple[str, str], list[str]] = {}
    for one in afternoon.told:
        states.setdefault((one["condition"], one["subject"]), []).append(one["state"])
    assert {name for name, _ in states} == conditions()
    assert len(conditions()) >= 24
    for about, heard in states.items():
        assert heard == ["opened", "cleared"] * (len(heard) // 2), about
    text = json.dumps(afternoon.told)
    assert "TESTFAMILY" not in text
    assert "SOMEBODY" not in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
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
