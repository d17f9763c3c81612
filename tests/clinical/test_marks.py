"""What is wrong with a recording is marked where it is, by the limits that decide whether it may be scored."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfm_clinical.ecg.evaluability import signal_reasons
from ecgfm_clinical.ecg.layouts import View
from ecgfm_clinical.ecg.marks import Marks, Span, marks_of
from ecgfm_clinical.ecg.overlays import LeadWeights
from ecgfm_clinical.ecg.sheet import START, compose, footer
from ecgfm_clinical.ecg.svg import drawing
from ecgfm_connectors.ecg import LEADS, Finding
from tests.helpers.fakes import make_ecg

RATE = 500.0


def damaged(lead: str, begin: int, end: int, change: NDArray[np.float32] | float) -> Marks:
    """What is marked where these samples of a clean recording are others."""
    signal = make_ecg(3).signal.copy()
    row = signal[LEADS.index(lead)]
    row[begin:end] = change if np.isscalar(change) else row[begin:end] + change
    return marks_of(replace(make_ecg(3), signal=signal))


@pytest.mark.parametrize("number", range(8))
def test_nothing_is_marked_in_a_clean_recording(number: int) -> None:
    assert marks_of(make_ecg(number)) == Marks()


def test_a_flat_piece_a_gap_and_noise_are_marked_where_they_are() -> None:
    assert damaged("V5", 2600, 3900, 0.1).spans == (Span(lead="V5", begin=5.2, end=7.8, word="flat"),)
    assert damaged("I", 1000, 1500, np.nan).spans == (Span(lead="I", begin=2.0, end=3.0, word="no samples"),)
    noise = np.random.default_rng(1).normal(size=3500).astype(np.float32) * 0.4
    (span,) = damaged("V2", 1000, 4500, noise).spans
    assert (span.lead, span.word) == ("V2", "noise")
    assert span.begin == pytest.approx(2.0, abs=0.11)
    assert span.end == pytest.approx(9.0, abs=0.11)


def test_pieces_at_the_converters_limit_are_marked_beat_by_beat() -> None:
    ecg = make_ecg(3)
    signal = ecg.signal.copy()
    signal[9] = np.clip(signal[9] * 1.5, -0.25, 0.3)
    clipped = replace(ecg, signal=signal)
    spans = marks_of(clipped).spans
    assert {(one.lead, one.word) for one in spans} == {("V4", "clipped")}
    assert len(spans) > 5
    assert all(before.end < after.begin for before, after in pairwise(spans))
    assert [one.code for one in signal_reasons(clipped)] == ["clipped-lead"]


@pytest.mark.parametrize("begin", [0, 2000])
def test_what_is_marked_is_what_is_judged(begin: int) -> None:
    """A flat piece a sample too short is neither."""
    for samples, is_flat in ((501, True), (499, False)):
        signal = make_ecg(3).signal.copy()
        signal[6, begin : begin + samples] = 0.123
        ecg = replace(make_ecg(3), signal=signal)
        assert bool(marks_of(ecg).spans) is is_flat
        assert any(one.code == "flat-lead" for one in signal_reasons(ecg)) is is_flat


def test_doubts_of_the_reader_stand_behind_the_names_of_their_leads() -> None:
    ecg = replace(
        make_ecg(1),
        derived_leads=("III", "aVF"),
        findings=(
            Finding(code="lead-off", text="lead V1 is marked LeadOff: it counts as not recorded"),
            Finding(code="channel-skew", text="moved by their skew, in samples: V3 +1, V4 -2"),
            Finding(code="einthoven-violation", text="lead III differs from what I and II give by 0.41 mV"),
        ),
    )
    assert marks_of(ecg).notes == {
        "III": "does not fit I and II",
        "aVF": "computed from I and II",
        "V1": "off",
        "V3": "moved in time",
        "V4": "moved in time",
    }
    swapped = replace(ecg, derived_leads=(), findings=(Finding(code="arm-leads-suspected", text="…"),))
    assert set(marks_of(swapped).notes) == {"I", "aVR", "aVL"}


def test_marks_lie_on_the_sheet_at_their_time_and_in_their_lead() -> None:
    ecg = make_ecg(1)
    spans = (
        Span(lead="V1", begin=4.0, end=6.0, word="noise"),
        Span(lead="V1", begin=6.5, end=7.0, word="noise"),
        Span(lead="V1", begin=8.0, end=9.0, word="noise"),
    )
    sheet = compose(ecg.signal, RATE, spans=spans, notes={"aVR": "<arm>"})
    (v1,) = (one for one in sheet.traces if one.strip.shown == "V1")  # 5.0 s to 7.5 s
    assert [(one.begin, one.end, one.word) for one in v1.spots] == [(0, 1.0, "noise"), (1.5, 2.0, "")]
    assert not [one for one in sheet.traces if one.spots and one is not v1]
    picture = drawing(sheet, title="")
    assert picture.count('class="wrong"') == 2
    assert f"M{START + 5.0 * 25:.2f} " in picture
    assert "&lt;arm&gt;" in picture
    assert "violet bars" in footer(sheet, 10.0)
    late = compose(np.tile(ecg.signal, 2), RATE, View(layout="12x1", start=5.0), spans=spans)
    assert [(one.begin, one.end) for one in late.traces[6].spots] == [(0, 1.0), (1.5, 2.0), (3.0, 4.0)]


def test_each_lead_is_shaded_where_the_model_looked_in_it() -> None:
    ecg = make_ecg(1)
    weights = np.zeros((12, 250))
    weights[LEADS.index("V1"), 130:135] = 1.0  # 5.2 s to 5.4 s
    weights[LEADS.index("V1"), 135] = 0.5
    weights[LEADS.index("V1"), 10] = 1.0  # not on the sheet
    weights[LEADS.index("II"), 240:] = 0.04  # too faint
    sheet = compose(ecg.signal, RATE, looked=LeadWeights(weights=weights, per_second=25))
    (v1,) = (one for one in sheet.traces if one.strip.shown == "V1")
    assert [(round(one.begin, 3), round(one.end, 3), one.strength) for one in v1.shades] == [
        (0.2, 0.4, 1.0),
        (0.4, 0.44, 0.5),
    ]
    assert not [one for one in sheet.traces if one.shades and one is not v1]
    assert drawing(sheet, title="").count('class="looked"') == 2
    assert "no proof of a finding" in footer(sheet, 10.0)
    assert v1.band[0] < v1.baseline < v1.band[1]


def test_bands_of_rows_lie_under_each_other() -> None:
    for layout in ("3x4", "6x2", "12x1", "cabrera"):
        sheet = compose(make_ecg(1).signal, RATE, View(layout=layout))
        bands = [next(one.band for one in sheet.traces if one.strip.row == row) for row in range(len(sheet.baselines))]
        assert all(below[1] <= above[0] + 1e-9 for above, below in pairwise(bands)), layout
