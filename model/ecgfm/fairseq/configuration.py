"""The `cfg` of a fairseq-signals pretraining checkpoint: every key that the reference writes, filled from a recipe.

The reference opens it as a closed structure, in which asking for a key that is not there is an error; so none may be
missing. What a recipe does not decide has the value that the reference itself wrote (commit 6b9e137).
"""

from copy import deepcopy
from typing import Any  # Any: a checkpoint's pickled configuration

from ecgfm.pretraining.recipe import Recipe

_COMMON: dict[str, object] = {
    "_name": None,
    "no_progress_bar": False,
    "log_interval": 10,
    "log_format": "csv",
    "log_file": None,
    "wandb_project": None,
    "wandb_entity": None,
    "seed": 1,
    "fp16": False,
    "memory_efficient_fp16": False,
    "fp16_no_flatten_grads": False,
    "fp16_init_scale": 128,
    "fp16_scale_window": None,
    "fp16_scale_tolerance": 0.0,
    "on_cpu_convert_precision": False,
    "min_loss_scale": 0.0001,
    "threshold_loss_scale": None,
    "empty_cache_freq": 0,
    "all_gather_list_size": 16384,
    "model_parallel_size": 1,
    "profile": False,
    "reset_logging": False,
    "suppress_crashes": False,
}
_COMMON_EVAL: dict[str, object] = {
    "_name": None,
    "path": None,
    "quiet": False,
    "model_overrides": "{}",
    "extract": None,
    "results_path": None,
}
_DISTRIBUTED: dict[str, object] = {
    "_name": None,
    "distributed_world_size": 1,
    "distributed_rank": 0,
    "distributed_backend": "nccl",
    "distributed_init_method": None,
    "distributed_port": 12355,
    "device_id": 0,
    "ddp_comm_hook": "none",
    "bucket_cap_mb": 25,
    "fix_batches_to_gpus": False,
    "find_unused_parameters": False,
    "heartbeat_timeout": -1,
    "broadcast_buffers": False,
    "fp16": False,
    "memory_efficient_fp16": False,
}
_DATASET: dict[str, object] = {
    "_name": None,
    "num_workers": 0,
    "skip_invalid_size_inputs_valid_test": False,
    "max_tokens": None,
    "batch_size": None,
    "required_batch_size_multiple": 8,
    "data_buffer_size": 10,
    "train_subset": "train",
    "valid_subset": "valid",
    "combine_valid_subsets": None,
    "ignore_unused_valid_subsets": False,
    "validate_interval": 1,
    "validate_interval_updates": 0,
    "validate_after_updates": 0,
    "fixed_validation_seed": None,
    "disable_validation": True,
    "max_tokens_valid": None,
    "batch_size_valid": None,
    "max_valid_steps": None,
    "curriculum": 0,
    "num_shards": 1,
    "shard_id": 0,
}
_CHECKPOINT: dict[str, object] = {
    "_name": None,
    "save_dir": "checkpoints",
    "restore_file": "checkpoint_last.pt",
    "finetune_from_model": None,
    "reset_dataloader": False,
    "reset_lr_scheduler": False,
    "reset_meters": False,
    "reset_optimizer": False,
    "optimizer_overrides": "{}",
    "save_interval": 1,
    "save_interval_updates": 0,
    "keep_interval_updates": -1,
    "keep_interval_updates_pattern": -1,
    "keep_last_epochs": 0,
    "keep_best_checkpoints": -1,
    "no_save": False,
    "no_epoch_checkpoints": False,
    "no_last_checkpoints": False,
    "no_save_optimizer_state": False,
    "best_checkpoint_metric": "loss",
    "maximize_best_checkpoint_metric": False,
    "patience": -1,
    "checkpoint_suffix": "",
    "checkpoint_shard_count": 1,
    "load_checkpoint_on_all_dp_ranks": False,
}
_TASK: dict[str, object] = {
    "_name": "ecg_pretraining",
    "data": "",
    "leads_to_load": None,
    "leads_bucket": None,
    "bucket_selection": "uniform",
    "sample_rate": None,
    "filter": False,
    "normalize": False,
    "mean_path": None,
    "std_path": None,
    "enable_padding": True,
    "enable_padding_leads": False,
    "max_sample_size": None,
    "min_sample_size": None,
    "num_batch_buckets": 0,
    "precompute_mask_indices": False,
    "perturbation_mode": None,
    "p": [1.0],
    "max_amplitude": 0.1,
    "min_amplitude": 0.0,
    "dependency": True,
    "shift_ratio": 0.2,
    "num_segment": 1,
    "max_freq": 0.2,
    "min_freq": 0.01,
    "k": 3,
    "mask_leads_selection": "random",
    "mask_leads_prob": 0.5,
    "mask_leads_condition": [4, 5],
    "inferred_w2v_config": None,
    "inferred_3kg_config": None,
    "criterion_name": "wav2vec2_with_cmsc",
}
_LOGGING: dict[str, object] = {
    "version": 1,
    "formatters": {"simple": {"format": "[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "simple", "stream": "ext://sys.stdout"},
        "file": {"class": "logging.FileHandler", "formatter": "simple", "filename": "hydra_train.log"},
    },
    "root": {"level": "INFO", "handlers": ["console", "file"]},
    "disable_existing_loggers": False,
}

#: Our settings of an augmentation -> the task's one setting for all of them.
_AUGMENTATION_SETTINGS = {
    "max_amplitude": "max_amplitude",
    "min_amplitude": "min_amplitude",
    "dependent_leads": "dependency",
    "shift_ratio": "shift_ratio",
    "stretches": "num_segment",
    "max_frequency": "max_freq",
    "min_frequency": "min_freq",
    "waves": "k",
    "sampling_rate": "sample_rate",
    "lead_probability": "mask_leads_prob",
}


def reference_cfg(recipe: Recipe) -> dict[str, Any]:
    """The configuration that fairseq-signals builds this network, its objective and its optimiser from."""
    optimiser, training, objective = recipe.optimiser, recipe.training, recipe.objective
    rates = [optimiser.learning_rate]
    pairs = training.pairs_per_micro_batch
    return {
        "_name": None,
        "common": {**_COMMON, "seed": training.seed},
        "common_eval": dict(_COMMON_EVAL),
        "distributed_training": {**_DISTRIBUTED, "distributed_world_size": training.micro_batches_per_update},
        "dataset": {**_DATASET, "batch_size": pairs, "batch_size_valid": pairs},
        "optimization": {
            "_name": None,
            "max_epoch": training.epochs,
            "max_update": 0,
            "lr": rates,
            "stop_time_hours": 0.0,
            "clip_norm": optimiser.clip_norm,
            "update_freq": [1],
            "stop_min_lr": -1.0,
        },
        "checkpoint": dict(_CHECKPOINT),
        "model": _model_cfg(recipe),
        "task": _task_cfg(recipe),
        "criterion": {
            "_name": "wav2vec2_with_cmsc",
            "temp": objective.cmsc_temperature,
            "eps": 1e-08,
            "all_gather": False,
            "infonce": True,
            "loss_weights": [objective.diversity_weight, objective.feature_penalty_weight],
            "log_keys": ["prob_perplexity", "code_perplexity", "temp"],
            "cmsc_weights": None if objective.cmsc_weight == 1 else [objective.cmsc_weight],
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
        "job_logging_cfg": deepcopy(_LOGGING),
    }


def _task_cfg(recipe: Recipe) -> dict[str, object]:
    """`cfg.task`.

    The reference has one set of settings for all augmentations; the first that has a setting decides it.
    """
    steps = recipe.augmentations.steps
    task = {
        **_TASK,
        "perturbation_mode": [_AUGMENTATION.get(step.name, step.name) for step in steps],
        "p": [step.p for step in steps],
    }
    for ours, theirs in _AUGMENTATION_SETTINGS.items():
        task[theirs] = next((getattr(step, ours) for step in steps if hasattr(step, ours)), task[theirs])
    return task


_AUGMENTATION = {"random_lead_masking": "random_leads_masking"}


def _model_cfg(recipe: Recipe) -> dict[str, object]:
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
