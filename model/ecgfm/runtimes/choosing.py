"""`auto`: the fastest exact runtime of this machine, found by a short measurement when a model first opens.

The choice is kept with its figures beside the bundle's other prepared files, one file a kind of machine, so that the
next opening, and the next host of the same kind, take the same one. A kept choice is of one model, processor, device,
number of threads and set of library versions; where any of them changed, it is measured again.

torch itself is taken unmeasured where nothing else could be chosen, where a choice cannot be kept (two openings might
differ), and for a network so small that it takes milliseconds anywhere.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ecgfm.checkpoint import WEIGHTS, Bundle
from ecgfm.devices import choose_device
from ecgfm.errors import BundleError, EcgFmError, RuntimeTooInexact, RuntimeUnavailable
from ecgfm.records import Recordings
from ecgfm.runtimes import preparation
from ecgfm.runtimes.opening import engine, open_runtime, prepare
from ecgfm.runtimes.processors import card, processor
from ecgfm.runtimes.runtime import Runtime
from ecgfm.signal import LEADS, SEGMENT_SAMPLES

SMALL = 10_000_000  #: parameters; below it a 10 s ECG takes torch a few milliseconds
GAIN = 1.03  #: another runtime must be that much faster than torch
ROUNDS = 5
SEGMENTS_PER_ECG = 2  #: a 10 s recording
_NEEDS = {"onnx": ("onnxruntime",), "openvino": ("openvino",)}
_EXPORTER = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One exact runtime as it was tried; `reason` says why it is no candidate, and then there are no figures."""

    runtime: str
    engine: str = ""
    milliseconds_per_ecg: float | None = None  #: least of the rounds
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which runtime `auto` is for one model on one kind of machine, and why."""

    model_id: str
    runtime: str
    why: str
    device: str
    threads: int | None
    processor: str
    versions: dict[str, str]
    trials: tuple[Trial, ...] = ()

    def __str__(self) -> str:
        timed = [one for one in self.trials if one.milliseconds_per_ecg is not None]
        figures = ", ".join(f"{one.runtime} {one.milliseconds_per_ecg:.1f}" for one in timed)
        return f"auto: {self.why}" + (f" (ms an ECG: {figures})" if figures else "")


def choose(
    bundle: Bundle,
    *,
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
    recordings: Callable[[], Recordings] | None = None,
    small: int = SMALL,
    timer: Callable[[], float] = time.perf_counter,
) -> Choice:
    """The runtime that `auto` means here: as kept, or measured now and kept. Raises RuntimeUnavailable, BundleError."""
    found = kept(bundle, device=device, threads=threads, cache=cache)
    if found is not None:
        return found
    unmeasured = _why_unmeasured(bundle, device, cache, recordings, small)
    if unmeasured:
        return _choice(bundle, device, threads, "torch", unmeasured)
    assert recordings is not None
    found = _measured(bundle, device, threads, cache, recordings, timer)
    preparation.write(_path(bundle, device, threads, cache), asdict(found))
    return found


def open_chosen(
    bundle: Bundle,
    *,
    device: str = "auto",
    threads: int | None = None,
    cache: Path | None = None,
    recordings: Callable[[], Recordings] | None = None,
    shape: int | None = None,
) -> tuple[Runtime, Choice]:
    """The runtime that `auto` means here, opened, and why it is this one. A kept one that no longer opens is chosen
    anew.
    """
    choice = choose(bundle, device=device, threads=threads, cache=cache, recordings=recordings)
    try:
        return open_runtime(bundle, choice.runtime, device, threads, cache, recordings, shape), choice
    except (RuntimeUnavailable, RuntimeTooInexact):
        forget(bundle, device=device, threads=threads, cache=cache)
        choice = choose(bundle, device=device, threads=threads, cache=cache, recordings=recordings)
    return open_runtime(bundle, choice.runtime, device, threads, cache, recordings, shape), choice


def kept(
    bundle: Bundle, *, device: str = "auto", threads: int | None = None, cache: Path | None = None
) -> Choice | None:
    """The choice on disk for this model on this kind of machine; None where there is none, or its runtime is gone."""
    try:
        read = json.loads(_path(bundle, device, threads, cache).read_text(encoding="utf-8"))
        found = Choice(**read | {"trials": tuple(Trial(**trial) for trial in read["trials"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    expected = _choice(bundle, device, threads, found.runtime, found.why)
    same = asdict(found) == asdict(expected) | {"trials": asdict(found)["trials"]}
    return found if same and not _absent(found.runtime, bundle, cache) else None


def forget(bundle: Bundle, *, device: str = "auto", threads: int | None = None, cache: Path | None = None) -> None:
    """Remove the kept choice, so that the next `choose` measures."""
    _path(bundle, device, threads, cache).unlink(missing_ok=True)


def _why_unmeasured(
    bundle: Bundle,
    device: str,
    cache: Path | None,
    recordings: Callable[[], Recordings] | None,
    small: int,
) -> str:
    """Why torch is taken without measuring; empty where it must be measured."""
    others = [name for name in exact_runtimes(device) if name != "torch" and not _absent(name, bundle, cache)]
    if not others:
        return "torch is the one exact runtime installed for this device"
    parameters = (bundle.path / WEIGHTS).stat().st_size // 4
    if parameters < small:
        return f"torch, unmeasured: {parameters / 1e6:.1f} million parameters take milliseconds in any runtime"
    if recordings is None or not bundle.heads:
        return "torch, unmeasured: there is no probability, or no ECG, to check another runtime on"
    try:
        preparation.try_folder(bundle, cache)
    except BundleError as error:
        return f"torch, unmeasured, because no choice could be kept: {error}"
    return ""


def exact_runtimes(device: str) -> tuple[str, ...]:
    """The float32 runtimes for a device; torch, the one that needs nothing more, first."""
    return ("torch", "onnx", "openvino") if choose_device(device).type == "cpu" else ("torch", "onnx")


def _absent(name: str, bundle: Bundle, cache: Path | None) -> str:
    """Which library keeps a runtime from being tried; empty where none does."""
    needed: tuple[str, ...] = _NEEDS.get(name, ())
    if needed and not preparation.onnx_path(bundle, cache).exists():
        needed = tuple(dict.fromkeys((*needed, *_EXPORTER)))
    return next((f"{module} is not installed" for module in needed if not _installed(module)), "")


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a module that is blocked, or half imported
        return False


def _measured(
    bundle: Bundle,
    device: str,
    threads: int | None,
    cache: Path | None,
    recordings: Callable[[], Recordings],
    timer: Callable[[], float],
) -> Choice:
    """Time each exact runtime in turns with torch; the fastest one that keeps every probability is chosen."""
    exact = engine(bundle, "torch", device, threads, cache)
    trials = [Trial(runtime="torch", engine=exact.name, milliseconds_per_ecg=_times([exact], timer)[0])]
    faster: list[tuple[float, Trial]] = []
    for name in exact_runtimes(device)[1:]:
        trial, gain = _against(exact, bundle, name, device, threads, cache, timer)
        trials.append(trial)
        if gain >= GAIN:
            faster.append((gain, trial))
    for gain, trial in sorted(faster, key=lambda one: -one[0]):
        try:
            measured = prepare(bundle, trial.runtime, recordings(), device=device, threads=threads, cache=cache)
        except RuntimeTooInexact as error:
            trials[trials.index(trial)] = replace(trial, reason=str(error))
            continue
        change = measured.largest_probability_change
        why = f"{trial.runtime}, {gain:.2f} times as fast as torch, changes no probability by more than {change:.0e}"
        return _choice(bundle, device, threads, trial.runtime, why, trials)
    return _choice(bundle, device, threads, "torch", "torch, because no other exact runtime is faster here", trials)


def _against(
    exact: Runtime,
    bundle: Bundle,
    name: str,
    device: str,
    threads: int | None,
    cache: Path | None,
    timer: Callable[[], float],
) -> tuple[Trial, float]:
    """How one runtime did, and how many times as fast as torch it was in the same rounds; 0 where it cannot run."""
    reason = _absent(name, bundle, cache)
    if reason:
        return Trial(runtime=name, reason=reason), 0.0
    try:
        runtime = engine(bundle, name, device, threads, cache)
    except EcgFmError as error:
        return Trial(runtime=name, reason=str(error)), 0.0
    base, own = _times([exact, runtime], timer)
    return Trial(runtime=name, engine=runtime.name, milliseconds_per_ecg=own), base / own


def _times(runtimes: Sequence[Runtime], timer: Callable[[], float]) -> list[float]:
    """Milliseconds of one ECG, the least of the rounds in turns, after one call each to warm up."""
    draw = np.random.default_rng(0)
    shapes = [(runtime.batch, len(LEADS), SEGMENT_SAMPLES) for runtime in runtimes]
    calls = [draw.standard_normal(shape, np.float32) for shape in shapes]
    for runtime, call in zip(runtimes, calls, strict=True):
        runtime.embed(call)
    least = [math.inf] * len(runtimes)
    for _ in range(ROUNDS):
        for index, (runtime, call) in enumerate(zip(runtimes, calls, strict=True)):
            start = timer()
            runtime.embed(call)
            least[index] = min(least[index], 1000 * (timer() - start) * SEGMENTS_PER_ECG / runtime.batch)
    return least


def _choice(
    bundle: Bundle, device: str, threads: int | None, runtime: str, why: str, trials: Sequence[Trial] = ()
) -> Choice:
    kind = choose_device(device).type
    return Choice(
        model_id=bundle.model_id,
        runtime=runtime,
        why=why,
        device=kind,
        threads=threads,
        processor=card() if kind == "cuda" else processor(),
        versions=preparation.versions(),
        trials=tuple(trials),
    )


def _path(bundle: Bundle, device: str, threads: int | None, cache: Path | None) -> Path:
    """One file a kind of machine, because hosts of several kinds may share the folder."""
    of = _choice(bundle, device, threads, "", "")
    key = hashlib.sha256(json.dumps(asdict(of), sort_keys=True).encode()).hexdigest()[:12]
    return preparation.folder_for(bundle, cache) / f"auto-{key}.json"
