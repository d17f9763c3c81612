"""A trained head becomes part of a bundle: calibrated, given its operating point, joined with the heads that still fit.

A head is only ever kept on the very encoder it was trained on. A linear probe leaves the encoder as it was, so the
base's other heads share it. Fine-tuning changes it: where heads of the base stay beside the new one, the bundle has
several encoders, and each ECG takes a pass of each.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ecgfm.calibration import CalibrationMethod, NoOperatingPoint, choose_threshold, fit
from ecgfm.checkpoint import Bundle
from ecgfm.config import EncoderConfig
from ecgfm.errors import NoHead, TrainingError
from ecgfm.finetuning.dataset import Example, Reader, label_matrix
from ecgfm.finetuning.embedding import Progress, embed, encoder_digest
from ecgfm.heads import Calibration, HeadSpec, aggregate
from ecgfm.network import EcgFm
from ecgfm.operating_rule import OperatingRule
from ecgfm.provenance import Provenance
from ecgfm.signal import PREPROCESSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network in trainable form with the specifications of its heads, calibrated ones included."""

    network: EcgFm = field(repr=False)
    specs: tuple[HeadSpec, ...]
    origin: str  #: for people

    @classmethod
    def of(cls, bundle: Bundle) -> "Model":
        """The model of a bundle; raises BundleError."""
        return cls(network=bundle.network().eval(), specs=bundle.heads, origin=f"{bundle.name} {bundle.version}")

    def spec(self, head: str) -> HeadSpec:
        """Raises NoHead."""
        found = next((spec for spec in self.specs if spec.name == head), None)
        if found is None:
            names = ", ".join(spec.name for spec in self.specs) or "none"
            raise NoHead(f"{self.origin} has no head {head!r}; it has {names}")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where embeddings are computed and kept."""

    cache: Path
    device: str = "auto"
    progress: Progress | None = None


def segment_logits(
    model: Model, head: str, examples: Sequence[Example], read: Reader, place: Place
) -> list[NDArray[np.float64]]:
    """Per example the head's logits (segments, labels). Raises NoHead, TrainingError."""
    model.spec(head)
    part = model.network.part(head)
    rows = embed(part, examples, read, cache=place.cache, device=place.device, progress=place.progress)
    linear = part.heads[head].cpu()
    with torch.inference_mode():
        return [linear(torch.from_numpy(row)).numpy().astype(np.float64) for row in rows]


