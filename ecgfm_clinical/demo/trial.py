"""A fair trial of the demo hospital's retraining: `python -m ecgfm_clinical.demo.trial OUT`.

Decided before any of these hospitals was looked at (the configuration was worked out on the one of seed 0):

- Hospitals: seeds 1 to 5. A seed draws the patients, their ECGs and their outcomes (`demo.clinic.visits`), and the store's
  secret, by which patients fall into training, validation and test. `PATIENTS` patients each, one ECG, one echo and one
  troponin a patient; 15 % of them, by the product's own split, are test patients.
- Training: `demo.learning.RECIPE`, the same for all; nothing is chosen by hand, nothing is repeated.
- Statistic: the AUROC of the candidate minus that of each baseline (age and sex; a linear probe on an encoder of the same
  sizes with random weights) on the test patients of each hospital; the mean of the five differences, with a 95 %
  interval over 2000 bootstrap samples that draw test patients inside each hospital.
- A head beats a baseline where that interval lies above 0. The gate's own verdict on each hospital is reported too.
- Every hospital is reported, whatever came out.

ECGs, echoes and troponins arrive as the DICOM objects and HL7 messages that the demo's systems send, by the product's own
readers into its own store; only ports and scoring are left out. Everything is simulated and circular (`demo.clinic.NOTE`).
Seeds 1 to 5 were run with version 1 of the demo bundle, 6 to 10 with version 2; `model/BENCHMARKS.md` tells what came out. For another bundle name
other hospitals with `--seed`: these ten have been looked at.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated, Any

import numpy as np
import typer

from ecgfm import metrics
from ecgfm.metrics import Interval
from ecgfm_clinical import wiring
from ecgfm_clinical.demo import clinic
from ecgfm_clinical.demo.learning import RECIPE, deliveries, start_bundle, train_heads
from ecgfm_clinical.learning.judging import TestSet
from ecgfm_clinical.learning.runs import write_json
from ecgfm_clinical.learning.work import Workshop
from ecgfm_clinical.settings import Settings
from ecgfm_clinical.staging.registry import Registry
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Received, Transport

SEEDS = (1, 2, 3, 4, 5)
PATIENTS = 1000
REPLICATES = 2000
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)  # the year that is looked at is the one before


def main(
    out: Annotated[Path, typer.Argument(help="Folder for everything; hospitals found there are not run again.")],
    seed: Annotated[list[int] | None, typer.Option(help="Other hospitals than those of the trial.")] = None,
    patients: Annotated[int, typer.Option(help="Other than those of the trial.")] = PATIENTS,
) -> None:
    """Run the trial, or go on with it, and print its result as JSON."""
    hospitals = []
    for one in seed or SEEDS:
        path = out / f"hospital-{one}.json"
        if not path.exists():
            write_json(path, hospital(out / f"hospital-{one}", one, patients=patients))
        hospitals.append(json.loads(path.read_text(encoding="utf-8")))
    told = {"note": clinic.NOTE, "heads": {head: pooled(head, hospitals) for head in RECIPE}}
    write_json(out / "trial.json", told)
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


def hospital(folder: Path, seed: int, *, patients: int, replicates: int = 1000) -> dict[str, Any]:
    """One hospital from its first message to two judged heads: per head the gate's verdict, and truth and scores of its
    test patients."""
    settings = _arrive(folder, seed, patients)
    store = Store.open(settings.store_url)
    try:
        workshop = Workshop(settings=settings, registry=Registry(store), actor="trial", clock=lambda: NOW)
        done = train_heads(workshop, replicates=replicates)
    finally:
        store.close()
    return {
        "seed": seed,
        "patients": patients,
        "heads": {
            head: _told(one.judgement.tests[head], one.judgement.refusals, one.judgement.labels[head])
            for head, one in done.items()
        },
    }


def _arrive(folder: Path, seed: int, patients: int) -> Settings:
    """Everything that the hospital's systems sent in a year, in a store of its own."""
    settings = Settings.model_validate({"folder": folder, "site": {"name": "DEMO"}, "model": {"bundle": "start"}})
    if (folder / "arrived").exists():
        return settings
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start_bundle(folder)
    store = Store.open(settings.store_url, create=True, random_bytes=Random(seed).randbytes)
    handle = wiring.build_ingest(settings, store, "messages")
    for one in deliveries(list(clinic.visits(patients, now=NOW, seed=seed)), sent_at=NOW):
        how: Transport = "dicom" if one.route == "C-STORE" else "mllp"
        handle(Received(transport=how, source="messages", content=one.content, received_at=NOW))
    store.close()
    (folder / "arrived").touch()
    return settings


def _told(test: TestSet, refusals: Sequence[str], judged: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "refusals": list(refusals),
        "truth": test.labels.tolist(),
        "candidate": test.probabilities.tolist(),
        "baselines": {name: own.tolist() for name, own in test.baselines.items()},
        "metrics": judged["metrics"],
    }


def pooled(head: str, hospitals: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The trial's statistic of one head: mean AUROCs and mean differences to each baseline, with their intervals."""
    parts = [one["heads"][head] for one in hospitals]
    truths = [np.array(part["truth"]) for part in parts]
    scores = {"candidate": [np.array(part["candidate"]) for part in parts]}
    for name in parts[0]["baselines"]:
        scores[name] = [np.array(part["baselines"][name]) for part in parts]
    draws = [
        np.array(list(metrics.patient_weights(range(len(truth)), replicates=REPLICATES, seed=one["seed"])))
        for one, truth in zip(hospitals, truths, strict=True)
    ]
    found = {name: _mean_auroc(truths, own, draws) for name, own in scores.items()}
    point, drawn = found["candidate"]
    return {
        "hospitals": [
            {
                "seed": one["seed"],
                "test_patients": len(truth),
                "positives": int(truth.sum()),
                "auroc": {name: metrics.auroc(truth, own[i]) for name, own in scores.items()},
                "refusals": part["refusals"],
            }
            for i, (one, part, truth) in enumerate(zip(hospitals, parts, truths, strict=True))
        ],
        "mean_auroc": {name: _interval(*one) for name, one in found.items()},
        "difference": {name: _interval(point - found[name][0], drawn - found[name][1]) for name in list(scores)[1:]},
    }


def _mean_auroc(
    truths: Sequence[metrics.Floats], scores: Sequence[metrics.Floats], draws: Sequence[metrics.Floats]
) -> tuple[float, metrics.Floats]:
    """(mean AUROC over the hospitals, the same of every bootstrap sample)."""
    auroc = [partial(metrics.auroc, truth, own) for truth, own in zip(truths, scores, strict=True)]
    sampled = [[one(weights) for weights in own] for one, own in zip(auroc, draws, strict=True)]
    return float(np.mean([one() for one in auroc])), np.mean(sampled, axis=0)


def _interval(value: float, drawn: metrics.Floats) -> dict[str, float | None]:
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high)).to_json()


if __name__ == "__main__":
    typer.run(main)
