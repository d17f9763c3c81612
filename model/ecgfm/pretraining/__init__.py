"""Self-supervised pretraining: recipe, shards of segments, augmentations, objective and the run that trains."""
