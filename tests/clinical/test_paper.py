"""The picture of an ECG is measured with a ruler: pixels per millimetre, per second and per millivolt."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from ecgfm_clinical.ecg import paper, sheet
from ecgfm_clinical.ecg.layouts import View
from ecgfm_connectors.ecg import LEADS

pytestmark = pytest.mark.slow

RATE = 500.0
PX = paper.PIXELS_PER_MM


def picture(path: Path) -> NDArray[np.float32]:
    """The PNG turned so that [x, y] is a place on the sheet, y upwards; RGB 0..1."""
    return np.asarray(imread(str(path)), dtype=np.float32)[::-1, :, :3].transpose(1, 0, 2)


def ink(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(image.max(axis=-1) < 0.35)


def rows_of(lead: str) -> int:
    return next(row for row, leads in enumerate(View().rows) if lead in leads)


def column(lead: str, seconds: float, image: NDArray[np.float32]) -> NDArray[np.intp]:
    """Heights, in pixels above the lead's zero line, at which there is ink at this instant."""
    x = round((sheet.START + seconds * View().speed) * PX)
    baseline = round(sheet.baselines(4)[rows_of(lead)] * PX)
    return np.flatnonzero(ink(image[x, baseline - 90 : baseline + 110])) - 90


def test_the_sheet_is_a4_at_ten_pixels_a_millimetre(tmp_path: Path) -> None:
    paper.draw(np.zeros((12, 5000)), RATE, tmp_path / "ecg.png")
    assert picture(tmp_path / "ecg.png").shape == (2970, 2100, 3)


def test_the_calibration_pulse_is_one_millivolt_high_and_a_fifth_of_a_second_wide(tmp_path: Path) -> None:
    paper.draw(np.full((12, 5000), np.nan), RATE, tmp_path / "ecg.png")
    dark = ink(picture(tmp_path / "ecg.png"))
    for baseline in sheet.baselines(4):
        top = dark[: sheet.START * PX, round((baseline + 10) * PX)]
        assert abs(np.count_nonzero(top) - 5 * PX) <= 3
        middle = np.flatnonzero(dark[: sheet.START * PX, round((baseline + 5) * PX)])
        assert middle.max() - middle.min() == pytest.approx(5 * PX, abs=4)


def test_a_pulse_of_half_a_millivolt_stands_five_millimetres_high_where_it_happened(tmp_path: Path) -> None:
    pulses = (("I", 1.0), ("aVR", 3.5), ("V3", 6.0), ("V6", 9.0))
    signal = np.zeros((12, 5000))
    for lead, second in pulses:
        begin = round(second * RATE)
        signal[LEADS.index(lead), begin : begin + 101] = 0.5  # 0.2 s
    paper.draw(signal, RATE, tmp_path / "ecg.png")
    image = picture(tmp_path / "ecg.png")
    for lead, second in pulses:
        assert column(lead, second + 0.1, image) == pytest.approx(5 * PX, abs=3), lead
        assert column(lead, second - 0.05, image) == pytest.approx(0, abs=3), lead
        assert column(lead, second + 0.25, image) == pytest.approx(0, abs=3), lead


def test_the_rhythm_strip_shows_all_ten_seconds_of_lead_ii(tmp_path: Path) -> None:
    signal = np.zeros((12, 10000))
    signal[1, 9500:9700] = -0.7
    paper.draw(signal, 1000.0, tmp_path / "ecg.png")
    x = round((sheet.START + 9.6 * View().speed) * PX)
    low = round((sheet.baselines(4)[3] - 7) * PX)
    assert ink(picture(tmp_path / "ecg.png")[x, low - 3 : low + 4]).any()


def test_missing_samples_stay_a_gap(tmp_path: Path) -> None:
    signal = np.zeros((12, 5000))
    signal[0, 500:750] = np.nan
    paper.draw(signal, RATE, tmp_path / "ecg.png")
    image = picture(tmp_path / "ecg.png")
    assert column("I", 0.5, image).size
    assert not column("I", 1.25, image).size
    assert column("I", 2.0, image).size


def test_an_offset_moves_nothing_off_the_paper(tmp_path: Path) -> None:
    paper.draw(np.full((12, 5000), 8.0), RATE, tmp_path / "ecg.png")
    assert column("V1", 6.0, picture(tmp_path / "ecg.png")) == pytest.approx(0, abs=3)


def test_shading_colours_the_instants_it_weighs(tmp_path: Path) -> None:
    weights = np.zeros(5000)
    weights[1000:1500] = 1.0
    paper.draw(np.zeros((12, 5000)), RATE, tmp_path / "ecg.png", shading=weights)
    image = picture(tmp_path / "ecg.png")
    y = round((sheet.baselines(4)[1] + 7.5) * PX)

    def blue(seconds: float) -> float:
        x = round((sheet.START + seconds * View().speed) * PX)
        return float(np.median(image[x - 20 : x + 20, y - 20 : y + 20, 2]))

    assert blue(2.5) < 0.6 < blue(1.5)
    assert blue(3.5) == pytest.approx(blue(1.5), abs=0.05)


def test_a_short_recording_ends_where_it_ends(tmp_path: Path) -> None:
    signal = np.zeros((12, 2000))
    paper.draw(signal, RATE, tmp_path / "ecg.png", shading=np.ones(2000))
    image = picture(tmp_path / "ecg.png")
    assert column("aVR", 3.5, image).size
    assert not column("aVR", 4.5, image).size


@pytest.mark.parametrize(("shape", "rate"), [((8, 5000), 500.0), ((5000,), 500.0), ((12, 5000), 0.0)])
def test_what_is_not_a_12_lead_ecg_is_refused(tmp_path: Path, shape: tuple[int, ...], rate: float) -> None:
    with pytest.raises(ValueError, match=r"signal must be|sampling rate"):
        paper.draw(np.zeros(shape), rate, tmp_path / "ecg.png")
    assert not (tmp_path / "ecg.png").exists()


def test_shading_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shading must be"):
        paper.draw(np.zeros((12, 5000)), RATE, tmp_path / "ecg.png", shading=np.zeros(10))
