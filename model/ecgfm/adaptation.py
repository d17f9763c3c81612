"""Continued pretraining of an encoder on recordings of one's own, without labels (WCR: wav2vec 2.0, CMSC, random lead
masking), bounded by updates or by time.

Only the encoder's weights go on: a bundle holds no quantiser, so that begins anew, and the learning rate rises over the
first updates so that it does not pull the encoder along.

On a processor with instructions for bf16, products and convolutions are in bf16 (mixed precision: weights, norms and
losses stay float32), which takes little more than half the time; elsewhere, and on a GPU, everything is float32.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ecgfm.config import EncoderConfig
from ecgfm.devices import choose_device
from ecgfm.errors import TrainingError
from ecgfm.fairseq.exporting import encoder_network
from ecgfm.network import EcgFm
from ecgfm.pretraining.batches import TrainingBatches
from ecgfm.pretraining.checkpoint import load_pretraining
from ecgfm.pretraining.figures import Progress
from ecgfm.pretraining.machine import Machine
from ecgfm.pretraining.masking import SpanMasking
from ecgfm.pretraining.objective import ObjectiveConfig
from ecgfm.pretraining.recipe import OptimiserRecipe, Precision, Recipe, TrainingRecipe
from ecgfm.pretraining.run import pretrain
from ecgfm.pretraining.shards import ShardSet
from ecgfm.runtimes.processors import has_bf16_instructions
from ecgfm.signal import PREPROCESSING

EPOCHS = 1000  #: far more than any bound allows
PASSES = 6  #: over the recordings, where no bound is given; a probe gained nothing by four more (model/BENCHMARKS.md)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """When an adaptation ends: whichever comes first; after `PASSES` over the recordings where neither is given."""

    updates: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapted:
    """An adapted encoder, and how it came about."""

    network: EcgFm
    updates: int
    precision: Precision
    shards_sha256: str


def adaptation_recipe(
    encoder: EncoderConfig,
    *,
    pairs: int = 32,
    seed: int = 1,
    precision: Precision = "32-true",
) -> Recipe:
    """The published objective and augmentation for an encoder of these sizes; codebooks of a smaller encoder are
    smaller too.
    """
    width = min(256, encoder.conv_width)
    return Recipe(
        name="adaptation",
        encoder=replace(encoder, feature_grad_mult=0.1),
        objective=ObjectiveConfig(
            masking=SpanMasking(equalise="keep"),
            codes=320 if width == 256 else 80,
            code_width=width,
            gumbel_decay=0.999,
        ),
        optimiser=OptimiserRecipe(learning_rate=5e-5, warm_up_updates=100),
        training=TrainingRecipe(
            epochs=EPOCHS,
            pairs_per_micro_batch=pairs,
            seed=seed,
            precision=precision,
            checkpoint_every=100,
            keep_checkpoints=1,
        ),
    )


def adapt(
    base: EcgFm,
    shards: ShardSet,
    folder: Path,
    *,
    bound: Bound,
    clock: Callable[[], float],
    machine: Machine | None = None,
    pairs: int = 32,
    seed: int = 1,
    report: Callable[[Progress], None] | None = None,
) -> Adapted:
    """Train on in `folder`, going on there after a kill; `clock` gives seconds.

    Raises DataError (the shards do not fill one update), TrainingError.
    """
    if base.preprocessing != PREPROCESSING:
        raise TrainingError(
            f"this encoder reads signals prepared by {base.preprocessing!r}, recordings are prepared by "
            f"{PREPROCESSING!r}; only encoders of that preparation can be adapted"
        )
    machine, began = machine or Machine(), clock()
    precision = _precision(machine.accelerator)
    recipe = adaptation_recipe(base.config, pairs=pairs, seed=seed, precision=precision)
    seconds, updates = bound.seconds, bound.updates
    if updates is None and seconds is None:
        updates = PASSES * TrainingBatches(shards, recipe).updates_per_epoch
    last = pretrain(
        recipe,
        shards,
        folder / precision,  # another processor, or a version before, computed otherwise: that run is not gone on with
        machine=machine,
        max_updates=updates,
        report=report,
        stop=lambda: seconds is not None and clock() - began >= seconds,
        start=base.encoder.state_dict(),
    )
    model, done = load_pretraining(last)
    network = encoder_network(model)
    trained = EcgFm(base.config, preprocessing=base.preprocessing)  # without the regularisers of training
    trained.encoder.load_state_dict(network.encoder.state_dict())
    return Adapted(network=trained.eval(), updates=done.update, precision=precision, shards_sha256=done.data)


def _precision(accelerator: str) -> Precision:
    on_cpu = choose_device(accelerator).type == "cpu"
    return "bf16-mixed" if on_cpu and has_bf16_instructions() else "32-true"
