"""What a head on ECG-FM is judged beside: cheaper ways to the same outcome, and other encoders, on the same patients
and splits.

Each learns from the training patients and chooses by the validation patients, as the head does. A benchmark of 2026
(arXiv:2509.25095) puts a state space network from nothing above a frozen ECG-FM on several tasks: whether the encoder
earns its keep has to be seen at each hospital.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgfm.finetuning.candidate import Model, Place, probabilities, random_model, segment_logits
from ecgfm.finetuning.linear import fit_probe
from ecgfm.finetuning.split import Split
from ecgfm.rivals import scratch
from ecgfm.rivals.onnx_encoder import OnnxEncoder
from ecgfm.rivals.scratch import Network, Scratch
from ecgfm_clinical.learning.cohort.members import Cohort, Member
from ecgfm_clinical.learning.cohort.sources import EcgSource, Signals
from ecgfm_clinical.learning.judging.comparators import AGE_SEX, FOREST, RANDOM_ENCODER, age_and_sex, forest, numbers
from ecgfm_clinical.learning.training import Progress, probe, quiet

Floats = NDArray[np.float64]
Kind = Literal["forest", "cnn", "s4d"]
NETWORKS: Mapping[Kind, tuple[str, Callable[[int, Scratch], Network]]] = {
    "cnn": ("convolutional network", scratch.convolutional),
    "s4d": ("S4D network", scratch.s4d),
}
FOREST_ECGS = 20_000  #: training ECGs that a forest is grown on at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Who stands beside a head, besides age and sex and an encoder with random weights, which always do."""

    beside: tuple[Kind, ...] = ("forest",)
    size: Scratch = field(default_factory=Scratch)
    encoders: tuple[Path, ...] = ()  #: ONNX files


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The rivals of one head on one cohort."""

    rivals: Rivals
    cohort: Cohort = field(repr=False)
    source: EcgSource = field(repr=False)
    place: Place
    progress: Progress = quiet

    @property
    def split(self) -> Split:
        return Split(train=self.cohort.examples("train"), validation=self.cohort.examples("validation"))

    def scores(self, candidate: Model, head: str) -> dict[str, Floats]:
        """Name -> probabilities (test members, labels). Raises TrainingError, RuntimeUnavailable (an ONNX file)."""
        found = {AGE_SEX: self._age_and_sex(), RANDOM_ENCODER: self._random_encoder(candidate, head)}
        if "forest" in self.rivals.beside:
            self.progress(f"rival: {FOREST}", 0, 1)
            found[FOREST] = self._forest()
        for kind in self.rivals.beside:
            if kind in NETWORKS:
                name, make = NETWORKS[kind]
                found[name] = self._network(name, make)
        for path in self.rivals.encoders:
            self.progress(f"rival: {path.name}", 0, 1)
            found[f"{path.stem} (ONNX)"] = self._encoder(path)
        return found

    def _age_and_sex(self) -> Floats:
        train, test = self.cohort.of("train"), self.cohort.of("test")
        return np.stack([age_and_sex(train, test, column) for column in range(len(self.cohort.labels))], axis=1)

    def _random_encoder(self, like: Model, head: str) -> Floats:
        """A linear probe on an encoder of the same sizes that has learnt nothing."""
        read = Signals(source=self.source)
        trained = probe(random_model(like).network, like.spec(head), self.split, read, self.place)
        fitted = Model(network=trained.network, specs=trained.network.specs, origin=RANDOM_ENCODER)
        logits = segment_logits(fitted, head, self.cohort.examples("test"), read, self.place)
        return probabilities(replace(fitted.spec(head), calibration=None), logits)

    def _forest(self) -> Floats:
        train = _some(self.cohort.of("train"), FOREST_ECGS)
        learnt, asked = numbers(train, self.source), numbers(self.cohort.of("test"), self.source)
        truth = np.array([member.example.labels for member in train])
        return np.stack([forest(learnt, own, asked) for own in truth.T], axis=1)

    def _network(self, name: str, make: Callable[[int, Scratch], Network]) -> Floats:
        labels, read, device = self.cohort.labels, Signals(source=self.source), self.place.device
        network, path = make(len(labels), self.rivals.size), self._kept(name)
        if path.exists():  # the same training: its end is known
            scratch.read(network, path)
        else:
            scratch.train_from_scratch(
                network,
                labels,
                self.split,
                read,
                self.rivals.size,
                device=device,
                progress=partial(self.progress, f"rival: {name}"),
            )
            scratch.keep(network, path)
        return scratch.score(network, len(labels), self.cohort.examples("test"), read, device=device)

    def _kept(self, name: str) -> Path:
        """Where a network lies that was trained on these very ECGs."""
        parts = (self.split.train, self.split.validation)
        told = [[(one.key, one.patient, [str(label) for label in one.labels]) for one in part] for part in parts]
        digest = hashlib.sha256(json.dumps([name, asdict(self.rivals.size), told]).encode()).hexdigest()
        return self.place.cache / "rivals" / f"{digest[:32]}.pt"

    def _encoder(self, path: Path) -> Floats:
        encoder, read, split = OnnxEncoder(path), Signals(source=self.source), self.split
        rows = (encoder.embed(split.train, read), encoder.embed(split.validation, read))
        return fit_probe(self.cohort.labels, split, rows).probabilities(
            encoder.embed(self.cohort.examples("test"), read)
        )


def _some(members: Sequence[Member], most: int) -> Sequence[Member]:
    """All of them, or as many by the hash of the patient."""
    if len(members) <= most:
        return members
    return sorted(members, key=lambda one: hashlib.sha256(one.example.patient.encode()).hexdigest())[:most]
