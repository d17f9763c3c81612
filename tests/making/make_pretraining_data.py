"""Makes the generated recordings that the demo model is pretrained, trained and probed on; needed at development time
only.

`python -m tests.making.make_pretraining_data OUT --patients 4000 --first-seed 100000` writes NPZ files that
`ecgfm-clinical pretrain --data OUT` reads, and `OUT/labels.csv`, which says what was altered in each and which outcomes
were drawn for it, for `ecgfm-clinical model probe --labels`. Recordings come from the published generator
`deepfake-ecg` and are altered by the demo's rules. Each is a function of its seed alone. Seeds below 1000 are the
demo's own, 1000 to 99999 the demo heads', 100000 to 499999 the encoder's, and those from 500000 on are met by nobody in
training.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from ecgfm_clinical.demo.alterations import RULES
from ecgfm_clinical.demo.outcomes import simulate
from ecgfm_clinical.ecg.beats import heart_rate, r_peaks
from ecgfm_clinical.shipped.recordings import SAMPLING_RATE, twelve
from tests.making.make_recordings import candidates

# How often each set of alterations occurs.
WARD: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.40, ()),
    (0.13, ("wide QRS",)),
    (0.09, ("paced",)),
    (0.14, ("ST elevation",)),
    (0.12, ("atrial fibrillation",)),
    (0.03, ("atrial fibrillation", "wide QRS")),
    (0.02, ("atrial fibrillation", "ST elevation")),
    (0.03, ("arm leads swapped",)),
    (0.04, ("noise",)),
)
PER_FILE = 200
ALTERATIONS = tuple(sorted({name for _, names in WARD for name in names}))
LABELS = (*ALTERATIONS, "tachycardia", "bradycardia", "reduced_lvef", "troponin")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """One generated patient."""

    seed: int
    signal: NDArray[np.int16]  #: (12, 5000) in µV
    age: float  #: years
    truth: tuple[int, ...]  #: 0 or 1 for each of LABELS
    chances: tuple[float, float]  #: of reduced LVEF and raised troponin, by the rules that drew them


def patients(first_seed: int) -> Iterator[Made]:
    """Endless patients, from that seed on."""
    weights = [weight for weight, _ in WARD]
    for seed, generated in candidates(first_seed):
        signal = twelve(generated)
        if len(r_peaks(signal, SAMPLING_RATE)) < 6:
            continue
        rng = default_rng(seed)
        findings = WARD[int(rng.choice(len(WARD), p=weights))][1]
        for name in findings:
            signal = RULES[name](signal, SAMPLING_RATE, rng)
        age = rng.uniform(25, 90)
        outcome = simulate(signal, SAMPLING_RATE, findings, age=age, rng=rng)
        rate = heart_rate(signal, SAMPLING_RATE)
        truth = {name: name in findings for name in ALTERATIONS} | {
            "tachycardia": rate > 100,
            "bradycardia": rate < 60,
            "reduced_lvef": outcome.reduced_lvef,
            "troponin": outcome.troponin_above,
        }
        yield Made(
            seed=seed,
            signal=np.rint(np.clip(signal * 1000, -32000, 32000)).astype(np.int16),
            age=age,
            truth=tuple(int(truth[name]) for name in LABELS),
            chances=(outcome.reduced_lvef_probability, outcome.troponin_probability),
        )


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
            signal=np.stack([one.signal for one in made]),
            sampling_rate=SAMPLING_RATE,
            patient=np.array([f"seed-{one.seed}" for one in made]),
            age=np.array([one.age for one in made]),
            chances=np.array([one.chances for one in made]),
        )
        rows += [(f"{name}#{row}", f"seed-{one.seed}", *one.truth) for row, one in enumerate(made)]
        print(f"{len(rows)} of {arguments.patients}", flush=True)
    with (arguments.out / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("recording", "patient", *LABELS), *rows])


if __name__ == "__main__":
    main()
