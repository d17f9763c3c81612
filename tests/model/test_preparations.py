"""Two ways of cutting a record: the reference's, and one by the clock that gives ten seconds their two segments."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ecgfm
from ecgfm.checkpoint import Bundle
from ecgfm.errors import BundleError, SignalError
from ecgfm.explain import explain
from ecgfm.finetuning.candidate import Model, joined, without
from ecgfm.finetuning.embedding import encoder_digest
from ecgfm.finetuning.trained import with_head
from ecgfm.predictor import Predictor
from ecgfm.provenance import Provenance
from ecgfm.records import Record
from ecgfm.signal import (
    BY_CLOCK,
    PREPROCESSING,
    SEGMENT_SAMPLES,
    prepare,
    resample,
    segment_count,
    segment_starts,
    zscore,
)
from tests.helpers.tiny_models import tiny_network

#: (samples, Hz) of recordings that are ten seconds by their clock and one segment by the reference's arithmetic
TEN_SECONDS = [(3333, 333.33), (5000, 500.05), (4970, 500.0), (4880, 500.0), (2499, 250.0)]


def waves(samples: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return np.random.default_rng(4).normal(size=(12, samples)).cumsum(axis=1)


@pytest.mark.parametrize(("samples", "rate"), TEN_SECONDS)
def test_ten_seconds_by_the_clock_are_two_segments(samples: int, rate: float) -> None:
    assert segment_count(samples, rate) == len(prepare(waves(samples), rate)) == 1
    assert segment_count(samples, rate, BY_CLOCK) == len(prepare(waves(samples), rate, BY_CLOCK)) == 2


@pytest.mark.parametrize(("samples", "rate"), TEN_SECONDS)
def test_the_two_segments_reach_from_the_first_sample_to_the_last(samples: int, rate: float) -> None:
    signal = waves(samples)
    whole = zscore(resample(signal, rate))
    first, last = prepare(signal, rate, BY_CLOCK)
    np.testing.assert_array_equal(first, whole[:, :SEGMENT_SAMPLES].astype(np.float32))
    np.testing.assert_array_equal(last, whole[:, -SEGMENT_SAMPLES:].astype(np.float32))


@given(samples=st.integers(0, 60_000))
def test_elsewhere_both_cut_alike(samples: int) -> None:
    reference, clock = segment_starts(samples), segment_starts(samples, BY_CLOCK)
    short = -samples % SEGMENT_SAMPLES
    if samples < SEGMENT_SAMPLES or short == 0 or short > 125:
        assert clock == reference
    else:
        assert len(clock) == len(reference) + 1
        assert clock[0] == 0
        assert clock[-1] + SEGMENT_SAMPLES == samples
        assert max(one + SEGMENT_SAMPLES - other for one, other in pairwise(clock)) <= short + 1


def test_the_reference_stays_the_default() -> None:
    signal = waves(4970)
    np.testing.assert_array_equal(prepare(signal, 500), prepare(signal, 500, PREPROCESSING))


def test_an_unknown_preparation_is_an_error() -> None:
    with pytest.raises(SignalError, match="no preparation"):
        prepare(waves(5000), 500, "another/1")


@pytest.fixture
def by_clock(tmp_path: Path, bundle: Bundle) -> Bundle:
    """The same weights under the other preparation."""
    return Bundle.write(
        tmp_path / "clock",
        bundle.network(),
        name="x",
        version="2",
        demo=True,
        provenance=Provenance(),
        preprocessing=BY_CLOCK,
    )


def test_a_bundle_names_its_own(bundle: Bundle, by_clock: Bundle, records: list[Record]) -> None:
    assert bundle.preprocessing == PREPROCESSING
    ours, theirs = (Predictor.from_bundle(one.path, device="cpu") for one in (by_clock, bundle))
    short = replace(records[0], signal=records[0].signal[:, :4970])
    assert [one.predict([short])[0].segments for one in (theirs, ours)] == [1, 2]
    whole = theirs.predict(records[:4])
    assert [one.heads for one in ours.predict(records[:4])] == [one.heads for one in whole]
    assert {one.preprocessing for one in ours.predict(records[:1])} == {BY_CLOCK}


def test_embeddings_and_saliency_follow_the_bundle(by_clock: Bundle, records: list[Record]) -> None:
    short = records[0].signal[:, :4970]
    network = ecgfm.load(by_clock.path)
    assert network.preprocessing == BY_CLOCK
    expected = network.embed(torch.from_numpy(prepare(short, 500, BY_CLOCK))).detach().mean(0)
    (found,) = Predictor.from_bundle(by_clock.path, device="cpu").embed([Record(signal=short, sampling_rate=500)])
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(explain(network, short, 500).weights) == 4970


def test_what_is_trained_from_a_network_keeps_its_preparation() -> None:
    base = tiny_network()
    base.preprocessing = BY_CLOCK
    assert encoder_digest(base) != encoder_digest(tiny_network())
    model = Model(network=base, specs=base.specs, origin="x")
    trained = with_head(base, base.specs[0])
    assert trained.preprocessing == BY_CLOCK
    assert joined(model, trained, base.specs[0]).network.preprocessing == BY_CLOCK
    assert without(model, ["troponin"]).network.preprocessing == BY_CLOCK


def test_a_preparation_of_another_program_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    other = Bundle.write(
        tmp_path / "other",
        bundle.network(),
        name="x",
        version="2",
        demo=True,
        provenance=Provenance(),
        preprocessing="other/9",
    )
    with pytest.raises(BundleError, match="other/9"):
        Predictor.from_bundle(other.path, device="cpu")
