"""What leaves a pretraining run: a bundle for this product, or a checkpoint file in the layout of fairseq-signals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ecgfm.augment import RandomLeadMasking
from ecgfm.checkpoint import Bundle
from ecgfm.errors import TrainingError
from ecgfm.network import EcgFm
from ecgfm.pretrain import load_pretraining
from ecgfm.pretraining import Pretraining
from ecgfm.recipe import Recipe

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


def write_bundle(checkpoint: Path, folder: Path, *, version: str, demo: bool, provenance: Mapping[str, Any]) -> Bundle:
    """The encoder of a training checkpoint as a new bundle without heads; recipe and data digest go into its provenance.

    Raises `TrainingError` or `BundleError`.
    """
    model, state = load_pretraining(checkpoint)
    return Bundle.write(
        folder,
        encoder_network(model),
        name=state["recipe"]["name"],
        version=version,
        demo=demo,
        provenance={
            "training": "pretraining: wav2vec 2.0 + CMSC",
            "recipe": state["recipe"],
            "updates": state["update"],
            "shards_sha256": state["data"],
            **provenance,
        },
    )


def write_reference_checkpoint(checkpoint: Path, path: Path) -> None:
    """A file that fairseq-signals loads as its own `wav2vec2_cmsc`: same keys, shapes, `cfg` and optimiser state.

    Raises:
        TrainingError: `path` exists already, or the checkpoint cannot be read.
    """
    if path.exists():
        raise TrainingError(f"{path} exists already; name another file")
    model, state = load_pretraining(checkpoint)
    recipe = Recipe.from_json(state["recipe"])
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
                "num_updates": state["update"],
            }
        ],
        "task_state": {},
        "extra_state": {
            "metrics": {"default": [], "train": []},
            "previous_training_time": 0.0,
            "train_iterator": {"version": 2, "epoch": 1, "iterations_in_epoch": 0, "shuffle": True},
            "val_loss": None,
        },
        "last_optimizer_state": _optimiser_state(state, model, recipe, names),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(path.suffix + ".part")
    torch.save(content, scratch)
    scratch.replace(path)


def _place(name: str) -> tuple[Any, ...]:
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


def _optimiser_state(state: Mapping[str, Any], model: Pretraining, recipe: Recipe, names: list[str]) -> dict[str, Any]:
    """Adam's moments, renumbered from our parameter order to the reference's."""
    ours = {name: number for number, (name, _) in enumerate(model.reference_parameters())}
    moments: Mapping[int, Mapping[str, Tensor]] = state["optimiser"]["state"]
    settings = recipe.optimiser
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
                "lr": state["optimiser"]["param_groups"][0]["lr"],
                "betas": (settings.beta1, settings.beta2),
                "eps": settings.epsilon,
                "weight_decay": settings.weight_decay,
                "amsgrad": False,
                "params": list(range(len(names))),
            }
        ],
    }


def reference_cfg(recipe: Recipe) -> dict[str, Any]:
    """The configuration that fairseq-signals builds this network, its objective and its optimiser from."""
    optimiser, training = recipe.optimiser, recipe.training
    rates = [optimiser.learning_rate]
    steps = recipe.augmentations.steps
    masked = (step.lead_probability for step in steps if isinstance(step, RandomLeadMasking))
    return {
        "_name": None,
        "common": {"_name": None, "seed": training.seed, "fp16": False, "log_format": "csv"},
        "common_eval": {"_name": None, "path": None, "quiet": False, "model_overrides": "{}"},
        "distributed_training": {"_name": None, "distributed_world_size": training.micro_batches_per_update},
        "dataset": {"_name": None, "num_workers": 0, "batch_size": training.pairs_per_micro_batch},
        "optimization": {
            "_name": None,
            "max_epoch": training.epochs,
            "max_update": 0,
            "lr": rates,
            "clip_norm": optimiser.clip_norm,
            "update_freq": [1],
        },
        "checkpoint": {"_name": None, "restore_file": "checkpoint_last.pt"},
        "model": _model_cfg(recipe),
        "task": {
            "_name": "ecg_pretraining",
            "data": "",
            "normalize": False,
            "filter": False,
            "enable_padding": True,
            "perturbation_mode": [_AUGMENTATION.get(step.name, step.name) for step in steps],
            "p": [step.p for step in steps],
            "mask_leads_selection": "random",
            "mask_leads_prob": next(masked, 0.5),
            "criterion_name": "wav2vec2_with_cmsc",
        },
        "criterion": {
            "_name": "wav2vec2_with_cmsc",
            "temp": recipe.objective.cmsc_temperature,
            "eps": 1e-08,
            "all_gather": False,
            "infonce": True,
            "loss_weights": [recipe.objective.diversity_weight, recipe.objective.feature_penalty_weight],
            "log_keys": ["prob_perplexity", "code_perplexity", "temp"],
            "cmsc_weights": None if recipe.objective.cmsc_weight == 1 else [recipe.objective.cmsc_weight],
        },
        "lr_scheduler": {
            "_name": "fixed",
            "force_anneal": None,
            "lr_shrink": 0.1,
            "warmup_updates": optimiser.warm_up_updates,
            "lr": rates,
        },
        "optimizer": {
            "_name": "adam",
            "adam_betas": f"({optimiser.beta1}, {optimiser.beta2})",
            "adam_eps": optimiser.epsilon,
            "weight_decay": optimiser.weight_decay,
            "use_old_adam": False,
            "lr": rates,
        },
        "job_logging_cfg": {},
    }


_AUGMENTATION = {"random_lead_masking": "random_leads_masking"}


def _model_cfg(recipe: Recipe) -> dict[str, Any]:
    """`cfg.model`: every field that decides the network's shape or its forward pass."""
    encoder, objective, masking = recipe.encoder, recipe.objective, recipe.objective.masking
    return {
        "_name": "wav2vec2_cmsc",
        "all_gather": False,
        "normalize": False,
        "filter": False,
        "data": "",
        "args": None,
        "encoder_layers": encoder.layers,
        "encoder_embed_dim": encoder.width,
        "encoder_ffn_embed_dim": encoder.ffn_width,
        "encoder_attention_heads": encoder.heads,
        "layer_norm_first": encoder.pre_norm,
        "saliency": False,
        "dropout": encoder.dropout,
        "attention_dropout": encoder.attention_dropout,
        "activation_dropout": encoder.activation_dropout,
        "encoder_layerdrop": 0.0,
        "dropout_input": encoder.dropout_input,
        "dropout_features": objective.dropout_features,
        "apply_mask": True,
        "mask_length": masking.length,
        "mask_prob": masking.probability,
        "mask_selection": "static",
        "mask_other": 0.0,
        "no_mask_overlap": False,
        "mask_min_space": 1,
        "mask_channel_length": 10,
        "mask_channel_prob": 0.0,
        "mask_channel_selection": "static",
        "mask_channel_other": 0.0,
        "no_mask_channel_overlap": False,
        "mask_channel_min_space": 1,
        "extractor_mode": "default",
        "conv_feature_layers": str([tuple(layer) for layer in encoder.conv_layers]),
        "in_d": encoder.leads,
        "conv_bias": encoder.conv_bias,
        "feature_grad_mult": encoder.feature_grad_mult,
        "conv_pos": encoder.conv_pos_kernel,
        "conv_pos_groups": encoder.conv_pos_groups,
        "logit_temp": objective.temperature,
        "quantize_targets": True,
        "quantize_input": False,
        "same_quantizer": False,
        "target_glu": False,
        "latent_vars": objective.codes,
        "latent_groups": objective.groups,
        "latent_dim": 0,
        "final_dim": objective.code_width,
        "num_negatives": objective.negatives,
        "negatives_from_everywhere": False,
        "cross_sample_negatives": 0,
        "codebook_negatives": 0,
        "latent_temp": [objective.gumbel_start, objective.gumbel_end, objective.gumbel_decay],
    }
