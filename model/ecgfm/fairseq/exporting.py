"""What leaves a pretraining run: a bundle for this product, or a checkpoint file in the layout of fairseq-signals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any  # Any: what a checkpoint's pickle holds

import torch
from torch import Tensor

from ecgfm.checkpoint import Bundle
from ecgfm.errors import TrainingError
from ecgfm.fairseq.configuration import reference_cfg
from ecgfm.network import EcgFm
from ecgfm.pretraining.checkpoint import Checkpoint, load_pretraining
from ecgfm.pretraining.objective import Pretraining
from ecgfm.provenance import Provenance

#: The order in which the reference registers its parameters; its optimiser state is numbered by it.
_ORDER = (
    *("mask_emb", "encoder.", "feature_extractor.", "post_extract_proj.", "conv_pos.", "layer_norm."),
    *("quantizer.", "project_q.", "final_proj."),
)
_CONV_POS = ("bias", "original0", "original1")


def encoder_network(model: Pretraining) -> EcgFm:
    """The encoder alone, without head, in trainable form; weights are shared with `model`."""
    network = EcgFm(model.encoder.config)
    network.encoder.load_state_dict(model.encoder.state_dict(), assign=True)
    return network


def write_bundle(checkpoint: Path, folder: Path, *, version: str, demo: bool, notes: Mapping[str, str]) -> Bundle:
    """The encoder of a training checkpoint as a new bundle without heads;
    recipe, data digest and the caller's notes go into its provenance.

    Raises `TrainingError` or `BundleError`.
    """
    model, trained = load_pretraining(checkpoint)
    return Bundle.write(
        folder,
        encoder_network(model),
        name=trained.recipe.name,
        version=version,
        demo=demo,
        provenance=Provenance(
            origin={
                "training": "pretraining: wav2vec 2.0 + CMSC",
                "recipe": trained.recipe.to_json(),
                "updates": trained.update,
                "shards_sha256": trained.data,
                **notes,
            }
        ),
    )


def write_reference_checkpoint(checkpoint: Path, path: Path) -> None:
    """A file that fairseq-signals loads as its own `wav2vec2_cmsc`: same keys, shapes, `cfg` and optimiser state.

    Raises:
        TrainingError: `path` exists already, or the checkpoint cannot be read.
    """
    if path.exists():
        raise TrainingError(f"{path} exists already; name another file")
    model, trained = load_pretraining(checkpoint)
    recipe = trained.recipe
    weights = model.reference_state_dict()
    names = sorted(weights, key=_place)
    rate = recipe.optimiser.learning_rate
    content: dict[str, Any] = {
        "args": None,
        "cfg": reference_cfg(recipe),
        "model": {name: weights[name].clone() for name in names},
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "Wav2Vec2WithCMSCCriterion",
                "optimizer_name": "Adam",
                "lr_scheduler_state": {"lr": rate},
                "num_updates": trained.update,
            }
        ],
        "task_state": {},
        "extra_state": {
            "metrics": {"default": [], "train": []},
            "previous_training_time": 0.0,
            "train_iterator": {"version": 2, "epoch": 1, "iterations_in_epoch": 0, "shuffle": True},
            "val_loss": None,
        },
        "last_optimizer_state": _optimiser_state(trained, model, names),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".part")
    torch.save(content, scratch)
    scratch.replace(path)


def _place(name: str) -> tuple[object, ...]:
    """Sort key of a tensor name in the reference's order."""
    group = next(number for number, prefix in enumerate(_ORDER) if name.startswith(prefix))
    if name.startswith("encoder.layers."):
        layer, _, rest = name.removeprefix("encoder.layers.").partition(".")
        return group, 0, int(layer), _LAYER.index(rest.rpartition(".")[0]), rest.endswith("bias")
    if name.startswith("conv_pos."):
        return group, _CONV_POS.index(name.rpartition(".")[2])
    if name == "quantizer.vars":
        return group, 0
    return group, 1, name.rpartition(".")[0], name.endswith("bias")


_LAYER = (
    *(f"self_attn.{projection}" for projection in ("k_proj", "v_proj", "q_proj", "out_proj")),
    *("self_attn_layer_norm", "fc1", "fc2", "final_layer_norm"),
)


def _optimiser_state(trained: Checkpoint, model: Pretraining, names: list[str]) -> dict[str, Any]:
    """Adam's moments, renumbered from our parameter order to the reference's."""
    ours = {name: number for number, (name, _) in enumerate(model.reference_parameters())}
    moments: Mapping[int, Mapping[str, Tensor]] = trained.optimiser["state"]
    settings = trained.recipe.optimiser
    return {
        "state": {
            number: {
                "step": int(moments[ours[name]]["step"]),
                "exp_avg": moments[ours[name]]["exp_avg"],
                "exp_avg_sq": moments[ours[name]]["exp_avg_sq"],
            }
            for number, name in enumerate(names)
            if ours[name] in moments
        },
        "param_groups": [
            {
                "lr": trained.optimiser["param_groups"][0]["lr"],
                "betas": (settings.beta1, settings.beta2),
                "eps": settings.epsilon,
                "weight_decay": settings.weight_decay,
                "amsgrad": False,
                "params": list(range(len(names))),
            }
        ],
    }
