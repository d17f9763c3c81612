"""Calibration recovers known distortions through the aggregation of segments; operating points fulfil their rule."""

import numpy as np
import pytest
from scipy.special import expit

from ecgfm import metrics
from ecgfm.calibration import (
    CalibrationMethod,
    NoOperatingPoint,
    choose_threshold,
    fit,
    fit_beta,
    fit_isotonic,
    fit_platt,
)
from ecgfm.heads import Beta, HeadSpec, Isotonic, Platt, aggregate
from ecgfm.operating_rule import OperatingRule


def two_segments(count: int = 4000) -> tuple[np.ndarray, list[np.ndarray]]:
    """Labels, and segment logits three times too extreme and shifted by two."""
    stream = np.random.default_rng(1)
    odds = stream.normal(size=(count, 1)) + 0.3 * stream.normal(size=(count, 2))
    labels = (stream.random(count) < expit(odds).mean(axis=1)).astype(float)
    return labels, list(3 * odds + 2)


def test_platt_undoes_a_distortion_of_the_logits() -> None:
    labels, logits = two_segments(20000)
    platt = fit_platt(labels, logits, "mean")
    assert platt.slope == pytest.approx(1 / 3, abs=0.03)
    assert platt.intercept == pytest.approx(-2 / 3, abs=0.1)


@pytest.mark.parametrize("how", ["platt", "beta", "isotonic"])
def test_calibrated_probabilities_are_calibrated_per_ecg(how: CalibrationMethod) -> None:
    labels, logits = two_segments()
    fitted = fit(labels[:2000], logits[:2000], "mean", how)
    assert fitted is not None
    raw = np.array([aggregate(expit(own), "mean") for own in logits[2000:]])
    calibrated = np.array([aggregate(fitted.probabilities(own), "mean") for own in logits[2000:]])
    assert metrics.ece(labels[2000:], raw) > 0.15
    assert metrics.ece(labels[2000:], calibrated) < 0.05


def test_platt_fits_through_the_maximum_too() -> None:
    labels, logits = two_segments()
    platt = fit_platt(labels, logits, "max")
    probabilities = np.array([aggregate(platt.probabilities(own), "max") for own in logits])
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=0.01)


def test_a_beta_calibration_undoes_a_bend_that_platt_scaling_cannot() -> None:
    stream = np.random.default_rng(3)
    odds = 2 * stream.normal(size=20000)
    labels = (stream.random(20000) < expit(odds)).astype(float)
    bent = list(np.where(odds < 0, 3 * odds, odds)[:, None])
    beta, platt = fit_beta(labels, bent, "mean"), fit_platt(labels, bent, "mean")
    loss = {}
    for name, own in (("beta", beta), ("platt", platt)):
        found = np.array([own.probabilities(one)[0] for one in bent])
        loss[name] = -(labels * np.log(found) + (1 - labels) * np.log(1 - found)).mean()
    assert beta.a < 0.6 < beta.b
    assert loss["beta"] < loss["platt"] - 0.002


def test_few_positives_are_shrunk_towards_a_slope_of_1_and_many_are_not() -> None:
    def spread(count: int, **how: float) -> tuple[float, float]:
        """Mean and deviation of slopes over samples whose right slope is 1."""
        found = []
        for seed in range(30):
            stream = np.random.default_rng(seed)
            odds = 1.5 * stream.normal(size=(count, 1)) - 2
            labels = (stream.random(count) < expit(odds[:, 0])).astype(float)
            labels[:2] = 0, 1
            found.append(fit_platt(labels, list(odds), "mean", **how).slope)
        return float(np.mean(found)), float(np.std(found))

    plain, shrunk = spread(40), spread(40, slope_deviation=0.5)
    assert shrunk[1] < 0.7 * plain[1]
    assert shrunk[0] == pytest.approx(1, abs=0.2)
    labels, logits = two_segments(20000)
    assert fit_platt(labels, logits, "mean", slope_deviation=0.5).slope == pytest.approx(1 / 3, abs=0.03)


def test_auto_goes_by_the_rarer_kind() -> None:
    labels, logits = two_segments(900)
    assert isinstance(fit(labels, logits, "mean", "auto"), Beta)
    few = np.flatnonzero((labels == 0) | (np.cumsum(labels) <= 150))
    assert isinstance(fit(labels[few], [logits[i] for i in few], "mean", "auto"), Platt)
    assert fit(labels, logits, "mean", "none") is None