def probabilities(spec: HeadSpec, logits: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(examples, labels): calibrated per segment and aggregated, as the predictor does it before a prior shift."""
    return np.array(
        [
            [
                aggregate(spec.segment_probabilities(label, own[:, column]), spec.aggregation[label])
                for column, label in enumerate(spec.labels)
            ]
            for own in logits
        ]
    ).reshape(len(logits), len(spec.labels))


def said(spec: HeadSpec, logits: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(examples, labels): what the predictor says, prior shifts included."""
    found = probabilities(spec, logits)
    for column, label in enumerate(spec.labels):
        if label in spec.prior_shifts:
            found[:, column] = [spec.shifted(label, float(one)) for one in found[:, column]]
    return found


def calibrated(
    spec: HeadSpec, examples: Sequence[Example], logits: Sequence[NDArray[np.float64]], method: CalibrationMethod
) -> HeadSpec:
    """The head with a calibration fitted on these examples, of which it has learnt none, and without a prior shift,
    which was one from the former calibration. Raises ValueError with one class only.
    """
    labels = label_matrix(examples)
    fitted: dict[str, Calibration] = {}
    for column, label in enumerate(spec.labels):
        known = np.flatnonzero(np.isfinite(labels[:, column]))
        own = [logits[int(i)][:, column] for i in known]
        found = fit(labels[known, column], own, spec.aggregation[label], method)
        if found is not None:
            fitted[label] = found
    return replace(spec, calibration=fitted or None, prior_shifts={})


def with_operating_points(
    spec: HeadSpec, examples: Sequence[Example], logits: Sequence[NDArray[np.float64]], rule: OperatingRule
) -> HeadSpec:
    """The head with one threshold a label, chosen by rule on these examples. Raises NoOperatingPoint."""
    labels, found = label_matrix(examples), probabilities(spec, logits)
    points = {}
    for column, label in enumerate(spec.labels):
        known = np.isfinite(labels[:, column])
        points[label] = choose_threshold(labels[known, column], found[known, column], rule)
    return replace(spec, operating_points=points)


def with_site_operating_points(
    spec: HeadSpec,
    examples: Sequence[Example],
    logits: Sequence[NDArray[np.float64]],
    sites: Sequence[str],
    rules: Mapping[str, OperatingRule],
    *,
    least: int,
    whose: str = "validation ECGs",
) -> tuple[HeadSpec, dict[str, str]]:
    """The head with a threshold a label for each site that has a rule, and per site on which ECGs it was chosen.

    `sites` names each example's, `whose` says which ECGs they are. A site with `least` positives and negatives of every
    label is served from its own ECGs; a smaller one by its own rule on all of them. Raises NoOperatingPoint.
    """
    labels = label_matrix(examples)
    points, chosen_on = {}, {}
    for site, rule in rules.items():
        own = np.array([one == site for one in sites], dtype=bool)
        counts = [int((labels[own, c] == value).sum()) for c in range(len(spec.labels)) for value in (0, 1)]
        if min(counts) < least:
            chosen_on[site] = f"all {len(own)} {whose}, too few of this site ({int(own.sum())})"
            own[:] = True
        else:
            chosen_on[site] = f"{int(own.sum())} {whose} of this site"
        kept = np.flatnonzero(own).tolist()
        try:
            of_site = with_operating_points(spec, [examples[i] for i in kept], [logits[i] for i in kept], rule)
        except NoOperatingPoint as error:
            raise NoOperatingPoint(f"site {site}: {error}") from error
        points[site] = dict(of_site.operating_points)
    return replace(spec, site_operating_points=points), chosen_on


def joined(base: Model, trained: EcgFm, spec: HeadSpec) -> Model:
    """The trained head (with its finished `spec`) beside the base's other heads, each on its own encoder; where that is
    the very one of the trained head, they share it.

    Raises TrainingError where the encoders read signals that are prepared differently: an ECG is prepared once.
    """
    kept = tuple(one for one in base.specs if one.name != spec.name)
    if kept and base.network.preprocessing != trained.preprocessing:
        raise TrainingError(
            f"{spec.name} was trained on signals prepared by {trained.preprocessing!r}, {base.origin} prepares them by "
            f"{base.network.preprocessing!r}; `ecgfm-clinical model renew` makes of it one that prepares them alike"
        )
    parts = base.network.parts
    heads = [*((one, parts[one.encoder]) for one in kept), (spec, trained)]
    return _assembled(heads, (*parts, trained), f"trained from {base.origin}")


def without(model: Model, heads: Collection[str]) -> Model:
    """The model without these heads, and without an encoder that no head stands on any more."""
    parts = model.network.parts
    kept = [(spec, parts[spec.encoder]) for spec in model.specs if spec.name not in heads]
    return _assembled(kept, parts, model.origin)


def _assembled(heads: Sequence[tuple[HeadSpec, EcgFm]], parts: Sequence[EcgFm], origin: str) -> Model:
    """Copies of these heads, each given with the part it is of, and of their encoders in the order of `parts`.

    Encoders that are equal stand once; one without head is left out, but the first where there is no head at all.
    """
    used = [part for part in parts if any(part is own for _, own in heads)] or parts[:1]
    digests = {id(part): encoder_digest(part) for part in used}
    encoders = {digests[id(part)]: part.encoder for part in used}
    order = list(dict.fromkeys(digests.values()))
    specs = tuple(replace(spec, encoder=order.index(digests[id(part)])) for spec, part in heads)
    first, *further = (encoders[digest].config for digest in order)
    network = EcgFm(first, specs, used[-1].preprocessing, further=further)
    for own, digest in zip(network.encoders, order, strict=True):
        own.load_state_dict(encoders[digest].state_dict())
    for spec, part in heads:
        network.heads[spec.name].load_state_dict(part.heads[spec.name].state_dict())
    return Model(network=network.eval(), specs=specs, origin=origin)


def fingerprints(model: Model) -> dict[str, str]:
    """Head -> SHA-256 (hex) of everything that decides its answers: encoder, weights, calibration, thresholds.

    Equal fingerprints in two bundles are the same head, judged once.
    """
    encoders = [encoder_digest(part) for part in model.network.parts]
    return {spec.name: _fingerprint(encoders[spec.encoder], model.network, spec) for spec in model.specs}


def _fingerprint(encoder: str, network: EcgFm, spec: HeadSpec) -> str:
    # Its encoder's number says where it stands in this bundle, not which encoder that is.
    told = {name: value for name, value in spec.to_json().items() if name not in ("target", "encoder")}
    digest = hashlib.sha256(json.dumps([encoder, told], sort_keys=True).encode())
    for name, tensor in sorted(network.heads[spec.name].state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write(model: Model, folder: Path, *, name: str, version: str, demo: bool, provenance: Provenance) -> Bundle:
    """The model as a bundle folder; raises BundleError where it exists already."""
    return Bundle.write(
        folder, model.network, name=name, version=version, demo=demo, provenance=provenance, heads=model.specs
    )


def random_model(like: Model, *, seed: int = 0) -> Model:
    """The same sizes with random weights and no head:
    what an untrained encoder gives is the floor of every comparison.
    """
    return random_from(like.network.config, seed=seed, preprocessing=like.network.preprocessing)


def random_from(config: EncoderConfig, *, seed: int = 0, preprocessing: str = PREPROCESSING) -> Model:
    """An encoder of these sizes that has learnt nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EcgFm(config, preprocessing=preprocessing)
    return Model(network=network.eval(), specs=(), origin="random encoder")
