"""The report of a training: one page with its pictures, which loads nothing and names nobody."""

import json

import pytest

from ecgfm_clinical.learning.workshop import Workshop

pytestmark = pytest.mark.slow(3)


def test_the_report_is_one_page_that_loads_nothing(workshop: Workshop) -> None:
    done = workshop.retrain("reduced_lvef", note="simulated <outcomes>", replicates=50)
    assert done is not None
    page = done.report.read_text(encoding="utf-8")
    assert page.count("<svg") >= 5
    assert "simulated &lt;outcomes&gt;" in page
    assert (
        "above that of: no rival. It did not demand it of: age and sex, random encoder (learning.gate.must_beat)"
        in page
    )
    assert "NOT FOR CLINICAL USE" in page
    assert "src=" not in page
    assert "<script" not in page
    told = json.loads((done.report.parent / "report.json").read_text(encoding="utf-8"))
    assert told["verdict"]["passed"]
    assert told["labels"]["reduced_lvef"]["compared"].keys() == {"age and sex", "random encoder", "champion"}
    flow = json.loads((done.report.parent / "cohort.json").read_text(encoding="utf-8"))
    assert flow["considered"] - sum(step["excluded"] for step in flow["steps"]) == flow["included"]
    assert "CLINIC-" not in page + json.dumps(told), "no patient number leaves the store"
    assert (done.report.parent / "cohort.svg").read_text(encoding="utf-8").startswith("<svg")
