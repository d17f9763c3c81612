"""How often the detector of pacing spikes fires: on real recordings by what their labels say, and on generated paced
ECGs, as they are and through the filters of carts.

python -m tests.benchmarks.pacing_spikes
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from scipy import signal as dsp

from ecgfm_clinical.demo import alterations
from ecgfm_clinical.ecg.beats import Signal
from ecgfm_clinical.ecg.pacing import LOWEST_RATE, pacing_spikes
from ecgfm_clinical.shipped import recordings
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.reading import read
from ecgfm_connectors.statements.understanding import said_of, understood

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
RATES = (250, 500, 1000)  # Hz
LOW_PASSES = (None, 150.0, 100.0, 40.0)  # Hz
#: Spike heights, as shares of those of a unipolar lead.
HEIGHTS = (1.0, 0.5, 0.25, 0.15)
#: ECGs made of each shipped recording.
_DRAWS = 4


def main() -> None:
    """Print the tables."""
    print(f"{'real recordings':32}    fires / all")
    groups: dict[str, list[bool]] = {}
    for name, group, fires in corpus():
        groups.setdefault(group, []).append(fires)
        if fires != (group == "called paced"):
            print(f"  {'missed' if not fires else 'false alarm'}: {name}")
    for group, each in sorted(groups.items()):
        print(f"{group:32} {sum(each):5} / {len(each)}")
    print(f"\n{'generated, 500 Hz':32}    fires / all")
    for kind in alterations.RULES:
        print(f"{kind:32} {generated(kind)[0]:5} / {generated(kind)[1]}")
    print(f"\n{'disturbed, 250, 500, 1000 Hz':32}    fires / all")
    for name, disturb in DISTURBANCES.items():
        fired, total = disturbed(disturb)
        print(f"{name:32} {fired:5} / {total}")
    print(f"\n{'generated, paced':32}    fires / all")
    for rate in RATES:
        for low_pass in LOW_PASSES:
            fired, total = generated("paced", rate, low_pass)
            print(f"{f'{rate} Hz, low-pass {low_pass or chr(8211)} Hz':32} {fired:5} / {total}")
    print(f"\n{'generated, paced, 500 Hz':32}    fires / all")
    for height in HEIGHTS:
        fired, total = generated("paced", spike_height=height)
        print(f"{f'spikes of {height:g} of the height':32} {fired:5} / {total}")


def corpus() -> Iterator[tuple[str, str, bool]]:
    """Name, group, and whether the detector fires, of every readable recording of a usable rate."""
    if not CORPUS.is_dir():
        return
    with (CORPUS / "INDEX.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        path = CORPUS / row["path"]
        if path.suffix in (".dat", ".mat") and path.with_suffix(".hea").exists():
            continue
        try:
            ecgs = read(path).ecgs
        except PayloadError:
            continue
        for ecg in ecgs:
            if ecg.sampling_rate >= LOWEST_RATE:
                labelled = "PACE:" in row["labels"] or "paced" in row["labels"].lower()
                paced = labelled or said_of("paced", understood(ecg)) in ("stated", "possible")
                group = "called paced" if paced else "not called paced"
                yield row["path"], group, bool(len(pacing_spikes(ecg.signal, ecg.sampling_rate)))


def generated(kind: str, rate: int = 500, low_pass: float | None = None, **changes: float) -> tuple[int, int]:
    """On how many of the shipped recordings, altered by one rule, the detector fires, and how many there are."""
    fires = total = 0
    for index in range(recordings.count()):
        for draw in range(_DRAWS):
            rng = np.random.default_rng([index, draw])
            clean = dsp.resample_poly(recordings.load(index), rate, 500, axis=1)
            altered = filtered(alterations.RULES[kind](clean, float(rate), rng, **changes), rate, low_pass)
            fires += bool(len(pacing_spikes(altered, float(rate))))
            total += 1
    return fires, total


Disturbance = Callable[[Signal, int, np.random.Generator], Signal]


def disturbed(disturb: Disturbance) -> tuple[int, int]:
    """On how many of the shipped recordings, disturbed at each rate, the detector fires, and how many there are."""
    fires = total = 0
    for rate in RATES:
        for index in range(recordings.count()):
            clean = dsp.resample_poly(recordings.load(index), rate, 500, axis=1)
            signal = disturb(clean, rate, np.random.default_rng([index, rate]))
            fires += bool(len(pacing_spikes(signal, float(rate))))
            total += 1
    return fires, total


def _mains(signal: Signal, rate: int, rng: np.random.Generator) -> Signal:
    seconds = np.arange(signal.shape[1]) / rate
    return np.asarray(signal + rng.uniform(-0.5, 0.5, (12, 1)) * np.sin(2 * np.pi * 60.0 * seconds))


def _muscle(signal: Signal, rate: int, rng: np.random.Generator) -> Signal:
    band = dsp.butter(2, [20.0, min(150.0, 0.45 * rate)], "band", fs=rate, output="sos")
    noise = dsp.sosfilt(band, rng.normal(size=signal.shape), axis=1)
    return np.asarray(signal + 0.1 * noise / noise.std())


def _places(signal: Signal, rate: int, rng: np.random.Generator, number: int) -> list[int]:
    return [int(place) for place in rng.integers(rate // 4, signal.shape[1] - rate // 4, number)]


def _steps(signal: Signal, rate: int, rng: np.random.Generator) -> Signal:
    steps = np.zeros_like(signal)
    for place in _places(signal, rate, rng, 20):
        steps[:, place:] += rng.normal(0.0, 0.5, (12, 1))
    return signal + steps


def _clicks(signal: Signal, rate: int, rng: np.random.Generator) -> Signal:
    right_arm = np.array([-1, -1, 0, 1, -0.5, -0.5] + [-1 / 3] * 6)[:, None]
    clicks = np.zeros_like(signal)
    for place in _places(signal, rate, rng, 20):
        clicks[:, place : place + 2] += right_arm * rng.uniform(0.5, 1.5)
    return signal + clicks


def _pulses(signal: Signal, rate: int, rng: np.random.Generator) -> Signal:
    alike, pulses = rng.normal(0.0, 0.3, (12, 1)), np.zeros_like(signal)
    for place in _places(signal, rate, rng, 12):
        pulses[:, place : place + round(0.008 * rate)] += alike
    return signal + pulses


DISTURBANCES: Mapping[str, Disturbance] = {
    "60 Hz, up to 0.5 mV": _mains,
    "muscle, 0.1 mV": _muscle,
    "20 steps (a lead comes off)": _steps,
    "20 clicks of one electrode": _clicks,
    "12 like pulses of 8 ms": _pulses,
}


def filtered(signal: Signal, rate: int, low_pass: float | None) -> Signal:
    """Through a second-order low-pass, which runs forwards only, as in a cart."""
    if low_pass is None or low_pass >= 0.45 * rate:
        return signal
    return np.asarray(dsp.sosfilt(dsp.butter(2, low_pass, fs=rate, output="sos"), signal, axis=1))


if __name__ == "__main__":
    main()
