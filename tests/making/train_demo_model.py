"""Puts the demo's heads on the pretrained demo encoder by `retrain`'s own path and writes the demo bundle.
NOT FOR CLINICAL USE.

    python -m tests.making.make_pretraining_data WARD --patients 3600 --first-seed 1000
    ecgfm-clinical model probe ENCODER --labels PUBLIC/probe/labels.csv --json > PUBLIC.json
    ecgfm-clinical model probe ENCODER --labels UNSEEN/rhythm.csv --json > UNSEEN.json
    python -m tests.making.train_demo_model ENCODER WARD PUBLIC.json UNSEEN.json OUT --work SCRATCH

ENCODER is the bundle that `demo.toml` gives. UNSEEN is made like WARD, 1600 patients from seed 500000 on; rhythm.csv is
its labels.csv with the columns bradycardia, tachycardia and atrial fibrillation only. Both probes, on patients whom the
encoder never saw, go on the card as they are. The recordings that the demo shows have seeds below 1000, so the heads
have met none of them.
"""

import argparse
import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ecgfm.checkpoint import Bundle
from ecgfm.finetuning.candidate import Model
from ecgfm.finetuning.settings import FineTuning
from ecgfm.heads import INTERPRETATION, INTERPRETATION_LABELS, REDUCED_LVEF, TROPONIN
from ecgfm.network import EcgFm
from ecgfm.operating_rule import OperatingRule
from ecgfm.provenance import Provenance
from ecgfm_clinical.learning.cohort.labelling import Given
from ecgfm_clinical.learning.experiment import Experiment
from ecgfm_clinical.learning.folders import Folders
from ecgfm_clinical.learning.judged import Judged
from ecgfm_clinical.learning.judging.comparators import RANDOM_ENCODER
from ecgfm_clinical.learning.judging.judgement import Metric
from ecgfm_clinical.learning.plan import Plan
from ecgfm_clinical.learning.training import Training
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.shipped.recordings import SAMPLING_RATE
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeKind, OutcomeRow
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.patient import Patient

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
#: Interpretation label -> the columns of the ward's table that make it so.
FROM_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "Poor data quality": ("noise",),
    "Tachycardia": ("tachycardia",),
    "Atrial fibrillation": ("atrial fibrillation",),
    "Bradycardia": ("bradycardia",),
    "Left bundle branch block": ("wide QRS",),
    "Infarction": ("ST elevation",),
    "Electronic pacemaker": ("paced",),
}
LEARNT = tuple(label for label in INTERPRETATION_LABELS if label not in PRIORS)
SIMULATED = (
    f"All labels that the simulation makes are learnt: {', '.join(LEARNT)}. No alteration of "
    "`ecgfm_clinical/demo/alterations.py` makes the labels above. Most could be drawn by further rules of the same "
    "kind (an early wide beat without P, a run of them, sawtooth waves, a longer PR, dropped beats, a late R' in V1, a "
    "delta wave), and none has been; a supraventricular tachycardia with aberrancy could not be told from a "
    "ventricular one by anything that a rule would draw."
)
MEANING = "Drawn by rule on a generated signal; it says nothing about hearts."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """The generated patients of a folder as a source of ECGs to learn from, one each."""

    folder: Path
    lines: tuple[Mapping[str, str], ...] = field(repr=False)
    shifted_dates: bool = True

    @classmethod
    def open(cls, folder: Path) -> "Ward":
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            return cls(folder=folder, lines=tuple(csv.DictReader(file)))

    def rows(self) -> list[EcgRow]:
        return [
            EcgRow(
                key=line["recording"],
                patient=line["patient"],
                patient_keys=(line["patient"],),
                identified=True,
                acquired_at=datetime(2026, 1, 1, tzinfo=UTC),
                sampling_rate=SAMPLING_RATE,
                samples=5000,
                age=float(self._stored(line["recording"], "age")),
            )
            for line in self.lines
        ]

    def outcomes(self, kind: OutcomeKind) -> list[OutcomeRow]:
        """None: the labels stand in the table."""
        return []

    def contacts(self) -> list[OutcomeRow]:
        """None either."""
        return []

    def ecg(self, key: str) -> Ecg:
        signal = (self._stored(key, "signal") / 1000).astype(np.float32)  # µV -> mV
        return Ecg(
            source_id=key,
            format="generated",
            patient=Patient(),
            acquired=None,
            sampling_rate=SAMPLING_RATE,
            signal=signal,
            stored_leads=LEADS,
        )

    def ecgs(self, keys: Sequence[str]) -> Iterator[Ecg]:
        return map(self.ecg, keys)

    def labels(self, wanted: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Recording -> 0 or 1 for each of these labels."""
        return {line["recording"]: tuple(float(_truth(line, label)) for label in wanted) for line in self.lines}

    def chances(self, keys: Sequence[str]) -> NDArray[np.float64]:
        """(recordings, 2): the rules' own probabilities of reduced LVEF and raised troponin."""
        return np.array([self._stored(key, "chances") for key in keys], dtype=np.float64)

    def _stored(self, key: str, name: str) -> Any:
        file, _, row = key.partition("#")
        return _arrays(self.folder / file)[name][int(row)]


@cache
def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as file:
        return {name: file[name] for name in ("signal", "age", "chances")}


def _truth(line: Mapping[str, str], label: str) -> bool:
    if label == "Sinus rhythm":
        return line["atrial fibrillation"] == line["paced"] == "0"
    return any(line[column] == "1" for column in FROM_COLUMNS.get(label, (label,)))


def train(
    head: str, labels: Sequence[str], ward: Ward, base: Bundle, *, method: Literal["linear", "full"], work: Path
) -> Judged:
    """One head by an experiment, on a ward instead of the store;
    every alteration may be scored here, noise and pacing included.
    """
    plan = Plan(
        head=head,
        labelling=Given(table=ward.labels(labels), labels=tuple(labels), source="rules of the demo", meaning=MEANING),
        training=Training(
            method=method,
            fine_tuning=FineTuning(
                learning_rate=3e-4, batch_size=64, micro_batch=64, max_epochs=3, weigh_positives=False
            ),
        ),
        evaluability=HeadRules(paced="score", allow=("noise", "clipped-lead", "amplitude", "missing-lead")),
        operating_point=OperatingRule(what="sensitivity", at_least=0.8),
        note="Simulated and circular.",
        replicates=200,
    )
    experiment = Experiment(plan=plan, open_source=lambda _: ward, folders=Folders(root=work), device="cpu")
    done = experiment.retrain(base, None, now=datetime.now(UTC))
    assert done is not None  # only where several processes train together is there nothing to return
    return done


def whole_interpretation(bundle: Bundle) -> Model:
    """The bundle's model with all 17 interpretation labels in the published order;
    those without a rule answer with their prevalence.
    """
    model = Model.of(bundle)
    learnt = model.spec(INTERPRETATION.name)
    own = model.network.heads[learnt.name]
    assert isinstance(own, torch.nn.Linear)
    points = dict.fromkeys(learnt.labels, 0.5)
    specs = (
        replace(model.spec(REDUCED_LVEF.name), target=REDUCED_LVEF.target),
        replace(model.spec(TROPONIN.name), target=TROPONIN.target),
        replace(INTERPRETATION, operating_points=points),
    )
    network = EcgFm(model.network.config, specs)
    network.encoder.load_state_dict(model.network.encoder.state_dict())
    for spec in specs[:2]:
        network.heads[spec.name].load_state_dict(model.network.heads[spec.name].state_dict())
    whole = network.heads[INTERPRETATION.name]
    assert isinstance(whole, torch.nn.Linear)
    with torch.no_grad():
        for row, label in enumerate(INTERPRETATION_LABELS):
            if label in learnt.labels:
                whole.weight[row] = own.weight[learnt.labels.index(label)]
                whole.bias[row] = own.bias[learnt.labels.index(label)]
            else:
                whole.weight[row] = 0.0
                whole.bias[row] = math.log(PRIORS[label] / (1 - PRIORS[label]))
    return Model(network=network.eval(), specs=specs, origin=bundle.name)


def figures(done: Mapping[str, Judged], ward: Ward) -> dict[str, Any]:
    """Label -> what `retrain` found on its test patients, the same heads on a random encoder beside it."""
    told: dict[str, Any] = {}
    for head, one in done.items():
        # The interpretation head ships with another operating point than `retrain` chose for it.
        rates: tuple[Metric, ...] = () if head == INTERPRETATION.name else ("sensitivity", "specificity")
        shown: tuple[Metric, ...] = ("auroc", "auprc", *rates)
        for label, judged in one.judgement.labels.items():
            told[label] = {
                "test_patients": judged.ecgs,
                "positives": judged.positives,
                **{name: judged.metrics[name].value for name in shown},
                "random_encoder_auroc": judged.compared[RANDOM_ENCODER].auroc.value,
                "difference": judged.compared[RANDOM_ENCODER].difference.to_json(),
            }
        if head != INTERPRETATION.name:
            test = one.cohort.examples("test")
            chances = ward.chances([example.key for example in test])[:, (REDUCED_LVEF.name, TROPONIN.name).index(head)]
            truth = [example.labels[0] for example in test]
            told[head]["auroc_of_the_rule_itself"] = round(float(roc_auc_score(truth, chances)), 4)
    return told


def main() -> None:
    """Three heads, one bundle, one card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("ward", type=Path)
    parser.add_argument("public_probe", type=Path)
    parser.add_argument("generated_probe", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--interpretation", choices=["linear", "full"], default="linear")
    arguments = parser.parse_args()
    encoder, ward = Bundle.read(arguments.encoder), Ward.open(arguments.ward)
    public, generated = (
        json.loads(path.read_text(encoding="utf-8")) for path in (arguments.public_probe, arguments.generated_probe)
    )
    done: dict[str, Judged] = {}
    base = encoder
    for head, labels in (
        (INTERPRETATION.name, LEARNT),
        ("reduced_lvef", ("reduced_lvef",)),
        ("troponin", ("troponin",)),
    ):
        full = head == INTERPRETATION.name and arguments.interpretation == "full"
        done[head] = train(head, labels, ward, base, method="full" if full else "linear", work=arguments.work)
        base = done[head].bundle
    model = whole_interpretation(base)
    command = (
        f"python -m tests.making.train_demo_model ENCODER WARD PUBLIC.json UNSEEN.json OUT --work SCRATCH "
        f"--interpretation {arguments.interpretation}"
    )
    bundle = Bundle.write(
        arguments.out,
        model.network,
        name="ECG-FM demo (NOT FOR CLINICAL USE)",
        version="2",
        demo=True,
        heads=model.specs,
        provenance=Provenance(
            origin={
                "intended_use": "Showing and testing the path from ECG to result. NOT FOR CLINICAL USE.",
                "pretraining": {
                    name: encoder.provenance.origin[name] for name in ("training", "recipe", "updates", "shards_sha256")
                },
                "training_data": "Encoder: 4000 ECGs generated by deepfake-ecg 1.1.2 (MIT; "
                "doi:10.1038/s41598-021-01295-2) "
                "and altered by the rules in ecgfm_clinical/demo/alterations.py, and 176 public "
                "recordings under CC-BY-4.0, named in CARD.md; none of them is in this package. Heads: "
                "generated ECGs of other seeds, altered by the same rules.",
                "outcomes": "Invented: drawn by the rules in ecgfm_clinical/demo/outcomes.py from the same ECG the "
                "model "
                "judges. The figures are therefore circular and say nothing about hearts.",
                "constant_labels": "These labels had no rule and always answer with their prevalence in MIMIC-IV-ECG: "
                + ", ".join(PRIORS),
                "command": command,
                "patients": {
                    split: len(done["troponin"].cohort.of(split)) for split in ("train", "validation", "test")
                },
                "held_out_figures": figures(done, ward),
                "probe_on_public_patients": {name: public[name] for name in ("recordings", "labels")},
                "probe_on_generated_patients": {name: generated[name] for name in ("recordings", "labels")},
            }
        ),
    )
    (arguments.out / "CARD.md").write_text(card(bundle), encoding="utf-8")
    size = sum(file.stat().st_size for file in arguments.out.iterdir())
    print(f"{bundle.model_id[:12]}: {sum(p.numel() for p in model.network.parameters())} parameters, {size} bytes")


def card(bundle: Bundle) -> str:
    """The manifest's account of the model, for people."""
    told: Mapping[str, Any] = bundle.provenance.to_json()
    patients, updates = told["patients"], told["pretraining"]["updates"]
    return "\n".join(
        [
            f"# {bundle.name}, version {bundle.version}",
            "",
            f"**{told['intended_use']}**",
            "",
            (
                f"Model id `{bundle.model_id}`. The architecture is ECG-FM's own, with {bundle.config.layers} layers "
                f"of width {bundle.config.width} instead of 12 of 768."
            ),
            "",
            (
                "- **Encoder.** Pretrained without labels (wav2vec 2.0, CMSC, random lead masking) by "
                f"`model/ecgfm/pretraining/recipes/demo.toml`, whose first lines are the commands, {updates} updates."
            ),
            f"- **Training data.** {told['training_data']}",
            (
                "- **Thanks** for the public recordings, all CC-BY-4.0: PTB-XL (Wagner et al. 2020, "
                "doi:10.1038/s41597-020-0495-6; its folds 1 to 5), the PhysioNet/Computing in Cardiology Challenges "
                "2020 and 2021 (Perez Alday et al., doi:10.1088/1361-6579/abc960; Reyna et al., "
                "doi:10.23919/CinC53138.2021.9662687), the Chapman-Shaoxing database (Zheng et al. 2020, "
                "doi:10.1038/s41597-020-0386-x) and CODE-15% (Ribeiro et al. 2021, doi:10.5281/zenodo.4916206). They "
                "were read where they lay; no recording is in this package."
            ),
            f"- **Heads.** Linear probes by `retrain`'s own path: `{told['command']}`."
            if "--interpretation linear" in told["command"]
            else "- **Heads.** By `retrain`'s own path: the encoder was fine-tuned with the interpretation head, the "
            f"other two are linear probes on what came out: `{told['command']}`.",
            f"- **Outcomes.** {told['outcomes']}",
            f"- **Labels without a rule.** {told['constant_labels']}.",
            f"- **Labels of the simulation.** {SIMULATED}",
            (
                "- **Operating points.** Reduced LVEF and troponin: the highest threshold that finds 80 % of "
                "validation positives; interpretation: 0.5."
            ),
            (
                f"- **Patients of the heads.** {patients['train']} train, {patients['validation']} validation "
                f"(penalty, calibration, thresholds), {patients['test']} test. The recordings shown by the demo belong "
                "to none of these."
            ),
            "",
            "## Does pretraining help? The encoder against the same network with random weights",
            "",
            (
                "Linear probes on patients whom the encoder never met, before it had heads; AUROC with 95 % intervals, "
                "five folds by patient."
            ),
            "",
            *_probe_table(
                "PTB-XL, folds 6 to 10 (six of the Challenge's recordings in training are other recordings of PTB-XL, "
                "whose patients are not told)",
                told["probe_on_public_patients"],
            ),
            *_probe_table(
                "Generated patients, their rhythm (other labels were not probed)",
                told["probe_on_generated_patients"],
            ),
            f"## Figures of the heads on their {patients['test']} test patients",
            "",
            "They measure how well the model reads findings drawn by rule on generated signals, nothing else.",
            "`random weights` is the same head, trained in the same way on an encoder that has learnt nothing;",
            "`the rule itself` is the AUROC of the probabilities from which the outcomes were drawn: no model can be",
            "expected to exceed it. Intervals are in bundle.json.",
            "",
            "| label | positives | AUROC | random weights | AUPRC | sensitivity | specificity | the rule itself |",
            "|---|---|---|---|---|---|---|---|",
            *(_head_row(label, found) for label, found in told["held_out_figures"].items()),
            "",
        ]
    )


def _probe_table(patients: str, probed: Mapping[str, Any]) -> list[str]:
    """One table and what it says, with lines between."""
    labels = probed["labels"]
    better = [found["label"] for found in labels if found["beats_random"]]
    worse = [found["label"] for found in labels if found["difference"]["high"] < 0]
    return [
        f"**{patients}**, {probed['recordings']} recordings:",
        "",
        "| label | positives | encoder | random weights | difference |",
        "|---|---|---|---|---|",
        *(_probe_row(found) for found in labels),
        "",
        _verdict(better, worse),
        "",
    ]


def _probe_row(found: Mapping[str, Any]) -> str:
    cells = [_interval(found[name]) for name in ("auroc", "random_auroc")]
    difference = found["difference"]
    low, high = difference["low"], difference["high"]
    cells.append(f"{difference['value']:+.3f} ({low:.3f} to {high:.3f})")
    return f"| {found['label']} | {found['positives']} of {found['recordings']} | " + " | ".join(cells) + " |"


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _verdict(better: Sequence[str], worse: Sequence[str]) -> str:
    if better:
        said = f"Here it beats random weights for {', '.join(better)}: the interval of the difference lies above 0."
    else:
        said = "**Here it does not beat random weights**: no interval of a difference lies above 0."
    return said + (f" It is worse for {', '.join(worse)}." if worse else "")


def _head_row(label: str, found: Mapping[str, Any]) -> str:
    names = ("auroc", "random_encoder_auroc", "auprc", "sensitivity", "specificity", "auroc_of_the_rule_itself")
    cells = [f"{found[name]:.3f}" if name in found else "–" for name in names]
    return f"| {label} | {found['positives']} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
