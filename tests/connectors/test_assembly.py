"""The canonical signal: derived leads, Einthoven's law, printed-strip layouts."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from ecgfm_connectors.assembly import Channel, Signal, assemble
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files.payload import find, load
from ecgfm_connectors.leads import Lead
from ecgfm_connectors.reading import read

Corpus = Callable[[str], Path]


def channels(ecg: Ecg, leads: tuple[str, ...] = LEADS) -> list[Channel]:
    return [Channel(lead=Lead(lead), samples=ecg.signal[LEADS.index(lead)].copy()) for lead in leads]


def codes(ecg: Ecg, changed: list[Channel]) -> list[str]:
    return [finding.code for finding in assemble(changed).findings]


def test_eight_leads_give_twelve(ecg: Ecg) -> None:
    stored = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
    assembled = assemble(channels(ecg, stored))
    np.testing.assert_allclose(assembled.signal, ecg.signal, atol=1e-6)
    assert assembled.stored_leads == stored
    assert assembled.derived_leads == ("III", "aVR", "aVL", "aVF")


def test_a_missing_chest_lead_is_nan(ecg: Ecg) -> None:
    assembled = assemble(channels(ecg, tuple(lead for lead in LEADS if lead != "V3")))
    assert np.isnan(assembled.signal[LEADS.index("V3")]).all()
    assert "V3" not in assembled.stored_leads


def test_monitor_strips_are_refused(ecg: Ecg) -> None:
    with pytest.raises(Refused, match="not-12-lead"):
        assemble(channels(ecg, ("I", "II", "III", "V1")))
    with pytest.raises(Refused, match="not-12-lead"):
        assemble([])


def test_negative_avr_is_turned(ecg: Ecg) -> None:
    turned = channels(ecg)
    turned[3] = Channel(lead=Lead("aVR", sign=-1), samples=-ecg.signal[3])
    assembled = assemble(turned)
    np.testing.assert_array_equal(assembled.signal, ecg.signal)
    assert assembled.findings == ()


def test_einthoven_finds_the_inverted_lead(ecg: Ecg) -> None:
    wrong = channels(ecg)
    wrong[3] = Channel(lead=Lead("aVR"), samples=-ecg.signal[3])
    (finding,) = assemble(wrong).findings
    assert finding.code == "einthoven-violation"
    assert "aVR" in finding.text
    assert "inverted" in finding.text


def test_einthoven_finds_swapped_labels(ecg: Ecg) -> None:
    wrong = channels(ecg)
    wrong[2], wrong[5] = (
        Channel(lead=Lead("III"), samples=ecg.signal[5]),
        Channel(lead=Lead("aVF"), samples=ecg.signal[2]),
    )
    assert codes(ecg, wrong) == ["einthoven-violation"] * 2


def arms_exchanged(signal: Signal) -> Signal:
    """What the same heart gives with the right and left arm electrodes exchanged: Einthoven's law still holds."""
    order = [LEADS.index(lead) for lead in ("I", "III", "II", "aVL", "aVR", "aVF")]
    return np.concatenate([signal[order] * np.array([[-1], [1], [1], [1], [1], [1]], np.float32), signal[6:]])


