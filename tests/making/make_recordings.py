"""Makes the demo's recordings with the published generator `deepfake-ecg`; needed at development time only.

`python -m tests.making.make_recordings` writes `ecgfm_clinical/shipped/data/recordings.npz`; the README beside that
file says what is in it.
"""

import argparse
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal as dsp

from ecgfm_clinical.ecg.beats import Signal, r_peaks
from ecgfm_clinical.shipped.recordings import FILE, SAMPLING_RATE, write

MICROVOLT = 6000.0  #: what the network's output of 1 stands for, as in the package's own `generate`


def candidates(first_seed: int = 0) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Endless (seed, signal): (8, 5000) in mV, leads I, II, V1 … V6, 10 s at 500 Hz.

    The network is Pulse2Pulse (Thambawita et al., Sci Rep 2021, doi:10.1038/s41598-021-01295-2) with the package's own
    weights; the seed sets the uniform noise it starts from. Raises SystemExit where the package is not installed.
    """
    network = _network()
    seed = first_seed
    while True:
        yield seed, network(seed) * MICROVOLT / 1000.0
        seed += 1


def _network() -> Callable[[int], NDArray[np.float64]]:
    try:
        import torch

        package = importlib.import_module("deepfakeecg")
        models = importlib.import_module("deepfakeecg.models")
    except ImportError as error:
        raise SystemExit("making recordings needs the generator: pip install deepfake-ecg==1.1.2") from error
    weights = Path(str(package.__file__)).parent / "checkpoints" / "g_stat.pt"
    network = models.Generator()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["stat_dict"])
    network.eval()

    def run(seed: int) -> NDArray[np.float64]:
        noise = torch.rand(1, 8, 5000, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        with torch.inference_mode():
            return np.asarray(network(noise)[0].numpy(), dtype=np.float64)

    return run


def flaw(signal: Signal) -> str:
    """Why an (8, 5000) recording is not shown in the demo; empty where it is clean.

    Wanted: sinus rhythm of 50 to 105/min, beats alike, ordinary voltages, quiet baseline, nothing cut at either end.
    """
    centred = signal - np.median(signal, axis=1, keepdims=True)
    peaks = r_peaks(centred, SAMPLING_RATE)
    if len(peaks) < 7:
        return "too few beats"
    rr = np.diff(peaks) / SAMPLING_RATE
    middle = float(np.median(rr))
    beats = np.stack([centred[:, p - 125 : p + 225] for p in peaks if 125 <= p < centred.shape[1] - 225])
    template = np.median(beats, axis=0)
    heights = np.ptp(template, axis=1)
    slow = dsp.sosfiltfilt(dsp.butter(2, 0.7, fs=SAMPLING_RATE, output="sos"), centred, axis=1)
    likeness = min(float(np.corrcoef(beat.ravel(), template.ravel())[0, 1]) for beat in beats)
    checks = {
        "rate": 50 <= 60 / middle <= 105,
        "rhythm": bool(np.all(np.abs(rr / middle - 1) <= 0.15)),
        "limb voltage": 0.6 <= heights[:2].max() <= 2.0,
        "chest voltage": 0.9 <= heights[2:].max() <= 3.2,
        "baseline": float(np.ptp(slow, axis=1).max()) <= 0.25,
        "likeness": likeness >= 0.95,
        "ends": float(np.abs(centred[:, np.r_[:25, -25:0]]).max()) <= 0.2,
    }
    return next((name for name, passed in checks.items() if not passed), "")


def main() -> None:
    """Keep the first recordings without a flaw and write them with their seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=28)
    parser.add_argument("--out", type=Path, default=FILE)
    arguments = parser.parse_args()
    kept: list[tuple[int, NDArray[np.float64]]] = []
    flaws: dict[str, int] = {}
    for seed, signal in candidates():
        reason = flaw(signal)
        if reason:
            flaws[reason] = flaws.get(reason, 0) + 1
        else:
            kept.append((seed, signal))
        if len(kept) == arguments.count:
            break
    write(arguments.out, [seed for seed, _ in kept], np.stack([signal for _, signal in kept]))
    print(f"kept {len(kept)} of {seed + 1} seeds; passed over: {flaws}")


if __name__ == "__main__":
    main()
