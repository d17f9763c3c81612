"""Clean ECGs are scored, damaged ones are answered with the reason: on generated recordings, and on PTB-XL
where present.
"""

import re
from datetime import UTC, date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecgfm_clinical.demo import alterations
from ecgfm_clinical.ecg import evaluability
from ecgfm_clinical.ecg.evaluability import judge, signal_reasons
from ecgfm_clinical.ecg.pacing import pacing_spikes
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg, Finding
from ecgfm_connectors.files import payload
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.reading import read
from ecgfm_connectors.statement import Statement
from tests.helpers.fakes import make_ecg

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
CONTEXT = ReadingContext(default_authority="TEST", zone=UTC)


def ecg(signal: NDArray[np.floating], rate: float = 500.0, **changes: object) -> Ecg:
    return make_ecg(1, signal, sampling_rate=rate, **changes)


def codes(one: Ecg, rules: HeadRules | None = None) -> set[str]:
    return {reason.code for reason in judge(one, rules or HeadRules())}


@pytest.fixture
def clean() -> NDArray[np.float64]:
    return recordings.load(0)


def test_every_shipped_recording_is_evaluable() -> None:
    assert {index: codes(ecg(recordings.load(index))) for index in range(recordings.count())} == {
        index: set() for index in range(recordings.count())
    }


