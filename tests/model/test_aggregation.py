"""The log-odds of an averaged probability are scipy's to the last bit: results that were kept are compared by bits."""

import numpy as np
import pytest
from scipy.special import expit, log_expit, logit, logsumexp

from ecgfm.heads import aggregate_logit


@pytest.mark.parametrize("spread", [1.0, 5.0, 40.0])
@pytest.mark.parametrize("segments", [2, 3, 8])
def test_the_log_odds_of_a_mean_are_those_of_scipy(segments: int, spread: float) -> None:
    stream = np.random.default_rng(segments)
    for own in stream.normal(0, spread, (200, segments)).astype(np.float32).astype(np.float64):
        expected = logsumexp(log_expit(own)) - logsumexp(log_expit(-own))
        assert aggregate_logit(own, "mean") == float(expected)


def test_equal_segments_and_logits_beyond_every_probability_have_log_odds() -> None:
    assert aggregate_logit(np.array([0.5, 0.5, 0.5]), "mean") == pytest.approx(0.5)
    assert aggregate_logit(np.array([1e30, 1e30]), "mean") == 1e30
    found = aggregate_logit(np.array([-3.0, 1.0]), "mean")
    assert found == pytest.approx(logit(expit(np.array([-3.0, 1.0])).mean()))
