"""Metrics agree with scikit-learn, with brute force or with arithmetic; intervals respect patients."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from ecgfm import metrics

STREAM = np.random.default_rng(7)
LABELS = STREAM.integers(0, 2, 300).astype(float)
SCORES = np.round(expit(STREAM.normal(size=300) + LABELS), 2)  # rounded, so that there are ties
OTHER = np.round(expit(STREAM.normal(size=300) + 0.5 * LABELS), 2)
WEIGHTS = STREAM.integers(0, 4, 300).astype(float)


def test_auroc_and_average_precision_are_those_of_scikit_learn() -> None:
    assert metrics.auroc(LABELS, SCORES) == pytest.approx(roc_auc_score(LABELS, SCORES), abs=1e-12)
    assert metrics.auroc(LABELS, SCORES, WEIGHTS) == pytest.approx(
        roc_auc_score(LABELS, SCORES, sample_weight=WEIGHTS), abs=1e-12
    )
    assert metrics.auprc(LABELS, SCORES) == pytest.approx(average_precision_score(LABELS, SCORES), abs=1e-12)
    assert metrics.auprc(LABELS, SCORES, WEIGHTS) == pytest.approx(
        average_precision_score(LABELS, SCORES, sample_weight=WEIGHTS), abs=1e-12
    )


def test_the_brier_score_is_that_of_scikit_learn() -> None:
    assert metrics.brier(LABELS, SCORES) == pytest.approx(brier_score_loss(LABELS, SCORES), abs=1e-12)
    assert metrics.brier(LABELS, SCORES, WEIGHTS) == pytest.approx(
        brier_score_loss(LABELS, SCORES, sample_weight=WEIGHTS), abs=1e-12
    )


def test_one_class_has_no_auroc() -> None:
    assert np.isnan(metrics.auroc(np.ones(5), np.arange(5)))
    assert np.isnan(metrics.auprc(np.zeros(5), np.arange(5)))
    assert np.isnan(metrics.calibration_slope(np.ones(5), np.linspace(0.1, 0.9, 5)))
    assert np.isnan(metrics.calibration_intercept(np.ones(5), np.linspace(0.1, 0.9, 5)))


def test_delong_variance_equals_that_of_all_pairs() -> None:
    found = metrics.delong(LABELS, SCORES, OTHER)
    positive, negative = LABELS == 1, LABELS == 0
    parts = []
    for scores in (SCORES, OTHER):
        pairs = scores[positive][:, None] - scores[negative][None]
        wins = (pairs > 0) + 0.5 * (pairs == 0)
        parts.append((wins.mean(axis=1), wins.mean(axis=0)))
    variance = np.var(parts[0][0] - parts[1][0], ddof=1) / positive.sum()
    variance += np.var(parts[0][1] - parts[1][1], ddof=1) / negative.sum()
    difference = roc_auc_score(LABELS, SCORES) - roc_auc_score(LABELS, OTHER)
    assert found.difference.value == pytest.approx(difference, abs=1e-12)
    assert found.difference.high - found.difference.low == pytest.approx(2 * 1.959964 * np.sqrt(variance), rel=1e-6)
    assert found.p_value < 0.05


def test_delong_of_a_score_with_itself_finds_nothing() -> None:
    found = metrics.delong(LABELS, SCORES, SCORES)
    assert found.difference.value == 0
    assert found.p_value == 1


def test_delong_refuses_a_single_positive() -> None:
    with pytest.raises(ValueError, match="at least two positive"):
        metrics.delong([1, 0, 0], [0.3, 0.2, 0.1], [0.3, 0.2, 0.1])


def test_confusion_counts_and_rates() -> None:
    found = metrics.confusion([1, 1, 1, 0, 0], [0.9, 0.5, 0.1, 0.5, 0.2], threshold=0.5)
    assert (found.true_positive, found.false_negative, found.false_positive, found.true_negative) == (2, 1, 1, 1)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.specificity == pytest.approx(1 / 2)
    assert found.ppv_at(0.6) == pytest.approx(found.ppv)
    assert found.ppv_at(0.01) == pytest.approx(0.01 * 2 / 3 / (0.01 * 2 / 3 + 0.99 / 2))


def test_calibration_is_that_of_a_logistic_regression() -> None:
    odds = metrics.log_odds(SCORES)
    reference = LogisticRegression(C=1e12, tol=1e-10).fit(odds[:, None], LABELS)
    assert metrics.calibration_slope(LABELS, SCORES) == pytest.approx(reference.coef_[0, 0], rel=1e-4)


def test_true_probabilities_are_calibrated_and_distorted_ones_are_not() -> None:
    stream = np.random.default_rng(0)
    odds = stream.normal(size=20000)
    labels = (stream.random(20000) < expit(odds)).astype(float)
    assert metrics.calibration_slope(labels, expit(odds)) == pytest.approx(1, abs=0.06)
    assert metrics.calibration_intercept(labels, expit(odds)) == pytest.approx(0, abs=0.05)
    assert metrics.ece(labels, expit(odds)) < 0.02
    assert metrics.calibration_slope(labels, expit(2 * odds)) == pytest.approx(0.5, abs=0.03)
    assert metrics.calibration_intercept(labels, expit(odds + 1)) == pytest.approx(-1, abs=0.05)
    assert metrics.ece(labels, expit(odds + 1)) > 0.1


def test_weighting_an_ecg_twice_is_having_it_twice() -> None:
    twice = np.repeat(np.arange(300), WEIGHTS.astype(int))
    for metric in (metrics.auroc, metrics.auprc, metrics.calibration_slope, metrics.calibration_intercept):
        assert metric(LABELS, SCORES, WEIGHTS) == pytest.approx(metric(LABELS[twice], SCORES[twice]), rel=1e-6)


def test_reliability_bins_hold_every_ecg_and_their_share_lies_in_its_interval() -> None:
    bins = metrics.reliability(LABELS, SCORES)
    assert sum(one.count for one in bins) == 300
    assert [one.predicted for one in bins] == sorted(one.predicted for one in bins)
    assert all(one.low <= one.observed <= one.high for one in bins)


def test_net_benefit_of_all_and_none() -> None:
    prevalence = LABELS.mean()
    assert metrics.net_benefit(LABELS, 1.0, 0.2) == pytest.approx(prevalence - (1 - prevalence) * 0.25)
    assert metrics.net_benefit(LABELS, 0.0, 0.2) == 0


def test_bootstrap_draws_patients_not_ecgs() -> None:
    """Ten copies of each ECG under its patient add no information, so the interval must stay as wide."""
    few = {"auroc": lambda w: metrics.auroc(LABELS, SCORES, w)}
    once = metrics.bootstrap(few, np.arange(300).tolist(), replicates=200)["auroc"]
    labels, scores = np.tile(LABELS, 10), np.tile(SCORES, 10)
    many = {"auroc": lambda w: metrics.auroc(labels, scores, w)}
    copied = metrics.bootstrap(many, np.tile(np.arange(300), 10).tolist(), replicates=200)["auroc"]
    assert (copied.value, copied.low, copied.high) == pytest.approx((once.value, once.low, once.high), abs=1e-9)
    assert once.low < once.value < once.high


def test_bootstrap_is_reproducible_and_leaves_out_undefined_replicates() -> None:
    labels = np.array([1.0, 0, 0, 0])
    statistic = {"auroc": lambda w: metrics.auroc(labels, [0.9, 0.1, 0.2, 0.3], w)}
    first, second = (metrics.bootstrap(statistic, list("abcd"), replicates=50, seed=3) for _ in range(2))
    assert first == second
    assert first["auroc"].value == 1.0
