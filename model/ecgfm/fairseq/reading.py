"""Read a fairseq-signals checkpoint (`wav2vec2_cmsc` or `ecg_transformer_classifier`) without running anything in it.

The file is memory-mapped and only `cfg` and `model` are touched, so the optimiser's two moments (two thirds of a
published file) are never read. Unpickling is torch's weights-only one with an explicit list of names; classes of
omegaconf and argparse, which older forks pickle into the configuration, are replaced by empty stand-ins.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: what a checkpoint's pickle holds

import numpy as np
import torch
from torch import Tensor

from ecgfm.assembly import assemble
from ecgfm.config import ConvLayer, EncoderConfig, parse_conv_layers
from ecgfm.errors import CheckpointError, UnknownArchitecture, UnsafeCheckpoint
from ecgfm.heads import INTERPRETATION, HeadSpec, mean_of
from ecgfm.network import EcgFm

#: Tensors of the pretraining task, which a network for inference does not have.
PRETRAINING_ONLY = ("mask_emb", "quantizer.", "project_q.", "final_proj.")

#: (1 - p) / p of the published labels on their training split, in logit order: they identify the published label set.
PUBLISHED_POS_WEIGHT = (
    *(36.796317, 0.231449, 14.49034, 3.780268, 1104.575439, 23.01044, 8.897255, 54.976017, 6.66556),
    *(7.404951, 11.790818, 12.727873, 32.175994, 11.188187, 26.172215, 3.464408, 24.640965),
)

_LEGACY_WEIGHT_NORM = {
    "conv_pos.pos_conv.0.weight_g": "conv_pos.pos_conv.0.parametrizations.weight.original0",
    "conv_pos.pos_conv.0.weight_v": "conv_pos.pos_conv.0.parametrizations.weight.original1",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """What a fairseq-signals file says of its network:
    tensors are memory-mapped, `model` is `cfg.model` in plain values.
    """

    path: Path
    model: Mapping[str, Any]
    criterion: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


class _StandIn:
    """Takes the place of a configuration class when unpickling; it keeps the state and does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


