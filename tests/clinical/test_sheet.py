"""Where things lie on the sheet, in millimetres, in every layout, speed and gain; and that no peak is lost."""

import re
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgfm_clinical.ecg.layouts import GAINS, LAYOUTS, SPEEDS, View, lead_of
from ecgfm_clinical.ecg.remarks import remarks
from ecgfm_clinical.ecg.sheet import GRID, PAGE, START, WIDTH, Sheet, Trace, compose, footer, strips
from ecgfm_clinical.ecg.svg import UNITS, drawing
from ecgfm_clinical.ecg.tracing import COLUMN, reduced
from ecgfm_connectors.ecg import LEADS, Filters
from tests.helpers.fakes import make_ecg

RATE = 500.0


def spiked(seconds: float, millivolt: float = 1.0) -> NDArray[np.float64]:
    """Every lead is flat but for one sample; lead n stands n + 1 times as high."""
    signal = np.zeros((12, 5000))
    signal[:, round(seconds * RATE)] = millivolt * np.arange(1, 13)
    return signal


def top_of(trace: Trace) -> tuple[float, float]:
    """x and height over the zero line of what stands furthest from it."""
    points = np.concatenate(trace.runs)
    x, y = points[np.argmax(np.abs(points[:, 1] - trace.baseline))]
    return float(x), float(y - trace.baseline)


@pytest.mark.parametrize(("layout", "speed", "gain"), list(product(LAYOUTS, SPEEDS, GAINS)))
def test_every_lead_stands_where_it_happened_and_as_high_as_it_was(layout: str, speed: float, gain: float) -> None:
    view = View(layout=layout, speed=speed, gain=gain)  # type: ignore[arg-type]
    for strip in strips(view):
        middle = (strip.begin + strip.end) / 2
        sheet = compose(spiked(middle), RATE, view)
        (trace,) = (one for one in sheet.traces if one.strip == strip)
        lead, sign = lead_of(strip.shown)
        x, height = top_of(trace)
        assert x == pytest.approx(START + round(middle * RATE) / RATE * speed)
        assert height == pytest.approx(sign * gain * (LEADS.index(lead) + 1))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_shows_all_leads_side_by_side_in_time(layout: str) -> None:
    view = View(layout=layout)  # type: ignore[arg-type]
    pieces = [one for one in strips(view) if layout != "3x4" or one.row < 3]
    assert sorted(one.lead for one in pieces) == sorted(LEADS)
    for row in {one.row for one in pieces}:
        ends = [(one.begin, one.end) for one in pieces if one.row == row]
        assert ends[0][0] == 0
        assert ends[-1][1] == pytest.approx(WIDTH / view.speed)
        assert all(before[1] == after[0] for before, after in pairwise(ends))
    assert min(compose(spiked(1), RATE, view).baselines) >= GRID[1] + 7
    assert max(compose(spiked(1), RATE, view).baselines) <= GRID[3] - 10


def test_cabrera_turns_avr_over_and_orders_the_limb_leads_by_their_axes() -> None:
    columns = list(zip(*View(layout="cabrera").rows, strict=True))
    assert [lead for column in columns for lead in column][:6] == ["aVL", "I", "−aVR", "II", "aVF", "III"]


def test_the_rhythm_strip_is_of_any_lead() -> None:
    (strip,) = (one for one in compose(spiked(1), RATE, View(rhythm="V1")).traces if one.strip.row == 3)
    assert top_of(strip)[1] == pytest.approx(70)


def test_a_long_recording_is_turned_over_page_by_page() -> None:
    signal = np.zeros((12, 30000))
    signal[1, 20250] = 1.0  # 40.5 s
    sheet = compose(signal, RATE, View(layout="12x1", start=40.0))
    assert top_of(sheet.traces[1]) == pytest.approx((START + 12.5, 10.0))
    assert "40 to 50 s of 60.0 s" in footer(sheet, 60.0)
    assert compose(signal, RATE, View(start=60.0)).traces[0].is_silent


def test_pacing_spikes_have_a_row_of_their_own_and_keep_their_height() -> None:
    signal = spiked(5.0)
    sheet = compose(signal, RATE, View(layout="12x1"), spikes=[2500])
    assert sheet.spikes == (START + 125.0,)
    assert top_of(sheet.traces[0])[1] == pytest.approx(10)
    assert 'class="pacing" d="M156.00 198v-5"' in drawing(sheet, title="")
    assert "pacing" not in drawing(compose(signal, RATE), title="")


