"""One pretraining step against a straightforward one:
same objective, same weights, same batch, alternating in one process.

    python tests/benchmarks/bench_pretraining.py --pairs 8 --repeats 3

The straightforward step is what a reader of the papers would write with torch alone: separate projections and torch's
own attention, N + 1 targets copied for every masked frame, masks and negatives drawn in Python loops, a fresh optimiser
loop over parameters. Peak memory is the resident set of a process that runs one kind only, after its first step.
Nothing here is a test with a time limit.
"""

import argparse
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parents[2] / "model")]

from ecgfm.config import EncoderConfig
from ecgfm.encoder import TransformerLayer
from ecgfm.network import pool
from ecgfm.pretraining.batches import TrainingBatches
from ecgfm.pretraining.objective import Batch, ObjectiveConfig, Pretraining
from ecgfm.pretraining.recipe import Recipe, TrainingRecipe
from ecgfm.pretraining.run import new_optimiser
from ecgfm.pretraining.shards import PrepareSettings, ShardSet, prepare_shards
from ecgfm.recording_files import RecordingFolder
from ecgfm.training.cpu_layers import speed_up_cpu

TRAINING = {"dropout": 0.1, "attention_dropout": 0.1, "dropout_input": 0.1, "feature_grad_mult": 0.1}
#: bf16 dense peak of one device by its data sheet, FLOP/s, and the share of it that such encoders reach in practice
GPUS = {"A100 80 GB": 312e12, "H100 SXM": 989e12, "L40S": 362e12}
REACHED = 0.35


class StraightforwardStep:
    """The baseline: forward, losses, backward and Adam, each written out plainly. It trains the weights of `model`."""

    def __init__(self, model: Pretraining) -> None:
        self.model = model
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()]
        self.steps = 0

    def __call__(self, source: Tensor, identities: Tensor, stream: np.random.RandomState) -> float:
        mask = torch.from_numpy(self._mask(len(source), 156, stream))
        loss, frames = self._loss(self._mask_leads(source, stream), identities, mask)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._adam(frames)
        return float(loss.detach())

    @staticmethod
    def _mask_leads(source: Tensor, stream: np.random.RandomState) -> Tensor:
        masked = torch.zeros_like(source)
        for row in range(len(source)):
            for lead in range(source.shape[1]):
                if stream.uniform() >= 0.5:
                    masked[row, lead] = source[row, lead]
        return masked

    @staticmethod
    def _mask(rows: int, frames: int, stream: np.random.RandomState) -> np.ndarray:
        mask = np.zeros((rows, frames), dtype=bool)
        spans = int(0.65 * frames / 10 + stream.rand())
        for row in range(rows):
            for start in stream.choice(frames - 10, spans, replace=False):
                mask[row, start : start + 10] = True
        smallest = mask.sum(axis=1).min()
        for row in range(rows):
            hidden = np.flatnonzero(mask[row])
            mask[row] = False
            mask[row, stream.choice(hidden, smallest, replace=False)] = True
        return mask

    @staticmethod
    def _negatives(rows: int, masked: int, wanted: int) -> Tensor:
        own = torch.arange(masked).unsqueeze(-1).expand(-1, wanted).flatten()
        drawn = torch.randint(0, masked - 1, (rows, masked * wanted))
        drawn[drawn >= own] += 1
        for row in range(1, rows):
            drawn[row] += row * masked
        return drawn

    def _loss(self, source: Tensor, identities: Tensor, mask: Tensor) -> tuple[Tensor, int]:
        model, config = self.model, self.model.objective
        features = model.encoder.features(source)
        normalised = model.encoder.normalise(features)
        x = model.encoder.project(normalised).clone()
        x[mask] = model.mask_emb.to(x.dtype)
        x = self._transformer(x)
        rows, masked = len(source), int(mask[0].sum())
        codes, perplexity = self._quantise(model.dropout_features(normalised)[mask])
        y = model.project_q(codes).view(rows, masked, -1)
        wanted = config.negatives
        negatives = y.view(-1, y.shape[-1])[self._negatives(rows, masked, wanted).view(-1)]
        negatives = negatives.view(rows, masked, wanted, -1).permute(2, 0, 1, 3)  # (N, B, M, D)
        predicted = model.final_proj(x[mask]).view(rows, masked, -1)
        targets = torch.cat([y.unsqueeze(0), negatives], dim=0)
        logits = torch.cosine_similarity(predicted.float(), targets.float(), dim=-1) / config.temperature
        equal = (y == negatives).all(-1)
        if equal.any():
            logits[1:][equal] = float("-inf")
        logits = logits.transpose(0, 2).reshape(-1, logits.shape[0])
        frames = len(logits)
        loss = F.cross_entropy(logits, torch.zeros(frames, dtype=torch.long), reduction="sum")
        loss = loss + config.diversity_weight * frames * (640 - perplexity) / 640
        loss = loss + config.feature_penalty_weight * frames * features.float().pow(2).mean()
        return loss + frames * self._cmsc(pool(x.float()), identities), frames

    def _transformer(self, x: Tensor) -> Tensor:
        """As in the reference: (T, B, C) layout, torch's multi-head attention with its dropout."""
        encoder = self.model.encoder
        x = x + encoder.conv_pos(x)
        stack = encoder.encoder
        x = F.dropout(stack.layer_norm(x), 0.1).transpose(0, 1)
        for layer in stack.layers:
            assert isinstance(layer, TransformerLayer)
            attention = layer.self_attn
            residual = x
            x, _ = F.multi_head_attention_forward(
                x,
                x,
                x,
                x.shape[-1],
                attention.heads,
                None,
                torch.cat([attention.q_proj.bias, attention.k_proj.bias, attention.v_proj.bias]),
                None,
                None,
                False,
                0.1,
                attention.out_proj.weight,
                attention.out_proj.bias,
                need_weights=False,
                use_separate_proj_weight=True,
                q_proj_weight=attention.q_proj.weight,
                k_proj_weight=attention.k_proj.weight,
                v_proj_weight=attention.v_proj.weight,
            )
            x = layer.self_attn_layer_norm(residual + F.dropout(x, 0.1))
            residual = x
            x = F.dropout(F.gelu(F.linear(x, layer.fc1.weight, layer.fc1.bias)), 0.0)
            x = F.dropout(F.linear(x, layer.fc2.weight, layer.fc2.bias), 0.1)
            x = layer.final_layer_norm(residual + x)
        return x.transpose(0, 1)

    def _quantise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        quantiser = self.model.quantizer
        logits = quantiser.weight_proj(x).float().view(-1, quantiser.codes)
        soft = logits.view(-1, quantiser.groups, quantiser.codes).softmax(-1).mean(0)
        perplexity = torch.exp(-(soft * (soft + 1e-7).log()).sum(-1)).sum()
        hard = F.gumbel_softmax(logits, tau=2.0, hard=True).view(len(x), -1)
        codes = (hard.unsqueeze(-1) * quantiser.vars).view(len(x), quantiser.groups, quantiser.codes, -1).sum(-2)
        return codes.flatten(1), perplexity

    @staticmethod
    def _cmsc(pooled: Tensor, identities: Tensor) -> Tensor:
        pairs = len(pooled) // 2
        pooled = pooled / pooled.detach().norm(dim=1, keepdim=True).clamp(min=1e-8)
        logits = pooled[:pairs] @ pooled[pairs:].T / 0.1
        same = identities[:pairs, None] == identities[None, pairs:]
        return (-logits.log_softmax(1)[same].mean() - logits.log_softmax(0)[same].mean()) / 2

    @torch.no_grad()
    def _adam(self, frames: int) -> None:
        self.steps += 1
        size = 5e-5 * math.sqrt(1 - 0.98**self.steps) / (1 - 0.9**self.steps)
        for parameter, (mean, square) in zip(self.model.parameters(), self.moments, strict=True):
            assert parameter.grad is not None
            gradient = parameter.grad / frames
            mean.mul_(0.9).add_(gradient, alpha=0.1)
            square.mul_(0.98).addcmul_(gradient, gradient, value=0.02)
            parameter.add_(parameter, alpha=-0.01 * 5e-5)
            parameter.addcdiv_(mean, square.sqrt().add_(1e-6), value=-size)
            parameter.grad = None


