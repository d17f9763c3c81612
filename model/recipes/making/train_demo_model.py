"""Trains the demo bundle: a small ECG-FM on generated recordings with invented outcomes. NOT FOR CLINICAL USE.

`PYTHONPATH=model python -m recipes.making.train_demo_model OUT` writes the bundle folder OUT with a card. Patients are generator seeds from 1000
on; the recordings that the demo shows have seeds below 1000, so the model has met none of them.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.heads import INTERPRETATION, INTERPRETATION_LABELS, REDUCED_LVEF, TROPONIN, HeadSpec, Platt
from ecgfm.network import EcgFm
from ecgfm.signal import prepare
from ecgfm_clinical.demo.alterations import RULES
from ecgfm_clinical.demo.beats import Signal, heart_rate, r_peaks
from ecgfm_clinical.demo.outcomes import simulate
from ecgfm_clinical.demo.recordings import SAMPLING_RATE, twelve
from recipes.making.make_recordings import candidates

FIRST_SEED = 1000
CONFIG = EncoderConfig(
    conv_layers=((64, 2, 2),) * 4,
    width=128,
    layers=4,
    ffn_width=512,
    heads=4,
    conv_pos_kernel=64,
    conv_pos_groups=16,
    dropout=0.05,
)

# How often each set of alterations occurs among the training patients.
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

#: Prevalence in MIMIC-IV-ECG of the labels for which there is no rule: their output is this constant.
PRIORS = {
    "Premature ventricular contraction": 0.0648,
    "Ventricular tachycardia": 0.0009,
    "Supraventricular tachycardia with aberrancy": 0.0417,
    "Atrial flutter": 0.0180,
    "Accessory pathway conduction": 0.1195,
    "Atrioventricular block": 0.0792,
    "1st degree atrioventricular block": 0.0738,
    "Bifascicular block": 0.0304,
    "Right bundle branch block": 0.0825,
}
LABELS = ("reduced_lvef", "troponin", *INTERPRETATION_LABELS)
LEARNT = tuple(label for label in LABELS if label not in PRIORS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ward:
    """Training patients, one ECG each."""

    segments: NDArray[np.float16]  #: (patients, 2, 12, 2500), prepared
    targets: NDArray[np.float32]  #: (patients, labels) in the order of LABELS
    best: NDArray[np.float64]  #: (patients, 2): the rules' own probabilities of reduced LVEF and troponin


def build_ward(patients: int) -> Ward:
    """Generate, alter and label that many patients; each is a function of its seed alone."""
    rows = list(islice(_patients(), patients))
    segments, targets, best = (list(column) for column in zip(*rows, strict=True))
    return Ward(segments=np.stack(segments), targets=np.stack(targets), best=np.stack(best))


def _patients() -> Iterator[tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.float64]]]:
    for seed, generated in candidates(FIRST_SEED):
        signal = twelve(generated)
        if len(r_peaks(signal, SAMPLING_RATE)) < 6:
            continue
        yield _patient(signal, default_rng(seed))


def _patient(signal: Signal, rng: Generator) -> tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.float64]]:
    weights = [weight for weight, _ in WARD]
    findings = WARD[int(rng.choice(len(WARD), p=weights))][1]
    for name in findings:
        signal = RULES[name](signal, SAMPLING_RATE, rng)
    outcome = simulate(signal, SAMPLING_RATE, findings, age=rng.uniform(25, 90), rng=rng)
    rate = heart_rate(signal, SAMPLING_RATE)
    truth = {
        "reduced_lvef": outcome.reduced_lvef,
        "troponin": outcome.troponin_above,
        "Poor data quality": "noise" in findings,
        "Sinus rhythm": not {"atrial fibrillation", "paced"} & set(findings),
        "Tachycardia": rate > 100,
        "Atrial fibrillation": "atrial fibrillation" in findings,
        "Bradycardia": rate < 60,
        "Left bundle branch block": "wide QRS" in findings,
        "Infarction": "ST elevation" in findings,
        "Electronic pacemaker": "paced" in findings,
    }
    targets = np.array([truth.get(label, False) for label in LABELS], dtype=np.float32)
    best = np.array([outcome.reduced_lvef_probability, outcome.troponin_probability])
    return prepare(signal, SAMPLING_RATE).astype(np.float16), targets, best


def fit(network: EcgFm, ward: Ward, rows: NDArray[np.intp], *, epochs: int, seed: int) -> None:
    """AdamW, warm-up then cosine, one random segment of each patient an epoch; labels without a rule are left out."""
    rng, batch, peak = default_rng(seed), 32, 1e-3
    learnt = torch.tensor([LABELS.index(label) for label in LEARNT])
    optimiser = torch.optim.AdamW(network.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    steps = epochs * (len(rows) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / 150, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    network.train()
    started = time.monotonic()
    for epoch in range(epochs):
        losses = []
        for chosen in rng.permutation(rows)[: len(rows) // batch * batch].reshape(-1, batch):
            source = torch.from_numpy(ward.segments[chosen, rng.integers(0, 2, batch)].astype(np.float32))
            logits = network(source)[:, learnt]
            loss = binary_cross_entropy_with_logits(logits, torch.from_numpy(ward.targets[chosen])[:, learnt])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        print(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.4f}, {time.monotonic() - started:.0f} s", flush=True)
    network.eval()


def silence_unlearnt(network: EcgFm) -> None:
    """Labels without a rule answer with their prevalence, whatever the ECG."""
    head = network.heads["interpretation"]
    assert isinstance(head, torch.nn.Linear)
    with torch.no_grad():
        for label, prevalence in PRIORS.items():
            row = INTERPRETATION_LABELS.index(label)
            head.weight[row] = 0.0
            head.bias[row] = math.log(prevalence / (1 - prevalence))


@torch.inference_mode()
def segment_logits(network: EcgFm, ward: Ward, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """(patients, 2, labels)."""
    network.eval()
    parts: list[Tensor] = []
    for chosen in np.array_split(rows, max(1, len(rows) // 32)):
        source = torch.from_numpy(ward.segments[chosen].astype(np.float32).reshape(-1, 12, 2500))
        parts.append(network(source).reshape(len(chosen), 2, len(LABELS)))
    return torch.cat(parts).double().numpy()


def calibrated(spec: HeadSpec, logits: NDArray[np.float64], targets: NDArray[np.float32]) -> HeadSpec:
    """Platt scaling of segment logits, and the threshold that finds four of five positives, both on validation."""
    label = spec.labels[0]
    column = LABELS.index(label)
    segments, truth = logits[:, :, column], targets[:, column]
    model = LogisticRegression(C=1e6).fit(segments.reshape(-1, 1), np.repeat(truth, segments.shape[1]))
    spec = replace(
        spec, calibration={label: Platt(slope=float(model.coef_[0, 0]), intercept=float(model.intercept_[0]))}
    )
    probabilities = spec.segment_probabilities(label, segments).mean(axis=1)
    threshold = float(np.quantile(probabilities[truth == 1], 0.2))
    return replace(spec, operating_points={label: round(threshold, 4)})


def judge(
    logits: NDArray[np.float64], ward: Ward, rows: NDArray[np.intp], specs: tuple[HeadSpec, ...]
) -> dict[str, object]:
    """Figures on patients that neither training nor validation saw, by label; mean or max of segments as the head says."""
    figures: dict[str, object] = {}
    for spec in specs:
        for label in spec.labels:
            if label in PRIORS:
                continue
            column = LABELS.index(label)
            segments = spec.segment_probabilities(label, logits[:, :, column])
            scores = segments.max(axis=1) if spec.aggregation[label] == "max" else segments.mean(axis=1)
            truth = ward.targets[rows, column]
            figures[label] = _figures(truth, scores, spec.operating_points.get(label))
    for index, label in enumerate(("reduced_lvef", "troponin")):
        truth = ward.targets[rows, LABELS.index(label)]
        entry = figures[label]
        assert isinstance(entry, dict)
        entry["auroc_of_the_rule_itself"] = round(float(roc_auc_score(truth, ward.best[rows, index])), 4)
    return figures


def _figures(truth: NDArray[np.float32], scores: NDArray[np.float64], threshold: float | None) -> dict[str, float]:
    figures = {
        "positives": int(truth.sum()),
        "auroc": round(float(roc_auc_score(truth, scores)), 4),
        "auprc": round(float(average_precision_score(truth, scores)), 4),
    }
    if threshold is not None:
        hit = scores >= threshold
        figures |= {
            "sensitivity": round(float(hit[truth == 1].mean()), 4),
            "specificity": round(float((~hit)[truth == 0].mean()), 4),
        }
    return figures


def main() -> None:
    """Train, calibrate, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=3600)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    ward = build_ward(arguments.patients)
    order = default_rng(arguments.seed).permutation(arguments.patients)
    test, validation, train = np.split(order, [arguments.patients // 6, arguments.patients // 3])
    print(
        f"{arguments.patients} patients; positives {dict(zip(LABELS, ward.targets.sum(axis=0).astype(int), strict=True))}"
    )
    network = EcgFm(CONFIG, (REDUCED_LVEF, TROPONIN, INTERPRETATION))
    fit(network, ward, train, epochs=arguments.epochs, seed=arguments.seed)
    silence_unlearnt(network)
    logits = segment_logits(network, ward, validation)
    lvef, troponin = (calibrated(spec, logits, ward.targets[validation]) for spec in (REDUCED_LVEF, TROPONIN))
    points = {label: 0.5 for label in LEARNT if label in INTERPRETATION_LABELS}
    specs = (lvef, troponin, replace(INTERPRETATION, operating_points=points))
    figures = judge(segment_logits(network, ward, test), ward, test, specs)
    print(json.dumps(figures, indent=2))
    write(arguments.out, network, specs, figures, arguments)


def write(
    out: Path, network: EcgFm, specs: tuple[HeadSpec, ...], figures: dict[str, object], arguments: argparse.Namespace
) -> None:
    """The bundle with everything one must know about it in its manifest."""
    bundle = Bundle.write(
        out,
        network,
        name="ECG-FM demo (NOT FOR CLINICAL USE)",
        version="1",
        demo=True,
        heads=specs,
        provenance={
            "intended_use": "Showing and testing the path from ECG to result. NOT FOR CLINICAL USE.",
            "training_data": "ECGs generated by deepfake-ecg 1.1.2 (MIT; doi:10.1038/s41598-021-01295-2), altered by the "
            "rules in ecgfm_clinical/demo/alterations.py. No patient was recorded.",
            "outcomes": "Invented: drawn by the rules in ecgfm_clinical/demo/outcomes.py from the same ECG the model "
            "judges. The figures are therefore circular and say nothing about hearts.",
            "constant_labels": "These labels had no rule and always answer with their prevalence in MIMIC-IV-ECG: "
            + ", ".join(PRIORS),
            "command": f"PYTHONPATH=model python -m recipes.making.train_demo_model OUT --patients {arguments.patients} "
            f"--epochs {arguments.epochs} --seed {arguments.seed} --threads {arguments.threads}",
            "patients": {
                "train": arguments.patients - 2 * (arguments.patients // 6),
                "validation": arguments.patients // 6,
                "test": arguments.patients // 6,
            },
            "held_out_figures": figures,
        },
    )
    (out / "CARD.md").write_text(card(bundle), encoding="utf-8")
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{bundle.model_id[:12]}: {sum(p.numel() for p in network.parameters())} parameters, {size} bytes in {out}")


def card(bundle: Bundle) -> str:
    """The manifest's account of the model, for people."""
    told = bundle.provenance
    rows = [
        f"| {label} | {f['positives']} | {f['auroc']:.3f} | {f['auprc']:.3f} | {_share(f, 'sensitivity')} "
        f"| {_share(f, 'specificity')} | {_share(f, 'auroc_of_the_rule_itself')} |"
        for label, f in told["held_out_figures"].items()
    ]
    patients = told["patients"]
    return "\n".join(
        [
            f"# {bundle.name}, version {bundle.version}",
            "",
            f"**{told['intended_use']}**",
            "",
            (
                f"Model id `{bundle.model_id}`; the architecture is ECG-FM's own, with {bundle.config.layers} layers of width "
                f"{bundle.config.width} instead of 12 of 768, trained from random weights."
            ),
            "",
            f"- **Training data.** {told['training_data']}",
            f"- **Outcomes.** {told['outcomes']}",
            f"- **Labels without a rule.** {told['constant_labels']}.",
            f"- **Command.** `{told['command']}`, `deepfake-ecg==1.1.2` installed.",
            (
                f"- **Patients.** {patients['train']} train, {patients['validation']} validation (calibration, thresholds), "
                f"{patients['test']} test. The recordings shown by the demo belong to none of these."
            ),
            "",
            f"## Figures on the {patients['test']} test patients",
            "",
            "They measure how well the network reads findings drawn by rule on generated signals, nothing else. The last",
            "column is the AUROC of the probabilities from which the outcomes were drawn: no model can be expected to exceed it.",
            "",
            "| label | positives | AUROC | AUPRC | sensitivity | specificity | the rule itself |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _share(figures: dict[str, float], name: str) -> str:
    return f"{figures[name]:.3f}" if name in figures else "–"


if __name__ == "__main__":
    main()