@pytest.mark.parametrize("leads", [LEADS, ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")])
def test_exchanged_arm_electrodes_are_suspected(ecg: Ecg, leads: tuple[str, ...]) -> None:
    exchanged = replace(ecg, signal=arms_exchanged(ecg.signal))
    assert codes(exchanged, channels(exchanged, leads)) == ["arm-leads-suspected"]
    assert codes(ecg, channels(ecg, leads)) == []
    gap = exchanged.signal.copy()
    gap[LEADS.index("V6"), 100:400] = np.nan
    assert codes(ecg, channels(replace(ecg, signal=gap))) == ["arm-leads-suspected"]


@pytest.mark.parametrize("lead", ["I", "V6"])
def test_a_flat_or_missing_lead_suspects_nobody(ecg: Ecg, lead: str) -> None:
    signal = arms_exchanged(ecg.signal)
    signal[LEADS.index(lead)] = 0
    assert "arm-leads-suspected" not in codes(ecg, channels(replace(ecg, signal=signal)))
    without = tuple(one for one in LEADS if one != lead)
    assert "arm-leads-suspected" not in codes(ecg, channels(replace(ecg, signal=arms_exchanged(ecg.signal)), without))


def test_real_recordings_suspect_nobody_until_their_arms_are_exchanged(corpus: Corpus, context: ReadingContext) -> None:
    caught = 0
    for path in islice((one for one in find(corpus("wfdb_ptbxl500")) if one.suffix == ".hea"), 100):
        (real,) = read(load(path), context).ecgs
        assert "arm-leads-suspected" not in [finding.code for finding in real.findings]
        caught += "arm-leads-suspected" in codes(real, channels(replace(real, signal=arms_exchanged(real.signal))))
    assert caught >= 40


def test_rounding_and_single_glitches_are_no_violation(ecg: Ecg) -> None:
    rounded = channels(ecg)
    samples = np.rint(ecg.signal[4] / 0.0049).astype(np.float32) * np.float32(0.0049)
    samples[795] += 2.56
    rounded[4] = Channel(lead=Lead("aVL"), samples=samples)
    assert codes(ecg, rounded) == []


def test_recorded_lead_beats_a_reconstructed_one(ecg: Ecg) -> None:
    other = Channel(lead=Lead("V2", reconstructed=True), samples=ecg.signal[7] * 2)
    assembled = assemble([other, *channels(ecg)])
    np.testing.assert_array_equal(assembled.signal[7], ecg.signal[7])
    assert [finding.code for finding in assembled.findings] == ["reconstructed-leads"]


def test_two_different_channels_for_one_lead_are_doubtful(ecg: Ecg) -> None:
    with pytest.raises(Refused, match="lead-doubtful"):
        assemble([*channels(ecg), Channel(lead=Lead("V2"), samples=ecg.signal[8])])


def test_leads_of_different_length(ecg: Ecg) -> None:
    short = channels(ecg)
    short[0] = Channel(lead=Lead("I"), samples=ecg.signal[0, :-1])
    with pytest.raises(Unreadable, match="length-mismatch"):
        assemble(short)


@pytest.mark.parametrize("fill", [np.nan, 0.0])
def test_printed_strip_layout_is_not_simultaneous(ecg: Ecg, fill: float) -> None:
    strip = np.full_like(ecg.signal, fill)
    for column in range(4):
        window = slice(column * 1250, (column + 1) * 1250)
        strip[3 * column : 3 * column + 3, window] = ecg.signal[3 * column : 3 * column + 3, window]
    with pytest.raises(Refused, match="not-simultaneous"):
        assemble([Channel(lead=Lead(lead), samples=strip[row]) for row, lead in enumerate(LEADS)])


def test_a_lead_lost_halfway_is_no_strip_layout(ecg: Ecg) -> None:
    lost = channels(ecg)
    lost[10].samples[2000:] = np.nan
    assert np.isnan(assemble(lost).signal[10, 2000:]).all()


def test_all_nan_has_no_samples() -> None:
    nothing = np.full(5000, np.nan, dtype=np.float32)
    with pytest.raises(Unreadable, match="no-samples"):
        assemble([Channel(lead=Lead(lead), samples=nothing) for lead in LEADS])


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_fill_common_to_all_leads_is_cut_at_the_ends(ecg: Ecg, fill: float) -> None:
    padded = channels(ecg)
    for channel in padded:
        channel.samples[:300] = fill
        channel.samples[4800:] = fill
    assembled = assemble(padded)
    np.testing.assert_array_equal(assembled.signal, ecg.signal[:, 300:4800])
    assert [finding.code for finding in assembled.findings] == ["fill-cut"]


def test_a_calibration_pulse_at_the_end_is_cut(ecg: Ecg) -> None:
    noise = np.random.default_rng(1)
    pulsed = channels(ecg)
    for channel in pulsed:
        channel.samples[4800:] = noise.uniform(-0.01, 0.01, 200)  # as a converter left it
        channel.samples[4850:4950] += 1.0
    assert assemble(pulsed).signal.shape == (12, 4800)


def test_a_recording_flat_throughout_is_left_whole() -> None:
    flat = np.zeros(5000, dtype=np.float32)
    assert assemble([Channel(lead=Lead(lead), samples=flat) for lead in LEADS]).signal.shape == (12, 5000)
