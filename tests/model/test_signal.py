"""Preprocessing equals fairseq-signals' pipeline on recorded cases and on a published preprocessed sample."""

import csv
from pathlib import Path

import numpy as np
import pytest
import scipy.interpolate
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from ecgfm.errors import SignalError
from ecgfm.signal import SEGMENT_SAMPLES, checked, prepare, reasons_not_scored, resample, segments, zscore

TOLERANCE = 1e-6
CASES = [
    "fs500_n5000",
    "fs400_n2934",
    "fs400_n4096",
    "fs1000_n10000",
    "fs257_n2570",
    "fs250_n2500",
    "fs500_n5200",
    "fs500_n2000",
    "fs100_n1000",
]


@pytest.mark.parametrize("case", CASES)
def test_recorded_case(reference: Path, case: str) -> None:
    rate = int(case.split("_")[0].removeprefix("fs"))
    with np.load(reference / "preprocess_ref.npz") as arrays:
        signal, expected, count = arrays[f"{case}.org"], arrays[f"{case}.pre"], int(arrays[f"{case}.n_segments"])
    whole = zscore(resample(checked(signal, rate), rate))
    np.testing.assert_allclose(whole, expected, rtol=0, atol=TOLERANCE, equal_nan=True)
    found = prepare(signal, rate)
    assert found.shape == (count, 12, SEGMENT_SAMPLES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, segments(expected.astype(np.float64)), rtol=0, atol=TOLERANCE, equal_nan=True)


@pytest.mark.parametrize("case", ["fs400_n4096", "fs1000_n10000"])
def test_published_quickstart_chain(reference: Path, case: str) -> None:
    rate = int(case.split("_")[0].removeprefix("fs"))
    with np.load(reference / "preprocess_ref.npz") as arrays:
        np.testing.assert_allclose(prepare(arrays[f"{case}.org"], rate), arrays[f"{case}.quickstart"], atol=TOLERANCE)


def test_every_recorded_case_is_tested(reference: Path) -> None:
    with np.load(reference / "preprocess_ref.npz") as arrays:
        assert {name.removesuffix(".org") for name in arrays.files if name.endswith(".org")} == set(CASES)


def test_reasons_of_recorded_cases(reference: Path) -> None:
    with np.load(reference / "preprocess_ref.npz") as arrays:
        found = {
            case: reasons_not_scored(arrays[f"{case}.org"], int(case.split("_")[0].removeprefix("fs")))
            for case in CASES
        }
    expected: dict[str, tuple[str, ...]] = dict.fromkeys(CASES, ())
    expected |= {"fs1000_n10000": ("constant-lead",), "fs250_n2500": ("nan-lead",), "fs500_n2000": ("too-short",)}
    assert found == expected


def test_one_nan_sample_turns_its_lead_alone_nan() -> None:
    signal = np.random.default_rng(0).normal(size=(12, 2500))
    signal[3, 7] = np.nan
    prepared = prepare(signal, 500)
    assert np.isnan(prepared[:, 3]).all()
    assert np.isfinite(np.delete(prepared, 3, axis=1)).all()


def test_a_constant_lead_becomes_zero_even_where_its_mean_is_not_exact() -> None:
    signal = np.random.default_rng(0).normal(size=(12, 5000)).astype(np.float32)
    signal[2] = 0.1
    assert not prepare(signal, 500)[:, 2].any()


@pytest.mark.parametrize(
    ("shape", "rate"), [((12,), 500), ((8, 5000), 500), ((12, 5000), 0), ((12, 5000), float("nan"))]
)
def test_wrong_shape_or_rate_is_an_error(shape: tuple[int, ...], rate: float) -> None:
    with pytest.raises(SignalError):
        prepare(np.zeros(shape), rate)


@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-10, 10))
def test_unit_and_offset_do_not_matter(scale: float, offset: float) -> None:
    signal = np.random.default_rng(0).normal(size=(12, 2500))
    np.testing.assert_allclose(prepare(signal * scale + offset, 500), prepare(signal, 500), atol=1e-5)


def code15() -> Path:
    folder = Path(__file__).parents[3] / "shared" / "corpus" / "mat_code15"
    if not folder.is_dir():
        pytest.skip("the CODE-15 sample recordings are not on this machine")
    return folder


def test_code15_sample_shipped_with_ecg_fm() -> None:
    files = sorted(code15().rglob("*.mat"))
    assert files
    table = {row["save_file"]: row for row in csv.DictReader(next(code15().rglob("meta.csv")).open())}
    for file in files:
        content = scipy.io.loadmat(file)
        signal, rate = content["feats"], float(content["org_sample_rate"].item())
        published = [float(table[file.name][f"mean_{lead}"]) for lead in range(12)]
        np.testing.assert_allclose(signal.mean(axis=1, dtype=np.float64), published, rtol=1e-6, atol=1e-6)
        samples = signal.shape[1]
        target = int(samples * 500 / rate)
        resampled = scipy.interpolate.interp1d(np.linspace(0, target - 1, samples), signal.astype(np.float64))(
            np.arange(target)
        )
        expected = (resampled - resampled.mean(1, keepdims=True)) / resampled.std(1, keepdims=True)
        found = prepare(signal, rate)
        assert found.shape[0] == target // SEGMENT_SAMPLES >= 1
        joined = np.concatenate(list(found), axis=1)
        np.testing.assert_allclose(joined, expected[:, : joined.shape[1]], atol=TOLERANCE)
