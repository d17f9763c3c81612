"""Prometheus' own tool loads our rules, and each rule fires on its fault and clears once the fault has gone."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecgfm_clinical.alerting.channels import RUNBOOK

pytestmark = pytest.mark.slow(4)

ROOT = Path(__file__).parents[3]
OBSERVABILITY = ROOT / "deploy" / "observability"
RULES = OBSERVABILITY / "rules.yml"

#: Alert -> series of an hour of minutes that are ill and an hour that are well, as promtool writes series.
#: `a+bxn` begins at a and adds b at each of n steps; `_` is a missing sample.
ILL_THEN_WELL: dict[str, dict[str, str]] = {
    "EcgfmProcessDown": {'up{job="ecgfm", instance="score:9464"}': "0x60 1x60"},
    "EcgfmStoreDown": {"ecgfm_store_up": "0x60 1x60"},
    "EcgfmProcessSilent": {'ecgfm_processes{state="silent"}': "1x60 0x60"},
    "EcgfmTaskFailing": {'ecgfm_task_failures{task="score", instance="score:9464"}': "3x60 0x60"},
    "EcgfmSourceSilent": {
        # promtool's clock begins at 0 s: a source that was last heard a day and an hour before the ill hour
        'ecgfm_source_last_received_timestamp_seconds{source="dicom"}': "1x1560 93600x60",
    },
    "EcgfmCallersRejected": {
        'ecgfm_rejected_callers_total{listener="hl7", reason="unknown-sender"}': "0+1x60 60x120",
    },
    "EcgfmScoringStandsStill": {"ecgfm_score_oldest_seconds": "1000x60 0x60"},
    "EcgfmDestinationOutOfReach": {'ecgfm_destination_outage_seconds{destination="ehr"}': "700x60 0x60"},
    "EcgfmResultsWait": {'ecgfm_outbox_oldest_seconds{destination="ehr"}': "1900x60 0x60"},
    "EcgfmMessagesSetAside": {'ecgfm_outbox_messages{destination="ehr", state="set_aside"}': "2x60 0x60"},
    "EcgfmNeedsPerson": {'ecgfm_needs_person{kind="held"}': "1x60 0x60"},
    "EcgfmNotEvaluableShare": {
        'ecgfm_scored_total{outcome="not_evaluable"}': "0+6x60 360x480",
        'ecgfm_scored_total{outcome="scored"}': "0+4x60 240+4x480",
    },
    "EcgfmDiskNearlyFull": {"ecgfm_store_free_bytes": "1000000000x60 9000000000x60"},
    "EcgfmStoreFills": {"ecgfm_store_free_bytes": "90000000000-50000000x60 90000000000x480"},
    "EcgfmLogOfStoreLong": {"ecgfm_store_log_bytes": "2000000000x60 0x60"},
    "EcgfmCertificateExpires": {
        'ecgfm_certificate_expiry_timestamp_seconds{part="listener hl7"}': "86400x120 99999999x60"
    },
    "EcgfmAuditMessagesWait": {"ecgfm_audit_messages_oldest_seconds": "4000x60 0x60"},
    "EcgfmNoModel": {"ecgfm_store_up": "1x120", 'ecgfm_model_info{use="live"}': "_x60 1x60"},
    "EcgfmDrift": {"ecgfm_drift_findings": "1x120 0x60"},
}


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return found


def promtool(*words: object) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _minutes(series: str) -> tuple[int, int]:
    """How many minutes a series is ill, and how many there are in all."""
    parts = [int(part.rpartition("x")[2]) for part in series.split()]
    return (parts[0], sum(parts)) if len(parts) > 1 else (parts[0] // 2, parts[0])


def test_every_rule_has_an_illness() -> None:
    assert {rule["alert"] for rule in rules()} == set(ILL_THEN_WELL)


@pytest.mark.peer
def test_promtool_takes_the_rules_and_the_configuration(tmp_path: Path) -> None:
    shutil.copytree(OBSERVABILITY, tmp_path / "observability")
    promtool("check", "rules", tmp_path / "observability" / "rules.yml")
    promtool("check", "config", tmp_path / "observability" / "prometheus.yml")


@pytest.mark.peer
@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_fires_and_clears(rule: dict[str, Any], tmp_path: Path) -> None:
    name, series = rule["alert"], ILL_THEN_WELL[rule["alert"]]
    ill, whole = max(map(_minutes, series.values()))
    shutil.copy(RULES, tmp_path / "rules.yml")
    firing = {"alertname": name, "eval_time": f"{ill - 2}m"}
    cases = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": one, "values": values} for one, values in series.items()],
                "promql_expr_test": [
                    _alerts(name, firing["eval_time"], 1),
                    _alerts(name, f"{whole - 2}m", 0),
                ],
            }
        ],
    }
    (tmp_path / "cases.yml").write_text(json.dumps(cases))
    promtool("test", "rules", tmp_path / "cases.yml")


def _alerts(name: str, at: str, count: int) -> dict[str, Any]:
    """How many alerts of this name fire at a time."""
    samples = [{"labels": "{}", "value": count}] if count else []
    return {
        "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})',
        "eval_time": at,
        "exp_samples": samples,
    }


def sections() -> dict[str, str]:
    """Anchor -> text of each section of the runbook."""
    runbook = (ROOT / "deploy" / "RUNBOOK.md").read_text()
    parts = re.split(r"^#+ (.*)$", runbook, flags=re.MULTILINE)
    anchors = [re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in parts[1::2]]
    assert len(set(anchors)) == len(anchors)
    return dict(zip(anchors, parts[2::2], strict=True))


def conditions() -> set[str]:
    """Every condition that the alerts can tell, as their source names it."""
    source = (ROOT / "ecgfm_clinical" / "alerting" / "conditions.py").read_text()
    shares = re.findall(r'\("([\w-]+-share)", store\.', source)
    return {*re.findall(r'\bname="([\w-]+)"', source), *shares}


def test_every_alert_and_every_rule_has_a_section_of_its_own_in_the_runbook() -> None:
    found, rule_of = sections(), dict[str, str]()
    for rule in rules():
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert path == RUNBOOK
        assert rule_of.setdefault(anchor, rule["alert"]) == rule["alert"], "two rules share a section"
        assert f"`{rule['alert']}`" in found[anchor].strip().splitlines()[0]
    told = conditions()
    assert len(told) >= 24
    listed = found["alerts-of-its-own"].partition("| condition, and its section | when |")[2]
    assert dict(re.findall(r"\[`([\w-]+)`\]\(#([\w-]+)\)", listed)) == {one: f"alert-{one}" for one in told}
    for one in told:
        assert f"`{one}`" in found[f"alert-{one}"].strip().splitlines()[0]
    ours = {f"alert-{one}" for one in told} | rule_of.keys()
    for anchor in ours:
        kinds = re.findall(r"^- \*\*(\w+)\*\*: ", found[anchor], flags=re.MULTILINE)
        assert kinds == ["Seen", "Means", "Do", "Clears"], anchor
    assert {anchor for anchor in found if anchor.startswith("alert-")} == ours


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    dashboard = (OBSERVABILITY / "grafana" / "ecgfm.json").read_text()
    expressions = [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for rule in rules()]
    named = set(re.findall(r"\becgfm_\w+", " ".join(expressions)))
    source = "".join(path.read_text() for path in (ROOT / "ecgfm_clinical" / "monitoring").glob("*.py"))
    defined = set(re.findall(r'"(ecgfm_\w+)"', source))
    assert {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in named} <= defined