@pytest.mark.parametrize(
    ("alteration", "expected"),
    [
        (alterations.wide_qrs, set()),
        (alterations.st_elevation, set()),
        (alterations.atrial_fibrillation, set()),
        (alterations.noisy, {"noise"}),
        (alterations.too_short, {"too-short"}),
        (alterations.lead_off, {"flat-lead"}),
        (alterations.lead_missing, {"missing-lead"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("index", range(0, 24, 4))
def test_alterations_are_judged_for_what_they_are(
    alteration: alterations.Alteration, expected: set[str], index: int
) -> None:
    altered = alteration(recordings.load(index), 500.0, np.random.default_rng(index))
    assert codes(ecg(altered)) == expected


@pytest.mark.slow
def test_a_recording_of_twenty_minutes_is_no_resting_ecg(clean: NDArray[np.float64]) -> None:
    long = ecg(np.tile(clean, (1, 120)))
    assert codes(long) == {"too-long"}
    assert codes(long, HeadRules(max_seconds=1200)) == codes(long, HeadRules(allow=("too-long",))) == set()
    assert codes(ecg(np.tile(clean, (1, 12)))) == set()


def test_missing_samples_inside_a_lead_are_named(clean: NDArray[np.float64]) -> None:
    clean[7, 1000:1200] = np.nan
    (reason,) = signal_reasons(ecg(clean))
    assert (reason.code, reason.text.split(":")[0]) == ("nan-sample", "V2")


@pytest.mark.parametrize("factor", [1000.0, 5.0, 0.2, 0.001])
def test_a_wrong_unit_or_gain_is_noticed(clean: NDArray[np.float64], factor: float) -> None:
    assert "amplitude-implausible" in codes(ecg(clean * factor))


def test_a_clipped_lead_is_noticed(clean: NDArray[np.float64]) -> None:
    clean[9] = np.clip(4 * clean[9], -0.4, 0.4)
    assert "clipped-lead" in codes(ecg(clean))


@pytest.mark.parametrize("rate", [100.0, 250.0, 500.0, 1000.0])
def test_the_quick_estimate_of_noise_errs_less_than_it_is_trusted(rate: float) -> None:
    stream = np.random.default_rng(7)
    for index in range(6):
        noise = stream.normal(0, stream.uniform(0.01, 0.3, (12, 1)), (12, int(10 * rate)))
        signal = (np.resize(recordings.load(index), noise.shape) + noise).astype(np.float32)
        exact = evaluability.between_beats(signal, rate)
        assert evaluability._quick_between_beats(signal, rate) == pytest.approx(exact, rel=0.005)
        assert (evaluability._is_noisy(signal, rate) == (exact > evaluability.NOISE_MV)).all()


@pytest.mark.parametrize(("seconds", "flat"), [(0.99, False), (1.0, True)])
def test_a_lead_is_flat_from_one_second_on(clean: NDArray[np.float64], seconds: float, flat: bool) -> None:
    clean[6, 700 : 700 + round(500 * seconds)] = 0.123
    clean[6, 2000:2200] = 0.456  # a second pause adds nothing to the first
    assert ("flat-lead" in codes(ecg(clean))) is flat


@pytest.mark.parametrize("rate", [50.0, 2000.0])
def test_a_rate_outside_the_range_is_refused(clean: NDArray[np.float64], rate: float) -> None:
    samples = int(10 * rate)
    assert "rate-out-of-range" in codes(ecg(np.resize(clean, (12, samples)), rate))


@pytest.mark.parametrize(
    ("birth", "rules", "expected"),
    [
        (date(1960, 5, 17), HeadRules(min_age=40), set()),
        (date(1990, 5, 17), HeadRules(min_age=40), {"age-below-range"}),
        (date(1920, 5, 17), HeadRules(max_age=90), {"age-above-range"}),
        (None, HeadRules(), set()),
        (None, HeadRules(unknown_age="refuse"), {"age-unknown"}),
        (date(2026, 3, 2), HeadRules(unknown_age="refuse"), {"age-unknown"}),  # born after the ECG: not believed
    ],
)
def test_age_rules(clean: NDArray[np.float64], birth: date | None, rules: HeadRules, expected: set[str]) -> None:
    assert codes(ecg(clean, patient=Patient(birth_date=birth)), rules) == expected


@pytest.mark.parametrize("placeholder", [date(1, 1, 1), date(1753, 1, 1), date(1900, 1, 1), date(9999, 12, 31)])
def test_a_placeholder_is_no_birth_date(clean: NDArray[np.float64], placeholder: date) -> None:
    written = ecg(clean, patient=Patient(birth_date=placeholder))
    assert codes(written, HeadRules(unknown_age="refuse")) == {"age-unknown"}


@pytest.mark.parametrize(
    "birth",
    [date(2026, 3, 2), date(1900, 5, 5), date(1980, 1, 1)],
    ids=["the clock stood before the birth", "a two-digit year gone wrong", "a contradiction"],
)
def test_a_stated_child_is_no_adult_whatever_the_birth_date(clean: NDArray[np.float64], birth: date) -> None:
    child = ecg(clean, patient=Patient(birth_date=birth), measurements=(("age", "5 a"),))
    assert codes(child, HeadRules(min_age=18)) == {"age-below-range"}
    (told,) = judge(child, HeadRules(min_age=18))
    assert re.search(
        r"18 years and older; (the recording is dated|the birth date makes|birth date and stated)", told.text
    )


@pytest.mark.parametrize(
    ("statement", "paced"),
    [
        ("Electronic ventricular pacemaker", True),
        ("AV dual-paced rhythm", True),
        ("Ventricular-paced rhythm", True),
        ("Normal sinus rhythm", False),
        ("no pacemaker spikes", False),
        ("Spaced complexes", False),
    ],
)
def test_a_paced_rhythm_is_what_the_device_calls_one(clean: NDArray[np.float64], statement: str, paced: bool) -> None:
    one = ecg(clean, statements=(statement,))
    assert ("paced-rhythm" in codes(one)) is paced
    assert codes(one, HeadRules(paced="score")) == set()


@pytest.mark.parametrize("index", range(0, 28, 5))
def test_pacing_spikes_count_where_the_device_says_nothing(index: int) -> None:
    signal = alterations.paced(recordings.load(index), 500.0, np.random.default_rng(index))
    assert codes(ecg(signal)) == {"pacing-spikes"}
    assert codes(ecg(signal), HeadRules(paced="score")) == set()
    assert codes(ecg(signal, statements=("Ventricular-paced rhythm",))) == {"paced-rhythm"}
    assert codes(ecg(signal, statements=("Kein Schrittmacher",))) == set()


@pytest.mark.parametrize("rate", [250, 1000])
def test_pacing_spikes_are_found_at_other_rates_and_not_in_other_ecgs(clean: NDArray[np.float64], rate: int) -> None:
    there = resample_poly(clean, rate, 500, axis=1)
    rng = np.random.default_rng(1)
    assert len(pacing_spikes(alterations.paced(there, float(rate), rng), float(rate))) >= 8
    for rule in (alterations.wide_qrs, alterations.atrial_fibrillation, alterations.noisy):
        assert len(pacing_spikes(rule(there, float(rate), rng), float(rate))) == 0


def test_a_few_sharp_artefacts_are_no_pacing(clean: NDArray[np.float64]) -> None:
    clean[:, [700, 2500, 4100]] += 1.0
    assert len(pacing_spikes(clean, 500.0)) == 0
    assert len(pacing_spikes(np.full((12, 5000), np.nan), 500.0)) == 0
    assert len(pacing_spikes(clean[:, :20], 500.0)) == 0


@pytest.mark.parametrize("index", [0, 9, 18, 27])
def test_mains_is_no_pacing(index: int) -> None:
    """Half a millivolt of 60 Hz at 250 Hz: four samples a period, which stood on quiet lines often enough before."""
    signal = resample_poly(recordings.load(index), 250, 500, axis=1)
    rng = np.random.default_rng([index, 250])
    seconds = np.arange(signal.shape[1]) / 250.0
    mains = rng.uniform(-0.5, 0.5, (12, 1)) * np.sin(2 * np.pi * 60.0 * seconds)
    assert len(pacing_spikes(signal + mains, 250.0)) == 0


@pytest.mark.parametrize("electrode", ["RA", "LA", "LL"])
def test_a_limb_electrode_that_clicks_is_no_pacing(clean: NDArray[np.float64], electrode: str) -> None:
    """Each click reaches the leads of that electrode, and all chest leads alike by their reference."""
    third = -1.0 / 3.0
    leads = {
        "RA": [-1, -1, 0, 1, -0.5, -0.5] + [third] * 6,
        "LA": [1, 0, -1, -0.5, 1, -0.5] + [third] * 6,
        "LL": [0, 1, 1, -0.5, -0.5, 1] + [third] * 6,
    }[electrode]
    for place in range(400, 4800, 700):
        clean[:, place : place + 2] += np.array(leads)[:, None]
    assert len(pacing_spikes(clean, 500.0)) == 0


@pytest.mark.parametrize("rate", [250, 500])
def test_narrow_spikes_that_were_sampled_coarsely(clean: NDArray[np.float64], rate: int) -> None:
    """Half a millisecond wide at 2000 Hz, through the filter before the coarser sampling."""
    fine = resample_poly(clean, 2000, 500, axis=1)
    paced = alterations.paced(fine, 2000.0, np.random.default_rng(3), spike_height=0.5)
    assert len(pacing_spikes(resample_poly(paced, rate, 2000, axis=1), float(rate))) >= 8


def test_a_code_counts_before_words(clean: NDArray[np.float64]) -> None:
    coded = (Statement(concept="paced", source="SNOMED", code="10370003"),)
    assert codes(ecg(clean, coded=coded, statements=("Sinus rhythm",))) == {"paced-rhythm"}


def test_words_that_call_it_a_test(clean: NDArray[np.float64]) -> None:
    assert codes(ecg(clean, statements=("SIMULATED ECG",))) == {"test-data"}
    assert codes(ecg(clean, statements=("Exercise test ECG",))) == set()


def test_test_data_and_decoder_findings_stop_every_head(clean: NDArray[np.float64]) -> None:
    one = ecg(clean, test_data=True, findings=(Finding(code="einthoven-violation"), Finding(code="padding-masked")))
    assert codes(one) == {"test-data", "einthoven-violation"}


def test_a_site_may_score_in_spite_of_a_reason(clean: NDArray[np.float64]) -> None:
    one = ecg(clean, findings=(Finding(code="einthoven-violation"),))
    assert codes(one, HeadRules(allow=("einthoven-violation",))) == set()


def of_corpus(pattern: str) -> list[Path]:
    return sorted(CORPUS.glob(pattern))


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real recordings is not beside this checkout")
def test_no_clean_ptbxl_record_is_refused() -> None:
    paths = of_corpus("wfdb_ptbxl500/*/*_hr.hea")
    assert len(paths) == 300
    refused = {}
    for path in paths:
        (one,) = read(payload.load(path), CONTEXT).ecgs
        if reasons := signal_reasons(one):
            refused[path.stem] = reasons
    assert refused == {}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real recordings is not beside this checkout")
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("wfdb_cinc2021/*/JS20004.hea", "flat-lead"),
        ("wfdb_cinc2021/*/JS20007.hea", "noise"),
        ("wfdb_cinc2020/*/HR00599.hea", "amplitude-implausible"),
        ("wfdb_cinc2020/*/E00009.hea", "amplitude-implausible"),
    ],
)
def test_every_known_bad_record_is_caught(pattern: str, expected: str) -> None:
    (path,) = of_corpus(pattern)
    (one,) = read(payload.load(path), CONTEXT).ecgs
    assert expected in {reason.code for reason in signal_reasons(one)}