def test_another_recording_at_another_rate_is_laid_over_at_its_own_time() -> None:
    other = np.zeros((12, 10000))
    other[0, 1000] = 0.5  # 1 s at 1000 Hz
    sheet = compose(spiked(2.0), RATE, View(layout="12x1"), laid_over=(other, 1000.0))
    assert top_of(sheet.laid_over[0]) == pytest.approx((START + 25, 5))
    assert top_of(sheet.traces[0]) == pytest.approx((START + 50, 10))


def paths(sheet: Sheet) -> list[NDArray[np.int64]]:
    """The places of each line of the picture, hundredths of a millimetre, y down."""
    found = re.findall(r'd="M(\d+) (\d+)l([^"]+)"', drawing(sheet, title=""))
    return [
        np.cumsum(np.array([int(x), int(y), *map(int, steps.split())]).reshape(-1, 2), axis=0) for x, y, steps in found
    ]


def test_the_picture_is_the_sheet_to_a_hundredth_of_a_millimetre() -> None:
    ecg = make_ecg(1)
    sheet = compose(ecg.signal, ecg.sampling_rate)
    drawn = paths(sheet)
    assert len(drawn) == 13
    for trace, places in zip(sheet.traces, drawn, strict=True):
        exact = (np.array([0, PAGE[1]]) + trace.runs[0] * (1, -1)) * UNITS
        assert np.abs(places - exact).max() <= 0.5 + 1e-6


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(20, 4000),
    st.sampled_from([250.0, 500.0, 1000.0, 8000.0]),
    st.sampled_from([25.0, 50.0]),
    st.integers(0, 2**32 - 1),
)
def test_no_peak_is_lost_to_the_picture(samples: int, rate: float, speed: float, seed: int) -> None:
    stream = np.random.default_rng(seed)
    y = stream.normal(size=samples) * (stream.random(samples) < 0.02) * 20
    y[stream.random(samples) < 0.01] = np.nan
    x = np.arange(samples) / rate * speed
    runs = reduced(x, y)
    for column in np.unique(np.floor(x[np.isfinite(y)] / COLUMN)):
        there = np.isfinite(y) & (np.floor(x / COLUMN) == column)
        kept = np.concatenate(runs)
        kept = kept[np.floor(kept[:, 0] / COLUMN) == column]
        assert kept[:, 1].max() == y[there].max()
        assert kept[:, 1].min() == y[there].min()
    assert sum(map(len, runs)) <= np.isfinite(y).sum()
    assert len(runs) == np.count_nonzero(np.diff(np.concatenate(([0], np.isfinite(y).astype(int)))) == 1)


def test_a_recording_of_a_narrow_band_says_so() -> None:
    ecg = make_ecg(1)
    plain = replace(ecg, filters=Filters(high_pass=0.05, low_pass=150.0))
    assert not [one for one in remarks(plain) if one.is_warning]
    narrow = replace(ecg, filters=Filters(high_pass=0.5, low_pass=40.0))
    told = [one.text for one in remarks(narrow) if one.is_warning]
    assert [text.split(":")[0] for text in told] == [
        "recorded from 0.5 Hz up, not from 0.05 Hz",
        "recorded up to 40 Hz, not 150 Hz",
    ]
    slow = replace(plain, signal=ecg.signal[:, :2400], sampling_rate=240.0)
    assert next(one.text for one in remarks(slow) if one.is_warning).startswith("sampled at 240 Hz, too slowly")


def test_leads_that_are_missing_derived_or_apart_are_named() -> None:
    ecg = make_ecg(1)
    signal = ecg.signal.copy()
    signal[6] = np.nan
    told = {one.text for one in remarks(replace(ecg, signal=signal, derived_leads=("III", "aVR")))}
    assert {"no signal in V1", "computed from I and II: III, aVR"} <= told
    apart = np.full_like(ecg.signal, np.nan)
    for column in range(4):
        piece = slice(column * 1250, (column + 1) * 1250)
        apart[column * 3 : column * 3 + 3, piece] = ecg.signal[column * 3 : column * 3 + 3, piece]
    assert any("not recorded at the same time" in one.text for one in remarks(replace(ecg, signal=apart)))


@pytest.mark.parametrize(
    "changes", [{"layout": "4x3"}, {"rhythm": "V7"}, {"speed": 10.0}, {"gain": 0.0}, {"start": -1.0}]
)
def test_a_view_that_does_not_exist_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be"):
        View(**changes)  # type: ignore[arg-type]
