"""Why a device is as fast as it is: what one runtime reaches there, beside what the device reaches in products."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ecgfm.bench.limits import Limits, measure_limits
from ecgfm.checkpoint import Bundle
from ecgfm.devices import choose_device
from ecgfm.errors import EcgFmError
from ecgfm.predictor import Predictor
from ecgfm.records import Record
from ecgfm.runtimes.engines import EngineName
from ecgfm.runtimes.gpu_runtime import GpuRuntime
from ecgfm.runtimes.opening import engine
from ecgfm.runtimes.processors import driver_version, processor
from ecgfm.runtimes.runtime import Runtime, Streaming

ONE_ECG = 2  #: segments of a 10 s recording: the smallest shape that answers it in one call
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_CALLS = 8  #: calls that one round streams


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFigures:
    """One runtime at one shape on one device. Shares are of what `limits` measured in the same run."""

    device: str  #: GPU or processor
    driver: str  #: of the GPU; empty on a CPU
    torch: str  #: torch's version, with its CUDA
    limits: Limits
    segments_per_second: float  #: from arrays in memory to logits in memory, calls streamed: transfers included
    on_device: float | None  #: segments/s without transfers; None where there are none
    share_of_product: float  #: of the plain product's rate, by `segments_per_second`
    share_of_own_products: float  #: of the network's own products done one by one
    one_ecg_milliseconds: (
        float | None
    )  #: p50 from one 10 s array to its probabilities, at a shape of 2; None if it failed
    gpu_megabytes: float | None  #: the most that this process's tensors held on the GPU; None on a CPU


def device_figures(
    bundle: Bundle,
    name: str,
    runtime: Runtime,
    record: Record,
    *,
    device: str,
    threads: int | None,
    rounds: int,
    timer: Callable[[], float] = time.perf_counter,
) -> DeviceFigures:
    """Measure one opened runtime; `record` is a recording that can be scored."""
    found = EngineName.parse(runtime.name)
    assert found is not None, "every runtime's name says its precision"
    chosen = choose_device(device if found.on == "cuda" else "cpu")
    limits = measure_limits(bundle.config, chosen, _TYPES[found.precision], runtime.batch, rounds=rounds, timer=timer)
    rate = runtime.batch / min(_streamed(runtime, timer) for _ in range(rounds))
    on_gpu = chosen.type == "cuda"
    return DeviceFigures(
        device=torch.cuda.get_device_name(chosen) if on_gpu else processor(),
        driver=driver_version() if on_gpu else "",
        torch=f"{torch.__version__}, CUDA {torch.version.cuda}" if on_gpu else torch.__version__,
        limits=limits,
        segments_per_second=rate,
        on_device=_on_device(runtime, rounds, timer),
        share_of_product=rate / limits.at_product,
        share_of_own_products=rate / limits.at_own_products,
        one_ecg_milliseconds=_one_ecg(bundle, name, record, device, threads, 50 if on_gpu else rounds, timer),
        gpu_megabytes=torch.cuda.max_memory_allocated(chosen) / 2**20 if on_gpu else None,
    )


def _streamed(runtime: Runtime, timer: Callable[[], float]) -> float:
    """Seconds a call, where several follow each other."""
    segments = _random(runtime.batch)
    calls = _CALLS if isinstance(runtime, Streaming) else 1

    def given() -> Iterator[NDArray[np.float32]]:
        for _ in range(calls):
            yield segments

    start = timer()
    if isinstance(runtime, Streaming):
        for _ in runtime.stream(given()):
            pass
    else:
        runtime.embed(segments)
    return (timer() - start) / calls


def _on_device(runtime: Runtime, rounds: int, timer: Callable[[], float]) -> float | None:
    if not isinstance(runtime, GpuRuntime):
        return None
    return runtime.batch / min(runtime.seconds_on_device(_CALLS, timer) for _ in range(rounds))


def _one_ecg(
    bundle: Bundle,
    name: str,
    record: Record,
    device: str,
    threads: int | None,
    times: int,
    timer: Callable[[], float],
) -> float | None:
    try:
        predictor = Predictor(bundle, engine(bundle, name, device, threads, None, ONE_ECG))
        predictor.predict([record])
    except EcgFmError:  # a model without heads has no probability
        return None
    seconds = []
    for _ in range(times):
        start = timer()
        predictor.predict([record])
        seconds.append(timer() - start)
    return 1000 * statistics.median(seconds)


def _random(batch: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((batch, 12, 2500), np.float32)
