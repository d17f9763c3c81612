"""A judgement holds what TRIPOD+AI asks for, and the gate refuses what must not go live, saying why."""

import json
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from ecgfm_clinical.learning.documents import plain
from ecgfm_clinical.learning.judging.gate import refusals
from ecgfm_clinical.learning.judging.judgement import LabelJudgement
from ecgfm_clinical.learning.judging.label import TestSet, judge
from ecgfm_clinical.learning.judging.worth import worth
from ecgfm_clinical.rules import GateRules

pytestmark = pytest.mark.slow(10)

STREAM = np.random.default_rng(5)
COUNT = 400
ODDS = STREAM.normal(-0.5, 1.5, COUNT)
LABELS = (STREAM.random(COUNT) < expit(ODDS)).astype(float)
NOISE = STREAM.normal(0, 1.5, COUNT)
SEX = np.where(np.arange(COUNT) % 2, "M", "F").tolist()


def test_set(**changes: Any) -> TestSet:
    given: dict[str, Any] = {
        "labels": LABELS,
        "probabilities": expit(ODDS),
        "patients": [f"p{n}" for n in range(COUNT)],
        "threshold": 0.3,
        "champion": expit(ODDS + 0.3 * NOISE),
        "baselines": {"age and sex": expit(NOISE), "random encoder": expit(0.3 * ODDS + NOISE)},
        "subgroups": {"sex": SEX},
    }
    return TestSet(**(given | changes))


test_set.__test__ = False  # type: ignore[attr-defined]  # a helper, whatever its name


def judged(**changes: Any) -> LabelJudgement:
    return judge(test_set(**changes), replicates=200)


def test_a_judgement_is_complete_and_plain_json() -> None:
    found = json.loads(json.dumps(plain(judged()), allow_nan=False))
    assert set(found["metrics"]) == {
        *("auroc", "auprc", "brier", "calibration_slope", "calibration_intercept", "ece"),
        *("sensitivity", "specificity", "ppv", "npv"),
    }
    for interval in found["metrics"].values():
        assert interval["low"] <= interval["value"] <= interval["high"] or interval is found["metrics"]["ece"]
    assert found["positives"] + found["negatives"] == found["ecgs"] == COUNT
    assert {group["value"] for group in found["subgroups"]} == {"M", "F"}
    assert sum(group["positives"] for group in found["subgroups"]) == found["positives"]
    assert found["compared"]["champion"]["delong_p"] is not None
    assert found["roc"][0] == [0, 0]
    assert found["roc"][-1] == [1, 1]
    assert sum(found["histogram"]["negative"]) == found["negatives"]


def test_a_rate_of_few_has_an_interval_although_no_sample_of_them_differs() -> None:
    few = slice(0, 30)
    changes = {"labels": LABELS[few], "probabilities": expit(ODDS[few]), "patients": [f"p{n}" for n in range(30)]}
    own = judged(**changes, threshold=1e-6, champion=None, baselines={}, subgroups={})
    sensitivity = own.metrics["sensitivity"]
    assert (sensitivity.value, sensitivity.high) == (1.0, 1.0)
    assert 0.5 < sensitivity.low < 0.95


def test_it_is_reproducible() -> None:
    assert judged() == judged()


def test_delong_is_left_out_where_patients_have_several_ecgs() -> None:
    assert judged(patients=[f"p{n // 2}" for n in range(COUNT)]).compared["champion"].delong_p is None


def test_a_small_subgroup_shows_its_counts_only() -> None:
    site = ["small"] * 4 + ["large"] * (COUNT - 4)
    small = next(g for g in judged(subgroups={"site": site}).subgroups if g.value == "small")
    assert (small.ecgs, small.auroc) == (4, None)


def test_rates_are_those_at_each_ecgs_own_operating_point() -> None:
    alone, never = judged(), judged(thresholds=np.full(COUNT, 2.0))
    assert never.metrics["sensitivity"].value == 0.0
    assert all(group.sensitivity == 0.0 for group in never.subgroups if group.positives)
    assert alone.threshold is not None
    mixed = judged(thresholds=np.where(np.arange(COUNT) % 2, 2.0, alone.threshold))
    assert 0 < mixed.metrics["sensitivity"].value < alone.metrics["sensitivity"].value