class OurStep:
    """What `ecgfm.pretraining.run` does in an update of one micro-batch, data pipeline included."""

    def __init__(self, model: Pretraining, recipe: Recipe, *, bf16: bool) -> None:
        speed_up_cpu(model)
        self.model, self.bf16 = model, bf16
        self.optimiser = new_optimiser(model, recipe)

    def __call__(self, batch: Batch) -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            losses = self.model(batch, 2.0)
        losses.total.backward()
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        torch._foreach_mul_(gradients, 1 / float(losses.frames))
        self.optimiser.step()
        self.optimiser.zero_grad()
        return float(losses.total.detach())


def shard_set(folder: Path, recordings: int) -> ShardSet:
    """Random walks of 10 s: the speed does not depend on what is in them."""
    signal = np.random.default_rng(0).normal(size=(recordings, 12, 5000)).cumsum(axis=2)
    np.savez(folder / "walks.npz", signal=signal, sampling_rate=500.0)
    return prepare_shards(RecordingFolder(root=folder), folder / "shards", PrepareSettings())


def full_size(pairs: int) -> tuple[Recipe, Pretraining]:
    """The published network with its regularisers, seeded."""
    recipe = Recipe(
        name="benchmark",
        encoder=EncoderConfig(**TRAINING),  # type: ignore[arg-type]  # all of them are float fields
        objective=ObjectiveConfig(),
        training=TrainingRecipe(epochs=1000, pairs_per_micro_batch=pairs),
    )
    torch.manual_seed(1)
    return recipe, Pretraining(recipe.encoder, recipe.objective).train()