def read(path: Path) -> Checkpoint:
    """Raises `CheckpointError` (missing, truncated, not a checkpoint) or `UnsafeCheckpoint` (names other code)."""
    content = _load(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise CheckpointError(
            f"{path} is a torch file but not a fairseq-signals checkpoint: it has no `model` dictionary"
        )
    cfg = _plain(content.get("cfg"))
    if not isinstance(cfg, dict) or not isinstance(cfg.get("model"), dict):
        raise UnknownArchitecture(
            f"{path} carries no `cfg.model`: attention heads and norm placement cannot be told from the tensors. "
            "Use the original checkpoint file, not one stripped of its configuration."
        )
    tensors = {name: value for name, value in content["model"].items() if isinstance(value, Tensor)}
    criterion = cfg.get("criterion")
    return Checkpoint(
        path=path, model=cfg["model"], criterion=criterion if isinstance(criterion, dict) else {}, tensors=tensors
    )


def _load(path: Path) -> Any:
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals(_allowed(named, path)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except UnsafeCheckpoint:
        raise
    except Exception as error:  # torch raises whatever a damaged zip, pickle or storage provokes
        # Its text is kept in the cause only: on a refused pickle it advises to switch the safe loader off.
        raise CheckpointError(
            f"{path} is not a readable torch checkpoint: truncated, damaged, or another kind of file. "
            "Compare its size and digest with the publisher's, and fetch it again."
        ) from error


def _allowed(named: Sequence[str], path: Path) -> list[Any]:
    """The allow-list for this file; raises `UnsafeCheckpoint` where the file names anything else."""
    known = {
        "numpy.ndarray": np.ndarray,
        "numpy.dtype": np.dtype,
        "typing.Any": Any,
        "collections.defaultdict": defaultdict,
        **{f"builtins.{kind.__name__}": kind for kind in (dict, list, tuple, set, int, float, bool, str, bytes)},
        **{f"numpy.dtypes.{kind.__name__}": kind for kind in map(type, map(np.dtype, "?bhilqBHILQefd"))},
        # numpy 2 renamed the module; a file names whichever numpy wrote it.
        **{f"numpy.{core}.multiarray.scalar": np._core.multiarray.scalar for core in ("core", "_core")},  # type: ignore[attr-defined]  # private but pickled by name
        **{f"numpy.{core}.multiarray._reconstruct": np._core.multiarray._reconstruct for core in ("core", "_core")},  # type: ignore[attr-defined]  # private but pickled by name
    }
    stand_ins = {name for name in named if name.startswith("omegaconf.") or name == "argparse.Namespace"}
    refused = sorted(set(named) - set(known) - stand_ins)
    if refused:
        raise UnsafeCheckpoint(
            f"{path} names code that a checkpoint does not need: {', '.join(refused[:5])}. Nothing was executed. "
            "Do not open it with other tools either; fetch the file again from its publisher."
        )
    # All of them, named or not: a dtype's own class is met only while its state is restored.
    return [(what, name) for name, what in known.items()] + [
        (type(name.rpartition(".")[2], (_StandIn,), {}), name) for name in sorted(stand_ins)
    ]


def _plain(value: Any) -> Any:
    """Configuration with stand-ins resolved to dictionaries, lists and values."""
    if isinstance(value, _StandIn):
        state = vars(value)
        for inner in ("_content", "_val"):  # omegaconf containers, omegaconf leaves
            if inner in state:
                return _plain(state[inner])
        return _plain({name: entry for name, entry in state.items() if name != "arguments"})
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def network_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The checkpoint's tensors under this package's names: `encoder.*`, and `proj.*` where there is a classifier.

    Pretraining-only tensors are left out by name; both spellings of weight normalisation are taken.
    """
    classifier = any(name.startswith("encoder.feature_extractor.") for name in checkpoint.tensors)
    renamed: dict[str, Tensor] = {}
    for name, tensor in checkpoint.tensors.items():
        if classifier and name.startswith("proj."):
            renamed[name] = tensor
            continue
        bare = name.removeprefix("encoder.") if classifier else name
        if not bare.startswith(PRETRAINING_ONLY):
            renamed["encoder." + _LEGACY_WEIGHT_NORM.get(bare, bare)] = tensor
    return renamed


def architecture(
    checkpoint: Checkpoint, tensors: Mapping[str, Tensor], *, heads: int | None, pre_norm: bool | None
) -> EncoderConfig:
    """Sizes from the tensors; what tensors cannot tell (heads, norm placement, strides) from `cfg.model`.

    `heads` and `pre_norm` override the configuration. Raises `UnknownArchitecture` where they are needed and absent, or
    where the configuration's sizes contradict the tensors (the published pretraining YAML is stale in this way).
    """
    cfg = checkpoint.model
    (width,) = _shape(checkpoint, tensors, "encoder.encoder.layer_norm.weight", 1)
    layers = len({name.split(".")[3] for name in tensors if name.startswith("encoder.encoder.layers.")})
    if cfg.get("extractor_mode", "default") != "default":
        raise UnknownArchitecture(f"{checkpoint.path}: extractor_mode {cfg['extractor_mode']!r} is not ECG-FM's")
    found = {
        "encoder_layers": layers,
        "encoder_embed_dim": width,
        "encoder_ffn_embed_dim": _shape(checkpoint, tensors, "encoder.encoder.layers.0.fc1.weight", 2)[0],
    }
    stale = [f"{key} {cfg[key]} (tensors: {value})" for key, value in found.items() if cfg.get(key, value) != value]
    if stale and (heads is None or pre_norm is None):
        raise UnknownArchitecture(
            f"{checkpoint.path}: its configuration is of another network: {', '.join(stale)}. "
            "State the attention heads and the norm placement yourself (the published ECG-FM: 12 heads, post-norm)."
        )
    for key, given in (("encoder_attention_heads", heads), ("layer_norm_first", pre_norm)):
        if given is None and key not in cfg:
            raise UnknownArchitecture(
                f"{checkpoint.path}: `{key}` is not in its configuration and cannot be told from the tensors; "
                "state it yourself (the published ECG-FM: 12 heads, post-norm)."
            )
    _, group_width, kernel = _shape(
        checkpoint, tensors, "encoder.conv_pos.pos_conv.0.parametrizations.weight.original1", 3
    )
    return EncoderConfig(
        leads=_shape(checkpoint, tensors, "encoder.feature_extractor.conv_layers.0.0.weight", 3)[1],
        conv_layers=_conv_layers(checkpoint, tensors),
        conv_bias="encoder.feature_extractor.conv_layers.0.0.bias" in tensors,
        width=width,
        layers=layers,
        ffn_width=found["encoder_ffn_embed_dim"],
        heads=int(cfg["encoder_attention_heads"] if heads is None else heads),
        pre_norm=bool(cfg["layer_norm_first"] if pre_norm is None else pre_norm),
        conv_pos_kernel=kernel,
        conv_pos_groups=width // group_width,
        **{
            ours: float(cfg.get(theirs, 0.0))
            for ours, theirs in (
                ("dropout", "dropout"),
                ("attention_dropout", "attention_dropout"),
                ("activation_dropout", "activation_dropout"),
                ("dropout_input", "dropout_input"),
            )
        },
        feature_grad_mult=float(cfg.get("feature_grad_mult", 1.0)),
    )


def _shape(checkpoint: Checkpoint, tensors: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in tensors or tensors[name].ndim != dimensions:
        raise UnknownArchitecture(
            f"{checkpoint.path} has no {dimensions}-dimensional tensor {name}: it is not an ECG-FM file"
        )
    return tuple(tensors[name].shape)


def _conv_layers(checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> tuple[ConvLayer, ...]:
    """Channels and kernels of the tensors, strides of the configuration; both must agree on what both say."""
    text = checkpoint.model.get("conv_feature_layers", "[(256, 2, 2)] * 4")
    layers = parse_conv_layers(str(text))
    prefix, suffix = "encoder.feature_extractor.conv_layers.", ".0.weight"
    names = [f"{prefix}{index}{suffix}" for index in range(len(layers))]
    stored = {name for name in tensors if name.startswith(prefix) and name.endswith(suffix)}
    if stored != set(names) or [(tensors[name].shape[0], tensors[name].shape[-1]) for name in names] != [
        (channels, kernel) for channels, kernel, _ in layers
    ]:
        raise UnknownArchitecture(f"{checkpoint.path}: convolution stack {text!r} does not fit its tensors")
    return layers


def head_spec(checkpoint: Checkpoint, outputs: int, labels: Sequence[str] | None) -> HeadSpec:
    """The head of a classifier file with `outputs` logits; `labels` names them where the file is not the published one.

    Seventeen logits are the published interpretation labels unless the file's own pos_weight says otherwise; any other
    head without given labels is named `label_0`, `label_1` … rather than guessed.
    """
    if labels is not None:
        if len(labels) != outputs:
            raise CheckpointError(f"{checkpoint.path} has {outputs} logits, but {len(labels)} labels were given")
    elif outputs == len(INTERPRETATION.labels) and _published_labels(checkpoint):
        return INTERPRETATION
    names = tuple(labels) if labels is not None else tuple(f"label_{index}" for index in range(outputs))
    target = "As defined by whoever fine-tuned the imported checkpoint."
    return HeadSpec(name="finetuned", labels=names, target=target, aggregation=mean_of(names))


def _published_labels(checkpoint: Checkpoint) -> bool:
    weights = checkpoint.criterion.get("pos_weight")
    return not weights or (
        len(weights) == len(PUBLISHED_POS_WEIGHT) and np.allclose(weights, PUBLISHED_POS_WEIGHT, rtol=1e-3)
    )


def build(
    path: Path, *, labels: Sequence[str] | None = None, heads: int | None = None, pre_norm: bool | None = None
) -> EcgFm:
    """The file's network in trainable form (weight normalisation kept), its tensors copied out of the file.

    Raises `CheckpointError` or one of its kinds.
    """
    checkpoint = read(path)
    tensors = network_tensors(checkpoint)
    config = architecture(checkpoint, tensors, heads=heads, pre_norm=pre_norm)
    specs: list[HeadSpec] = []
    if "proj.weight" in tensors:
        spec = head_spec(checkpoint, tensors["proj.weight"].shape[0], labels)
        tensors = {name.replace("proj.", f"heads.{spec.name}.", 1) if name.startswith("proj.") else name: tensor
                   for name, tensor in tensors.items()}  # fmt: skip
        specs.append(spec)
    return assemble(config, specs, tensors, source=str(path))
