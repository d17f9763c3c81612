"""Predictions: the same bits in any company, aggregated by name, refused with coded reasons."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

import ecgfm
from ecgfm.checkpoint import Bundle
from ecgfm.errors import BundleError, NoHead, RuntimeUnavailable, SignalError
from ecgfm.heads import Platt
from ecgfm.network import EcgFm
from ecgfm.predictor import HeadPrediction, Prediction, Predictor
from ecgfm.provenance import Provenance
from ecgfm.records import Record
from ecgfm.signal import prepare
from tests.helpers.tiny_models import TINY, tiny_network

pytestmark = pytest.mark.slow(10)


@pytest.fixture(scope="module")
def predictor(bundle: Bundle) -> Predictor:
    return Predictor.from_bundle(bundle.path, device="cpu")


def by_label(prediction: Prediction) -> dict[str, HeadPrediction]:
    return {one.label: one for one in prediction.heads}


def test_probabilities_are_those_of_the_network(predictor: Predictor, bundle: Bundle, records: list[Record]) -> None:
    network = ecgfm.load(bundle.path)
    for record, prediction in zip(records[:8], predictor.predict(records[:8]), strict=True):
        source = torch.from_numpy(prepare(record.signal, record.sampling_rate))
        expected = expit(network(source).double().numpy())  # (segments, 19)
        assert prediction.segments == len(source)
        for column, one in enumerate(prediction.heads):
            assert one.label == network.labels[column]
            np.testing.assert_allclose(one.segment_probabilities, expected[:, column], atol=1e-6)
            seen_once = one.label in {"Poor data quality", "Ventricular tachycardia", "Electronic pacemaker"}
            seen_once |= one.label.startswith(("Premature", "Supraventricular"))
            together = expected[:, column].max() if seen_once else expected[:, column].mean()
            assert one.probability == pytest.approx(together, abs=1e-6)
            assert one.logit == pytest.approx(logit(together), abs=1e-5)


def test_same_bits_alone_first_last_and_among_others(predictor: Predictor, records: list[Record]) -> None:
    alone = [predictor.predict([record])[0] for record in records]
    order = np.random.default_rng(3).permutation(len(records))
    for chosen in (range(len(records)), reversed(range(len(records))), order, order[:7]):
        indices = [int(index) for index in chosen]
        together = predictor.predict([records[index] for index in indices])
        assert together == [alone[index] for index in indices]


def test_same_bits_beside_records_that_cannot_be_scored(predictor: Predictor, records: list[Record]) -> None:
    broken = Record(signal=np.full((12, 5000), np.nan, np.float32), sampling_rate=500)
    short = Record(signal=records[0].signal[:, :100], sampling_rate=500)
    mixed = predictor.predict([broken, records[0], short, records[1], broken])
    assert [mixed[1], mixed[3]] == predictor.predict(records[:2])
    assert [one.reasons for one in mixed] == [("nan-lead",), (), ("too-short",), (), ("nan-lead",)]


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (lambda signal: signal[:, :2499], ("too-short",)),
        (lambda signal: signal[:, :0], ("too-short",)),
        (lambda signal: np.where(np.arange(12)[:, None] == 4, np.nan, signal), ("nan-lead",)),
        (lambda signal: np.where(np.arange(12)[:, None] == 4, np.inf, signal), ("nan-lead",)),
        (lambda signal: np.where(np.arange(12)[:, None] == 4, 0.25, signal), ("constant-lead",)),
    ],
)
def test_what_cannot_be_scored_has_reasons_and_no_number(
    predictor: Predictor, records: list[Record], change: object, reasons: tuple[str, ...]
) -> None:
    assert callable(change)
    (prediction,) = predictor.predict([Record(signal=change(records[0].signal), sampling_rate=500)])
    assert prediction.reasons == reasons
    assert prediction.heads == ()
    assert prediction.segments == 0


def test_wrong_shape_is_an_error(predictor: Predictor) -> None:
    with pytest.raises(SignalError, match="12, samples"):
        predictor.predict([Record(signal=np.zeros((8, 5000), np.float32), sampling_rate=500)])


def test_digest_names_signal_and_rate(records: list[Record]) -> None:
    first = records[0]
    assert first.digest == Record(signal=first.signal.copy(order="F"), sampling_rate=500.0).digest
    assert first.digest != Record(signal=first.signal, sampling_rate=501).digest
    assert first.digest != Record(signal=first.signal + np.float32(1e-3), sampling_rate=500).digest


def test_calibration_and_threshold_are_the_bundles(tmp_path: Path, predictor: Predictor, records: list[Record]) -> None:
    network = tiny_network()
    head = replace(
        network.specs[0],
        calibration={"reduced_lvef": Platt(slope=2.0, intercept=-1.0)},
        operating_points={"reduced_lvef": 0.125},
    )
    Bundle.write(
        tmp_path / "b",
        network,
        name="x",
        version="1",
        demo=True,
        provenance=Provenance(),
        heads=(head, *network.specs[1:]),
    )
    one = by_label(Predictor.from_bundle(tmp_path / "b", device="cpu").predict(records[1:2])[0])["reduced_lvef"]
    raw = by_label(predictor.predict(records[1:2])[0])["reduced_lvef"]
    assert one.logit == raw.logit
    calibrated = expit(2 * logit(raw.segment_probabilities) - 1)
    np.testing.assert_allclose(one.segment_probabilities, calibrated, atol=1e-9)
    assert one.threshold == 0.125
    assert raw.threshold is None


def test_progress_counts_every_record(predictor: Predictor, records: list[Record]) -> None:
    seen: list[tuple[int, int]] = []
    predictor.predict(records[:5], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_embeddings_are_the_mean_over_segments(predictor: Predictor, bundle: Bundle, records: list[Record]) -> None:
    short = Record(signal=records[0].signal[:, :100], sampling_rate=500)
    found = predictor.embed([records[0], short])
    assert found[1] is None
    expected = ecgfm.load(bundle.path).embed(torch.from_numpy(prepare(records[0].signal, 500))).mean(0)
    assert found[0] is not None
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_model_without_heads_embeds_only(tmp_path: Path, records: list[Record]) -> None:
    Bundle.write(tmp_path / "b", EcgFm(TINY), name="x", version="1", demo=True, provenance=Provenance())
    predictor = Predictor.from_bundle(tmp_path / "b", device="cpu")
    with pytest.raises(NoHead, match="has no head"):
        predictor.predict(records[:1])
    (embedding,) = predictor.embed(records[:1])
    assert embedding is not None
    assert embedding.shape == (TINY.width,)


def test_bundle_of_another_preprocessing_is_refused(tmp_path: Path) -> None:
    Bundle.write(
        tmp_path / "b",
        tiny_network(),
        name="x",
        version="1",
        demo=True,
        provenance=Provenance(),
        preprocessing="other/1",
    )
    with pytest.raises(BundleError, match="other/1"):
        Predictor.from_bundle(tmp_path / "b", device="cpu")


def test_unknown_runtime_and_device(bundle: Bundle) -> None:
    with pytest.raises(RuntimeUnavailable, match="no runtime 'abacus'"):
        Predictor.from_bundle(bundle.path, runtime="abacus")
    with pytest.raises(RuntimeUnavailable):
        Predictor.from_bundle(bundle.path, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeUnavailable, match="no CUDA device"):
            Predictor.from_bundle(bundle.path, device="cuda")
