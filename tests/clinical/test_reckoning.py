"""Rate, axis and pacing as they are computed, and what is different between two ECGs."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from ecgfm_clinical.ecg.axis import frontal_axis
from ecgfm_clinical.ecg.median_beat import MedianBeat
from ecgfm_clinical.ecg.reckoning import Reckoned, reckoned
from ecgfm_clinical.operate import changes
from ecgfm_clinical.operate.distances import distance
from ecgfm_clinical.staging.records import Score, Scoring
from ecgfm_connectors.ecg import LEADS
from tests.helpers.fakes import make_ecg


def beat(degrees: float, *, t_wave: float = 0.0) -> MedianBeat:
    """A QRS complex that is a bell of 80 ms seen from this direction, and a T wave from another."""
    time = np.arange(450) / 500 - 0.35
    qrs, t = np.exp(-((time / 0.02) ** 2)), t_wave * np.exp(-(((time - 0.3) / 0.05) ** 2))
    signal = np.zeros((12, 450))
    towards = math.radians(degrees)
    one, two = math.cos(towards), math.cos(towards - math.radians(60))
    for lead, share in (("I", one), ("II", two), ("III", two - one), ("aVF", two - one / 2)):
        signal[LEADS.index(lead)] = share * qrs + t
    return MedianBeat(signal=signal, sampling_rate=500.0, beats=9)


@pytest.mark.parametrize("degrees", [-170, -90, -45, 0, 30, 60, 90, 135])
@pytest.mark.parametrize("t_wave", [0.0, 0.4])
def test_the_axis_is_that_of_the_qrs_complex(degrees: float, t_wave: float) -> None:
    found = frontal_axis(beat(degrees, t_wave=t_wave))
    assert found is not None
    assert abs((found - degrees + 180) % 360 - 180) < 4


def test_an_axis_that_points_nowhere_is_none() -> None:
    one = beat(0)
    signal = one.signal.copy()
    up_and_down = np.concatenate([np.hanning(20), -np.hanning(20)])
    for lead in ("I", "aVF"):
        signal[LEADS.index(lead)] = 0
        signal[LEADS.index(lead), 155:195] = up_and_down
    assert frontal_axis(replace(one, signal=signal)) is None
    gone = one.signal.copy()
    gone[LEADS.index("aVF")] = np.nan
    assert frontal_axis(replace(one, signal=gone)) is None


def test_a_recording_without_beats_has_no_figures() -> None:
    flat = replace(make_ecg(1), signal=np.zeros((12, 5000), np.float32))
    assert reckoned(flat) == Reckoned(rate=None, axis=None, beats=0, spikes=0, device_on_pacing=None)
    slow = replace(make_ecg(1), sampling_rate=100.0, statements=("Electronic ventricular pacemaker",))
    assert reckoned(slow).spikes is None
    assert reckoned(slow).device_on_pacing == "stated"


def test_a_real_recording_has_figures() -> None:
    found = reckoned(make_ecg(1))
    assert found.rate == pytest.approx(63, abs=1)
    assert found.axis == pytest.approx(52, abs=3)
    assert found.beats >= 8


def test_leads_that_are_missing_leave_the_figures_of_the_others() -> None:
    signal = make_ecg(1).signal.copy()
    signal[[6, 11]] = np.nan
    found = reckoned(replace(make_ecg(1), signal=signal))
    assert found.axis == pytest.approx(52, abs=3)
    signal = signal.copy()
    signal[5] = np.nan
    assert reckoned(replace(make_ecg(1), signal=signal)).axis is None


def score(probability: float | None, *, head: str = "reduced_lvef", positive: bool | None = None) -> Score:
    return Score(
        head=head,
        label=head,
        probability=probability,
        logit=None,
        threshold=None if positive is None else 0.5,
        positive=positive,
        reasons=(("paced-rhythm", "paced"),) if probability is None else (),
    )


def scoring(*scores: Score, model: str = "a") -> Scoring:
    return Scoring(
        ecg_id=1,
        model_id=model * 64,
        model_name="test",
        model_version="1",
        preprocessing="1",
        runtime="null",
        input_digest="",
        scored_at=datetime(2031, 1, 1, tzinfo=UTC),
        scores=scores,
    )


def answered(before: Scoring, here: Scoring) -> list[tuple[str, str, str, bool, str]]:
    found = changes.answered(before, here)
    return [(one.what, one.then, one.now, one.is_news, one.remark) for one in found]


def test_an_answer_is_news_where_it_is_another_not_where_its_number_moves() -> None:
    before = scoring(score(0.2, positive=False), score(0.4, head="troponin", positive=False))
    here = scoring(score(0.6, positive=True), score(0.3, head="troponin", positive=False))
    assert answered(before, here) == [
        ("reduced_lvef", "0.200, negative", "0.600, positive", True, ""),
        ("troponin", "0.400, negative", "0.300, negative", False, ""),
    ]


def test_a_head_that_fell_silent_is_one_line_and_two_models_are_not_compared_silently() -> None:
    before = scoring(score(0.2, positive=False), score(0.4))
    here = scoring(score(None), score(None), model="b")
    assert answered(before, here) == [("head reduced_lvef", "answered", "not evaluable", True, "")]
    ((*_, remark),) = answered(scoring(score(0.2)), scoring(score(0.2), model="b"))
    assert "two models" in remark
    assert answered(here, here) == []


def test_how_far_an_answer_is_from_the_other_one_is_said_in_words() -> None:
    assert distance(score(0.6123, positive=True)) == (
        "positive: 0.6123 is 0.1123 above the threshold of 0.5000; it would be negative at any threshold above 0.6123"
    )
    assert distance(score(0.2, positive=False)).endswith("it would be positive at a threshold of 0.2000 or less")
    assert "no operating point" in distance(score(0.2))
    assert distance(score(None)) == ""
