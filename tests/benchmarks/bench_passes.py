"""How many passes over a hospital's ECGs an adaptation is worth: what a linear probe on the encoder knows after each.

    python -m tests.benchmarks.bench_passes [--ecgs 4000] [--updates 100 200 400 1000]
    python -m tests.benchmarks.bench_passes --of update-00000400.pt update-00001000.pt   # checkpoints of an adaptation

Invented patients (`demo.clinic`): those whose ECGs adapt the demo encoder, and others whose outcomes a probe learns and
is judged by, five folds of them. Differences are paired: the same patients and folds for every encoder. About 25
minutes on two cores; the learning rate is constant after its rise, so an early checkpoint is a shorter adaptation.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ecgfm.adaptation import Bound, adapt
from ecgfm.fairseq.exporting import encoder_network
from ecgfm.finetuning.candidate import Model
from ecgfm.network import EcgFm
from ecgfm.pretraining.checkpoint import load_pretraining
from ecgfm.pretraining.shards import PrepareSettings, prepare_shards
from ecgfm.recording_files import Recording
from ecgfm.signal import prepare
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.demo.learning import start_bundle
from ecgfm_clinical.learning.models import read_bundle
from ecgfm_connectors.ecg import Ecg

NOW = datetime(2026, 11, 1, tzinfo=UTC)
JUDGED_SEED = 41  # other patients than those that adapt, which have seed 0


@dataclass(frozen=True)
class Visits:
    """The ECGs that an encoder is adapted on; a source of shards."""

    ecgs: tuple[Ecg, ...]

    def keys(self) -> list[str]:
        return [str(number) for number in range(len(self.ecgs))]

    def fingerprint(self, keys: Sequence[str]) -> str:
        return " ".join(keys)

    def read(self, key: str) -> Recording:
        ecg = self.ecgs[int(key)]
        return Recording(
            patient=key, signal=ecg.signal, sampling_rate=ecg.sampling_rate, in_millivolts=True, derived=False
        )


@dataclass(frozen=True, eq=False)
class Judged:
    """Patients that no adaptation saw."""

    segments: NDArray[np.float32]  #: (patients, segments, 12, 2500)
    outcomes: dict[str, NDArray[np.bool_]]

    @classmethod
    def of(cls, patients: int) -> "Judged":
        visits = list(clinic.visits(patients, now=NOW, seed=JUDGED_SEED))
        return cls(
            segments=np.stack([prepare(one.ecg.signal, one.ecg.sampling_rate) for one in visits]),
            outcomes={
                "reduced_lvef": np.array([one.outcome.reduced_lvef for one in visits]),
                "troponin": np.array([one.outcome.troponin_above for one in visits]),
            },
        )

    def scores(self, network: EcgFm) -> dict[str, NDArray[np.float64]]:
        """Per outcome what a probe says of each patient, learnt from the other folds."""
        rows = []
        with torch.inference_mode():
            for patients in np.array_split(self.segments, max(1, len(self.segments) // 32)):
                pooled = network.eval().embed(torch.from_numpy(patients).flatten(0, 1))
                rows.append(pooled.view(*patients.shape[:2], -1).mean(dim=1).numpy())
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        return {
            name: cross_val_predict(probe, np.concatenate(rows), labels, cv=folds, method="decision_function")
            for name, labels in self.outcomes.items()
        }


def gain(
    labels: NDArray[np.bool_], scores: NDArray[np.float64], before: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Difference of AUROCs, with the ends of its 95 % interval by 500 bootstrap samples of patients."""
    rng, found = np.random.default_rng(0), []
    for _ in range(500):
        chosen = rng.integers(len(labels), size=len(labels))
        found.append(roc_auc_score(labels[chosen], scores[chosen]) - roc_auc_score(labels[chosen], before[chosen]))
    low, high = np.quantile(found, (0.025, 0.975))
    return roc_auc_score(labels, scores) - roc_auc_score(labels, before), low, high


def adapted(base: EcgFm, ecgs: int, steps: Sequence[int]) -> Iterator[tuple[str, EcgFm]]:
    """The encoder after each number of updates of one adaptation that goes on."""
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as name:
        teaching = Visits(tuple(one.ecg for one in clinic.visits(ecgs, now=NOW)))
        shards = prepare_shards(teaching, Path(name) / "shards", PrepareSettings())
        for updates in steps:
            began = time.perf_counter()
            done = adapt(base, shards, Path(name) / "run", bound=Bound(updates=updates), clock=time.monotonic)
            yield f"{done.updates} updates ({time.perf_counter() - began:.0f} s more)", done.network


def of_checkpoints(paths: Sequence[Path]) -> Iterator[tuple[str, EcgFm]]:
    """The encoders of checkpoints."""
    for path in paths:
        model, done = load_pretraining(path)
        yield f"{done.update} updates", encoder_network(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ecgs", type=int, default=4000, help="that the encoder is adapted on")
    parser.add_argument("--patients", type=int, default=2000, help="that judge")
    parser.add_argument("--updates", type=int, nargs="+", default=[125, 250, 500, 750, 1000, 1250])
    parser.add_argument("--of", type=Path, nargs="+", metavar="CHECKPOINT", help="judge these, adapt nothing")
    given = parser.parse_args()
    judged = Judged.of(given.patients)
    with tempfile.TemporaryDirectory(prefix="ecgfm-bench-") as name:
        base = Model.of(read_bundle(start_bundle(Path(name)))).network
    before = judged.scores(base)
    for outcome, labels in judged.outcomes.items():
        print(f"not adapted: {outcome} {roc_auc_score(labels, before[outcome]):.4f}", flush=True)
    made = of_checkpoints(given.of) if given.of else adapted(base, given.ecgs, sorted(given.updates))
    for what, network in made:
        for outcome, scores in judged.scores(network).items():
            difference, low, high = gain(judged.outcomes[outcome], scores, before[outcome])
            auroc = roc_auc_score(judged.outcomes[outcome], scores)
            print(f"{what}: {outcome} {auroc:.4f}, {difference:+.4f} ({low:+.4f} to {high:+.4f})", flush=True)


if __name__ == "__main__":
    main()
