"""Invented outcomes follow their written rules: what should be likelier is, values stay in the laboratory's range."""

import numpy as np
import pytest
from numpy.random import default_rng

from ecgfm_clinical.demo import outcomes
from ecgfm_clinical.ecg.beats import r_peaks
from ecgfm_clinical.shipped import recordings

SIGNAL = recordings.load(0)


def drawn(findings: tuple[str, ...], age: float = 60.0, seeds: int = 60) -> list[outcomes.Simulated]:
    odds = outcomes.log_odds(SIGNAL, 500.0, findings, age)
    return [outcomes.draw(odds, default_rng(seed)) for seed in range(seeds)]


@pytest.mark.parametrize("finding", ["wide QRS", "paced", "atrial fibrillation"])
def test_reduced_lvef_is_likelier_with(finding: str) -> None:
    assert drawn((finding,))[0].reduced_lvef_probability > drawn(())[0].reduced_lvef_probability


def test_troponin_is_likelier_with_st_elevation() -> None:
    assert drawn(("ST elevation",))[0].troponin_probability > 0.8
    assert drawn(())[0].troponin_probability < 0.2


def test_a_reduced_lvef_raises_troponin_as_often_as_in_heart_failure_clinics() -> None:
    many = drawn(("wide QRS",), seeds=600)
    share = np.mean([one.troponin_above for one in many if one.reduced_lvef])
    assert share == pytest.approx(0.57, abs=0.12)
    assert np.mean([one.troponin_above for one in many if not one.reduced_lvef]) < 0.2


def test_age_raises_both() -> None:
    young, old = drawn((), age=30)[0], drawn((), age=85)[0]
    assert old.reduced_lvef_probability > young.reduced_lvef_probability
    assert old.troponin_probability > young.troponin_probability


def test_outcomes_occur_as_often_as_the_rule_says() -> None:
    many = drawn(("wide QRS",), seeds=400)
    share = np.mean([one.reduced_lvef for one in many])
    assert share == pytest.approx(many[0].reduced_lvef_probability, abs=0.08)


def test_values_are_what_laboratories_report() -> None:
    for one in (*drawn(("ST elevation",)), *drawn(())):
        assert 10 <= one.lvef <= 75
        assert one.lvef == round(one.lvef)
        assert one.reduced_lvef == (one.lvef <= 40)
        assert 3 <= one.troponin <= 10_000
        assert one.troponin_above == (one.troponin > outcomes.UPPER_REFERENCE_LIMIT)


def test_an_outcome_is_drawn_by_the_log_odds_of_its_ecg() -> None:
    (expected,) = drawn(("wide QRS",), age=70.0, seeds=1)
    assert outcomes.simulate(SIGNAL, 500.0, ("wide QRS",), 70.0, default_rng(0)) == expected


def test_r_share_sees_the_r_wave_grow_from_v1_to_v5() -> None:
    peaks = r_peaks(SIGNAL, 500.0)
    shares = [outcomes.r_share(SIGNAL, 500.0, lead, peaks) for lead in ("V1", "V5")]
    assert 0.0 <= shares[0] < 0.5 < shares[1] <= 1.0


def test_r_share_of_a_flat_lead_is_neither() -> None:
    flat = np.zeros((12, 5000))
    assert outcomes.r_share(flat, 500.0, "V1", r_peaks(flat, 500.0)) == 0.5
