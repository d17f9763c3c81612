"""How fast each runtime scores one bundle on this machine, beside a plain eager float32 network,
in one alternating run.

Machines are shared and clocks change, so only ratios taken in turns mean anything: every round runs each runtime once.
Where other programs use the same cores, even ratios of elapsed time mislead (torch's threads wait for each other at
every operation, so a thread that was put aside stalls all of them); the ratio of processor time on one thread does not.
The baseline `eager` is the network arranged as fairseq-signals arranges it (`baseline.py`).
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from ecgfm.bench.device import DeviceFigures, device_figures
from ecgfm.checkpoint import Bundle
from ecgfm.devices import choose_device
from ecgfm.errors import BundleError, EcgFmError
from ecgfm.float32 import exact_float32
from ecgfm.records import Record, Recordings
from ecgfm.runtimes import NAMES
from ecgfm.runtimes.eager import eager_embedding
from ecgfm.runtimes.opening import engine
from ecgfm.signal import LEADS, SEGMENT_SAMPLES, prepare, reasons_not_scored

EAGER = "eager"
EAGER_BF16 = "eager-bf16"  #: the same by autocast; only on a GPU
SEGMENTS_PER_ECG = 2  #: a 10 s recording

Logits = dict[str, NDArray[np.float32]]
Score = Callable[[NDArray[np.float32]], Logits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One runtime at one batch size; `reason` says why it could not run, and then there are no figures."""

    runtime: str
    batch: int  #: segments in one call
    milliseconds_per_ecg: float = float("nan")  #: median over the rounds, a 10 s ECG being two segments
    ratio: float = float("nan")  #: median over the rounds of eager's time divided by this one's
    processor_ratio: float = float("nan")  #: the same in processor time: least of the rounds; trust it with one thread
    largest_probability_change: float = float("nan")  #: against torch float32
    load_seconds: float = float("nan")  #: from a fresh process with torch imported to a runtime that can score
    peak_megabytes: float = float("nan")  #: resident set of that process after one ECG
    figures: DeviceFigures | None = None  #: beside what the device reaches in plain products; only where asked for
    reason: str = ""

    @property
    def ecgs_per_second(self) -> float:
        return 1000 / self.milliseconds_per_ecg


def bench(
    bundle: Bundle,
    recordings: Recordings,
    *,
    names: Sequence[str] = NAMES,
    batches: Sequence[int] = (SEGMENTS_PER_ECG,),
    rounds: int = 7,
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
    loads: bool = True,
    limits: bool = False,
) -> list[Timing]:
    """Figures for every runtime, those that cannot run here with the reason; `recordings` is what Δp is measured on.

    On a GPU the plain eager network runs there too, and Δp is still that from float32 on the CPU. `limits` measures
    what the device reaches in plain products as well.

    Exports what is not exported yet. Raises `BundleError` where none of the recordings can be scored.
    """
    scorable = [one for one in recordings.records if not reasons_not_scored(one.signal, one.sampling_rate)]
    if not scorable:
        raise BundleError(f"none of the recordings ({recordings.about}) can be scored, so nothing can be measured")
    segments = np.concatenate([prepare(one.signal, one.sampling_rate, bundle.preprocessing) for one in scorable])
    found = []
    known: dict[str, tuple[float, float]] = {}  # loading costs the same at every batch
    for batch in batches:
        timings = _bench_batch(bundle, segments, names, batch, rounds, device, threads, cache)
        if limits:
            timings = [_with_figures(bundle, one, scorable[0], device, threads, cache, rounds) for one in timings]
        for timing in timings if loads else ():
            if not timing.reason and timing.runtime not in known:
                known[timing.runtime] = measure_load(bundle, timing.runtime, device, threads, cache)
        nothing = (float("nan"), float("nan"))
        for timing in timings:
            seconds, megabytes = known.get(timing.runtime, nothing)
            found.append(replace(timing, load_seconds=seconds, peak_megabytes=megabytes))
    return found


