"""How fast one pretraining step is on a device, beside what the device reaches in a plain product in the same run.

    python -m ecgfm.bench.step --pairs 32 --pairs 64 --precision bf16 --json

The step is the run's own: forward, losses, backward, scaling, clipping and Adam, at the published size, its data on the
device already. A step counts as three forward passes of its segments, two of a pair; what is masked, quantised and
compared beside the encoder does not count.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from ecgfm.bench.limits import measure_product, segment_flop
from ecgfm.config import EncoderConfig
from ecgfm.devices import choose_device, settle
from ecgfm.float32 import exact_float32
from ecgfm.pretraining.masking import SpanMasking, draw_span_mask
from ecgfm.pretraining.objective import Batch, ObjectiveConfig, Pretraining
from ecgfm.runtimes.processors import driver_version, processor
from ecgfm.signal import LEADS, SEGMENT_SAMPLES
from ecgfm.training.cpu_layers import speed_up_cpu
from ecgfm.training.gpu_layers import speed_up_gpu
from ecgfm.training.optimiser import ReferenceAdam

FORWARDS = 3  #: passes that a step counts as: one forward, two backward
GOAL = 0.35  #: share of the plain product that a step shall reach at 64 pairs
AHEAD = 5  #: times as many pairs a second as the goal consumes, that the data pipeline shall give
TRAINED = EncoderConfig(dropout=0.1, attention_dropout=0.1, dropout_input=0.1, feature_grad_mult=0.1)
_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFigures:
    """One pretraining step of so many pairs."""

    device: str
    driver: str  #: of the GPU; empty on a CPU
    precision: str
    pairs: int
    milliseconds: float  #: least of the rounds
    segments_per_second: float
    product_tflops: float  #: plain product of this precision, TFLOP/s, in the same run
    share_of_product: float
    gpu_megabytes: float | None  #: the most that tensors held on the GPU; None on a CPU
    pipeline_pairs_per_second: float  #: what the data pipeline shall give: five times what the goal consumes here


def measure_step(
    config: EncoderConfig,
    device: torch.device,
    *,
    precision: str = "bf16",
    pairs: int = 64,
    rounds: int = 5,
    side: int | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> StepFigures:
    """Time one step; the least of the rounds, because other programs only ever slow it down."""
    on_gpu = device.type == "cuda"
    with exact_float32():
        rate = measure_product(device, _PRECISIONS[precision], side=side, timer=timer)
        step = step_of(config, device, precision, pairs)
        best = math.inf
        for turn in range(rounds + 2):
            settle(device)
            start = timer()
            step()
            settle(device)
            if turn > 1:  # the first two choose kernels and allocate moments
                best = min(best, timer() - start)
    segments = 2 * pairs
    flop = FORWARDS * segment_flop(config)
    return StepFigures(
        device=torch.cuda.get_device_name(device) if on_gpu else processor(),
        driver=driver_version() if on_gpu else "",
        precision=precision,
        pairs=pairs,
        milliseconds=1000 * best,
        segments_per_second=segments / best,
        product_tflops=rate / 1e12,
        share_of_product=segments / best * flop / rate,
        gpu_megabytes=torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else None,
        pipeline_pairs_per_second=AHEAD * GOAL * rate / flop / 2,
    )


def step_of(config: EncoderConfig, device: torch.device, precision: str, pairs: int) -> Callable[[], None]:
    """A function that makes one step on the same random batch; it takes no number out of a tensor."""
    torch.manual_seed(0)
    model = Pretraining(config, ObjectiveConfig())
    (speed_up_cpu if device.type == "cpu" else speed_up_gpu)(model)
    model = model.train().to(device)
    batch = random_batch(config, pairs, device)
    optimiser = ReferenceAdam(model.parameters(), lr=1e-5, fused=True)

    def step() -> None:
        with torch.autocast(device.type, _PRECISIONS[precision], enabled=precision != "fp32"):
            losses = model(batch, 2.0)
        losses.total.backward()
        gradients = [one.grad for one in model.parameters() if one.grad is not None]
        torch._foreach_mul_(gradients, (1.0 / losses.frames.double()).float())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def random_batch(config: EncoderConfig, pairs: int, device: torch.device) -> Batch:
    """A seeded micro-batch of `pairs` pairs on the device."""
    mask = draw_span_mask(SpanMasking(), 2 * pairs, config.frames(SEGMENT_SAMPLES), np.random.RandomState(0))
    source = torch.randn(2 * pairs, len(LEADS), SEGMENT_SAMPLES, generator=torch.Generator().manual_seed(0))
    batch = Batch.build(source, torch.arange(pairs).repeat(2), mask, ObjectiveConfig().negatives)
    return Batch(**{name: part.to(device) for name, part in batch._asdict().items() if part is not None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, action="append")
    parser.add_argument("--precision", choices=sorted(_PRECISIONS), default="bf16")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    for pairs in arguments.pairs or [64]:
        found = measure_step(
            TRAINED,
            device,
            precision=arguments.precision,
            pairs=pairs,
            rounds=arguments.rounds,
        )
        print(json.dumps(asdict(found)) if arguments.json else told(found))


def told(found: StepFigures) -> str:
    """One line for people."""
    memory = f", {found.gpu_megabytes:.0f} MB" if found.gpu_megabytes else ""
    share = f"{found.share_of_product:.0%} of {found.product_tflops:.3g} TFLOP/s"
    return (
        f"{found.pairs} pairs in {found.precision} on {found.device}: {found.milliseconds:.0f} ms a step, "
        f"{found.segments_per_second:.0f} segments/s, {share}{memory}; the data pipeline shall give "
        f"{found.pipeline_pairs_per_second:.0f} pairs/s"
    )


if __name__ == "__main__":
    main()
