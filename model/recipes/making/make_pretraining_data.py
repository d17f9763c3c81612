"""Makes the generated recordings that the demo encoder is pretrained and probed on; needed at development time only.

`PYTHONPATH=model python -m recipes.making.make_pretraining_data OUT --patients 4000 --first-seed 100000` writes NPZ files that `ecgfm-clinical pretrain --data
OUT` reads, and `OUT/labels.csv`, which says what was altered in each, for `ecgfm-clinical model probe --labels`. Recordings come from
the published generator `deepfake-ecg` and are altered by the demo's rules, as often as among the demo model's training patients.
Each is a function of its seed alone. Seeds below 1000 are the demo's own, and 1000 to 99999 the demo heads'.
"""

import argparse
import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from ecgfm_clinical.demo.alterations import RULES
from ecgfm_clinical.demo.beats import heart_rate, r_peaks
from ecgfm_clinical.demo.recordings import SAMPLING_RATE, twelve
from recipes.making.make_recordings import candidates
from recipes.making.train_demo_model import WARD

PER_FILE = 200
LABELS = (*sorted({name for _, names in WARD for name in names}), "tachycardia", "bradycardia")


def patients(first_seed: int) -> Iterator[tuple[int, NDArray[np.int16], tuple[int, ...]]]:
    """Endless (seed, signal (12, 5000) in µV, 0 or 1 for each of LABELS)."""
    weights = [weight for weight, _ in WARD]
    for seed, generated in candidates(first_seed):
        signal = twelve(generated)
        if len(r_peaks(signal, SAMPLING_RATE)) < 6:
            continue
        rng = default_rng(seed)
        findings = WARD[int(rng.choice(len(WARD), p=weights))][1]
        for name in findings:
            signal = RULES[name](signal, SAMPLING_RATE, rng)
        rate = heart_rate(signal, SAMPLING_RATE)
        truth = {name: name in findings for name in LABELS} | {"tachycardia": rate > 100, "bradycardia": rate < 60}
        microvolt = np.rint(np.clip(signal * 1000, -32000, 32000)).astype(np.int16)
        yield seed, microvolt, tuple(int(truth[name]) for name in LABELS)


def main() -> None:
    """Write the files, one at a time, and the table of labels last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=4000)
    parser.add_argument("--first-seed", type=int, default=100_000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    source = patients(arguments.first_seed)
    rows: list[tuple[str | int, ...]] = []
    for number in range(0, arguments.patients, PER_FILE):
        made = list(islice(source, min(PER_FILE, arguments.patients - number)))
        name = f"generated-{number // PER_FILE:04d}.npz"
        np.savez(
            arguments.out / name,
            signal=np.stack([signal for _, signal, _ in made]),
            sampling_rate=SAMPLING_RATE,
            patient=np.array([f"seed-{seed}" for seed, _, _ in made]),
        )
        rows += [(f"{name}#{row}", f"seed-{seed}", *truth) for row, (seed, _, truth) in enumerate(made)]
        print(f"{len(rows)} of {arguments.patients}", flush=True)
    with (arguments.out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("recording", "patient", *LABELS), *rows])


if __name__ == "__main__":
    main()