def steps(kind: str, pairs: int, shards: ShardSet) -> Callable[[int], float]:
    """A function of the micro-batch number that makes one whole step and returns its loss."""
    recipe, model = full_size(pairs)
    batches = TrainingBatches(shards, recipe)
    if kind == "straightforward":
        plain = StraightforwardStep(model)

        def step(number: int) -> float:
            chosen = batches._pairs_of(0).take(np.arange(pairs))
            rows = chosen.rows.T.ravel()
            source = torch.from_numpy(np.stack([shards.read(int(row)) for row in rows]))
            identities = torch.from_numpy(np.tile(chosen.identities, 2))
            return plain(source, identities, np.random.RandomState(number))

        return step
    ours = OurStep(model, recipe, bf16=kind == "bf16")
    return lambda number: ours(batches[number])


def peak_megabytes(kind: str, pairs: int, folder: Path) -> float:
    """Highest resident set of a fresh process that makes two steps of one kind."""
    command = [sys.executable, __file__, "--pairs", str(pairs), "--only", kind, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def peak_resident_kilobytes() -> int:
    """VmHWM of this process; getrusage would report the parent's peak where that is higher (Linux keeps it across
    exec).
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    if found is None:
        raise SystemExit("peak memory is read from /proc, which this system does not have")
    return int(found.group(1))


def flops_per_segment(config: EncoderConfig) -> float:
    """Multiply-adds counted twice, forward, for one 5 s segment."""
    frames, width = config.frames(2500), config.width
    layers = config.layers * (2 * frames * (4 * width * width + 2 * width * config.ffn_width) + 4 * frames**2 * width)
    positions = 2 * frames * width * width // config.conv_pos_groups * config.conv_pos_kernel
    samples, channels, conv = 2500, config.leads, 0
    for out, kernel, stride in config.conv_layers:
        samples = (samples - kernel) // stride + 1
        conv += 2 * samples * out * channels * kernel
        channels = out
    return float(layers + positions + conv)


def pipeline_pairs_per_second(pairs: int, shards: ShardSet) -> float:
    """Reading, augmenting, masking and drawing negatives in one process."""
    recipe, _ = full_size(pairs)
    batches = TrainingBatches(shards, recipe)
    batches[0]
    began = time.perf_counter()
    for number in range(1, 11):
        batches[number]
    return 10 * pairs / (time.perf_counter() - began)


def _ratios(seconds: dict[str, list[float]], kind: str) -> str:
    """Median and range of how many times longer the straightforward step took, pair by pair."""
    ratios = [plain / own for plain, own in zip(seconds["straightforward"], seconds[kind], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Alternate the kinds, then print medians, ratios, memory, the data pipeline and computed GPU figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["straightforward", "fp32", "bf16"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--no-memory", action="store_true", help="leave out the processes that measure peak memory")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only:
        step = steps(arguments.only, arguments.pairs, ShardSet.open(arguments.folder / "shards"))
        for number in range(2):
            step(number)
        print(peak_resident_kilobytes() / 1024)
        return
    with tempfile.TemporaryDirectory() as scratch:
        compare(arguments.pairs, arguments.repeats, Path(scratch), memory=not arguments.no_memory)


def compare(pairs: int, repeats: int, folder: Path, *, memory: bool) -> None:
    """The whole comparison.

    Processor time is that of all threads; with one thread it does not depend on who else is at work.
    """
    shards = shard_set(folder, max(4 * pairs, 64))
    kinds = ("straightforward", "fp32", "bf16")
    made = {kind: steps(kind, pairs, shards) for kind in kinds}
    for kind in kinds:
        print(f"{kind}: first loss {made[kind](0):.1f}", flush=True)
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    processor: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(1, repeats + 1):
        for kind in kinds:
            began, used = time.perf_counter(), time.process_time()
            made[kind](number)
            seconds[kind].append(time.perf_counter() - began)
            processor[kind].append(time.process_time() - used)
            print(
                f"  {number} {kind}: {seconds[kind][-1]:.2f} s, processor time {processor[kind][-1]:.2f} s", flush=True
            )
    del made
    for kind in kinds:
        print(
            f"{kind:16s} {statistics.median(seconds[kind]):7.2f} s a step of {pairs} pairs, ratio "
            f"{_ratios(seconds, kind)}; processor time {statistics.median(processor[kind]):.2f} s, ratio "
            f"{_ratios(processor, kind)}",
            flush=True,
        )
    if memory:
        peaks = {kind: peak_megabytes(kind, pairs, folder) for kind in kinds}
        print("peak memory      " + ", ".join(f"{kind} {peak:.0f} MB" for kind, peak in peaks.items()), flush=True)
    pipeline = pipeline_pairs_per_second(pairs, shards)
    consumed = pairs / min(statistics.median(seconds[kind]) for kind in kinds)
    print(
        f"data pipeline    {pipeline:7.0f} pairs/s in one process, {pipeline / consumed:.0f} times what the fastest "
        "step consumes"
    )
    training = 3 * flops_per_segment(EncoderConfig())
    for name, peak in GPUS.items():
        rate = peak * REACHED / training / 2
        print(
            f"computed, not measured: {name} at {REACHED:.0%} of {peak / 1e12:.0f} TFLOP/s bf16: {rate:.0f} ECGs of 10 "
            "s a second"
        )


if __name__ == "__main__":
    main()