def _bench_batch(
    bundle: Bundle,
    segments: NDArray[np.float32],
    names: Sequence[str],
    batch: int,
    rounds: int,
    device: str,
    threads: int | None,
    cache: Path | None,
) -> list[Timing]:
    scores: dict[str, Score] = {EAGER: eager(bundle, threads, device)}
    if choose_device(device).type == "cuda":
        scores[EAGER_BF16] = eager(bundle, threads, device, autocast=True)
    reasons: dict[str, str] = {}
    for name in names:
        try:
            scores[name] = engine(bundle, name, device, threads, cache, batch).logits
        except EcgFmError as error:
            reasons[name] = str(error)
    calls = list(_calls(segments, batch))
    seconds = alternate({name: lambda score=score: score(calls[0]) for name, score in scores.items()}, rounds)  # type: ignore[misc]  # mypy cannot infer the bound default
    reference = eager(bundle, threads)
    exact = [reference(call) for call in calls]
    timings = []
    for name, score in scores.items():
        ratios = [base / own for base, own in zip(seconds[EAGER].elapsed, seconds[name].elapsed, strict=True)]
        timings.append(
            Timing(
                runtime=name,
                batch=batch,
                milliseconds_per_ecg=1000 * statistics.median(seconds[name].elapsed) / batch * SEGMENTS_PER_ECG,
                ratio=statistics.median(ratios),
                processor_ratio=min(seconds[EAGER].processor) / min(seconds[name].processor),
                largest_probability_change=max(
                    largest_change(score(one), other) for one, other in zip(calls, exact, strict=True)
                ),
            )
        )
    return timings + [Timing(runtime=name, batch=batch, reason=reason) for name, reason in reasons.items()]


def _calls(segments: NDArray[np.float32], batch: int) -> Iterator[NDArray[np.float32]]:
    """Every segment in calls of one size, the last one filled up from the beginning."""
    for start in range(0, len(segments), batch):
        yield segments[np.arange(start, start + batch) % len(segments)]


def _with_figures(
    bundle: Bundle,
    timing: Timing,
    record: Record,
    device: str,
    threads: int | None,
    cache: Path | None,
    rounds: int,
) -> Timing:
    if timing.reason or timing.runtime in (EAGER, EAGER_BF16) or len(bundle.encoders) > 1:  # limits are one encoder's
        return timing
    runtime = engine(bundle, timing.runtime, device, threads, cache, timing.batch)
    figures = device_figures(bundle, timing.runtime, runtime, record, device=device, threads=threads, rounds=rounds)
    return replace(timing, figures=figures)


def eager(bundle: Bundle, threads: int | None = None, device: str = "cpu", *, autocast: bool = False) -> Score:
    """The baseline: torch, float32 or bfloat16 by autocast, nothing folded, fused or packed."""
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = choose_device(device)
    parts = bundle.network().eval().requires_grad_(False).to(chosen).parts

    def score(segments: NDArray[np.float32]) -> Logits:
        reduced = torch.autocast(chosen.type, torch.bfloat16, enabled=autocast)
        found: Logits = {}
        with torch.inference_mode(), exact_float32():
            for part in parts:
                with reduced:
                    embedding = eager_embedding(part, torch.from_numpy(segments).to(chosen)).float()
                found |= {head: values.cpu().numpy() for head, values in part.logits(embedding).items()}
        return found

    return score


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """What one call took, round by round."""

    elapsed: list[float]
    processor: list[float]  #: of all threads of this process


def alternate(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, Seconds]:
    """Seconds of each call, round by round in turns, after one call each to warm up."""
    for call in calls.values():
        call()
    seconds = {name: Seconds(elapsed=[], processor=[]) for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start, processor = time.perf_counter(), time.process_time()
            call()
            seconds[name].elapsed.append(time.perf_counter() - start)
            seconds[name].processor.append(time.process_time() - processor)
    return seconds


def largest_change(found: Logits, exact: Logits) -> float:
    """The largest absolute difference of a raw probability."""
    return max((float(np.abs(expit(found[head]) - expit(exact[head])).max()) for head in exact), default=0.0)


def measure_load(
    bundle: Bundle, name: str, device: str, threads: int | None, cache: Path | None
) -> tuple[float, float]:
    """(seconds, MB): load one runtime in a fresh process and score one ECG there."""
    arguments = {
        "bundle": str(bundle.path.resolve()),
        "name": name,
        "device": device,
        "threads": threads,
        "cache": str(cache.resolve()) if cache else None,
    }
    done = subprocess.run(
        [sys.executable, "-m", "ecgfm.bench.timing", json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), float(megabytes)


def _load_here(path: str, name: str, device: str, threads: int | None, cache: str | None) -> tuple[float, float]:
    start = time.perf_counter()
    bundle = Bundle.read(path)
    score: Score
    if name in (EAGER, EAGER_BF16):
        score = eager(bundle, threads, device, autocast=name == EAGER_BF16)
    else:
        score = engine(bundle, name, device, threads, Path(cache) if cache else None).logits
    seconds = time.perf_counter() - start
    score(np.zeros((SEGMENTS_PER_ECG, len(LEADS), SEGMENT_SAMPLES), np.float32))
    return seconds, _peak_megabytes()


def _peak_megabytes() -> float:
    """The largest resident set of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would report the parent's peak, which a child inherits when it is started
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(_load_here(given["bundle"], given["name"], given["device"], given["threads"], given["cache"])))