def test_useless_logits_are_calibrated_to_the_prevalence() -> None:
    stream = np.random.default_rng(0)
    labels = (np.arange(200) < 40).astype(float)
    platt = fit_platt(labels, list(-labels[:, None] + 0.1 * stream.normal(size=(200, 1))), "mean")
    assert platt.slope > 0
    assert platt.probabilities(np.zeros(1))[0] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_cannot_be_calibrated(label: float) -> None:
    labels, logits = np.full(5, label), [np.zeros(1)] * 5
    with pytest.raises(ValueError, match="both kinds are needed"):
        fit_platt(labels, logits, "mean")
    with pytest.raises(ValueError, match="both kinds are needed"):
        fit_isotonic(labels, logits)


def test_a_head_carries_an_isotonic_calibration_through_its_json() -> None:
    curve = Isotonic(logits=(-1.0, 0.0, 2.0), probabilities_at=(0.1, 0.4, 0.4))
    spec = HeadSpec(name="x", labels=("x",), target="x.", aggregation={"x": "mean"}, calibration={"x": curve})
    assert HeadSpec.from_json(spec.to_json()) == spec
    assert spec.segment_probabilities("x", np.array([-5.0, -0.5, 9.0])) == pytest.approx([0.1, 0.25, 0.4])


def test_a_head_carries_a_beta_calibration_through_its_json() -> None:
    beta = Beta(a=1.25, b=0.5, c=-0.75)
    spec = HeadSpec(name="x", labels=("x",), target="x.", aggregation={"x": "mean"}, calibration={"x": beta})
    assert HeadSpec.from_json(spec.to_json()) == spec
    same = Beta(a=1.5, b=1.5, c=-1.0).probabilities(np.array([-3.0, 0.0, 2.0]))
    assert same == pytest.approx(Platt(slope=1.5, intercept=-1.0).probabilities(np.array([-3.0, 0.0, 2.0])))
    with pytest.raises(ValueError, match="at least 0"):
        Beta(a=-0.1, b=1, c=0)


def test_falling_knots_are_refused() -> None:
    with pytest.raises(ValueError, match="must rise"):
        Isotonic(logits=(0.0, 1.0), probabilities_at=(0.5, 0.4))


@pytest.mark.parametrize(
    "rule",
    [
        OperatingRule(what="sensitivity", at_least=0.9),
        OperatingRule(what="specificity", at_least=0.8),
        OperatingRule(what="ppv", at_least=0.3, prevalence=0.1),
    ],
    ids=str,
)
def test_a_chosen_threshold_fulfils_its_rule_and_the_next_one_does_not(rule: OperatingRule) -> None:
    labels, logits = two_segments(500)
    probabilities = np.array([aggregate(expit(own), "mean") for own in logits])
    threshold = choose_threshold(labels, probabilities, rule)
    found = metrics.confusion(labels, probabilities, threshold)
    achieved = {"sensitivity": found.sensitivity, "specificity": found.specificity, "ppv": found.ppv_at(0.1)}[rule.what]
    assert achieved >= rule.at_least
    nearer = np.unique(probabilities)
    nearer = nearer[nearer > threshold][1] if rule.what == "sensitivity" else nearer[nearer < threshold][-1]
    beyond = metrics.confusion(labels, probabilities, float(nearer))
    lost = {"sensitivity": beyond.sensitivity, "specificity": beyond.specificity, "ppv": beyond.ppv_at(0.1)}[rule.what]
    assert lost <= achieved


def test_an_unreachable_rule_says_what_is_reachable() -> None:
    with pytest.raises(NoOperatingPoint, match=r"the best on these ECGs is 0\.0"):
        choose_threshold(
            np.array([1.0, 0, 1, 0]),
            np.array([0.1, 0.9, 0.2, 0.8]),
            OperatingRule(what="ppv", at_least=0.9, prevalence=0.01),
        )


def test_a_rule_needs_a_share_and_a_ppv_needs_its_prevalence() -> None:
    with pytest.raises(ValueError, match="no share"):
        OperatingRule(what="sensitivity", at_least=90)
    with pytest.raises(ValueError, match="needs the prevalence"):
        OperatingRule(what="ppv", at_least=0.3)