def test_whole_curves_have_intervals_that_draw_patients() -> None:
    alone, twice = judged(), judged(patients=[f"p{n // 4}" for n in range(COUNT)])
    for one in (*alone.decision_curve, *twice.decision_curve):
        assert one.low <= one.model <= one.high
    for bin_ in alone.reliability:
        assert bin_.low <= bin_.observed <= bin_.high
    same = judged(
        labels=np.repeat(LABELS[: COUNT // 4], 4), probabilities=np.repeat(expit(ODDS[: COUNT // 4]), 4), champion=None
    )
    four = judged(
        labels=np.repeat(LABELS[: COUNT // 4], 4),
        probabilities=np.repeat(expit(ODDS[: COUNT // 4]), 4),
        champion=None,
        patients=[f"p{n // 4}" for n in range(COUNT)],
    )
    widths = [[one.high - one.low for one in told.decision_curve[5:15]] for told in (same, four)]
    assert all(wide > narrow for narrow, wide in zip(*widths, strict=True)), "copies of one patient add nothing"


def test_one_class_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="both kinds are needed"):
        judged(labels=np.zeros(COUNT))


def test_a_good_candidate_passes() -> None:
    assert refusals("x", judged(), GateRules()) == []


@pytest.mark.parametrize(
    ("changes", "rules", "words"),
    [
        ({}, {"min_positives": 1000}, "positive test patients, 1000 needed"),
        ({}, {"min_negatives": 1000}, "negative test ECGs, 1000 needed"),
        ({"champion": expit(5 * (LABELS - 0.5) + NOISE)}, {}, "not shown to be no worse than the live model"),
        (
            {"probabilities": expit(np.where(np.arange(COUNT) % 2, NOISE, ODDS)), "champion": expit(ODDS)},
            {"margin": 1.0},
            "worse than the live model for sex M",
        ),
        ({"baselines": {"age and sex": expit(3 * LABELS)}}, {}, "no better than age and sex"),
        ({"probabilities": expit(4 * ODDS)}, {}, "calibration slope"),
        ({"probabilities": expit(ODDS + 2)}, {}, "calibration intercept"),
    ],
)
def test_each_rule_refuses_what_it_is_for(changes: dict[str, Any], rules: dict[str, Any], words: str) -> None:
    found = refusals("x", judged(**changes), GateRules(**rules))
    assert any(words in reason for reason in found), found


def test_the_gate_can_demand_to_beat_any_rival_and_the_best() -> None:
    forest = {"random forest": expit(2 * ODDS + LABELS), **test_set().baselines}
    own = judged(baselines=forest)
    assert refusals("x", own, GateRules()) == [], "a rival that nobody demands to beat refuses nothing"
    for name in ("random forest", "best"):
        (reason,) = refusals("x", own, GateRules(must_beat=(name,)))
        assert "no better than random forest" in reason
    (reason,) = refusals("x", own, GateRules(must_beat=("S4D network",)))
    assert "not judged beside S4D network" in reason


@pytest.mark.parametrize(
    ("rival", "words"),
    [
        (expit(NOISE), "ECG-FM earns its keep here: AUROC"),
        (expit(ODDS + 3 * LABELS), "ECG-FM does not earn its keep here"),
        (expit(ODDS + 0.2 * NOISE), "cannot be told from"),
    ],
)
def test_one_sentence_says_whether_the_encoder_earns_its_keep(rival: np.ndarray, words: str) -> None:
    sentence = worth(judged(baselines={"random forest": rival}))
    assert words in sentence
    assert "random forest" in sentence
    assert worth(judged(baselines={})) == ""


def test_without_a_live_head_only_the_other_rules_count() -> None:
    assert refusals("x", judged(champion=None), GateRules()) == []
