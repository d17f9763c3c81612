"""Random lead masking and the other ECG augmentations of pretraining, each a pure function of signal and random stream.

Every function takes `signal` (12, samples) float32 and a `numpy.random.RandomState`, and returns a new float32 array.
The draws come in the order in which fairseq-signals makes them, so that one seed gives the augmentation that it gives
there. Signals are z-scored, so amplitudes are in standard deviations of a lead, not in mV.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal  # Any: TOML of a recipe, numpy arrays of any kind

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from ecgfm.signal import derive_limb_leads

Signal = NDArray[np.float32]


def _applies(p: float, stream: RandomState) -> bool:
    """One uniform draw, made even where p is 1, so that the stream stays in step with the reference."""
    return bool(p > stream.uniform(0, 1))


def _check_range(name: str, low: float, high: float) -> None:
    if not 0 <= low <= high:
        raise ValueError(f"{name}: need 0 <= minimum <= maximum, got {low} and {high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomLeadMasking:
    """Zero each lead with probability `lead_probability` (RLM; Oh et al., arXiv 2203.06889, the setting of ECG-FM)."""

    name: ClassVar[str] = "random_lead_masking"
    p: float = 1.0
    lead_probability: float = 0.5

    def __call__(self, signal: Signal, stream: RandomState) -> Signal:
        if not _applies(self.p, stream):
            return signal.copy()
        kept = stream.uniform(0, 1, size=len(signal)) >= self.lead_probability
        return np.where(kept[:, None], signal, np.float32(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerlineNoise:
    """Add one cosine of 50 or 60 Hz, the same on all leads."""

    name: ClassVar[str] = "powerline_noise"
    p: float = 1.0
    min_amplitude: float = 0.0
    max_amplitude: float = 0.5
    sampling_rate: float = 500.0  #: Hz
    dependent_leads: bool = True  #: recompute III, aVR, aVL, aVF afterwards

    def __post_init__(self) -> None:
        _check_range("powerline_noise amplitude", self.min_amplitude, self.max_amplitude)

    def __call__(self, signal: Signal, stream: RandomState) -> Signal:
        if not _applies(self.p, stream):
            return signal.copy()
        amplitude = stream.uniform(self.min_amplitude, self.max_amplitude)
        frequency = 50 if stream.uniform(0, 1) > 0.5 else 60
        phase = stream.uniform(0, 2 * np.pi)
        time = np.arange(signal.shape[1]) / self.sampling_rate
        noisy = signal + np.cos(2 * np.pi * frequency * time + phase) * amplitude
        return _finish(noisy, self.dependent_leads)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmgNoise:
    """Add white Gaussian noise with an amplitude of its own on each lead, as muscle activity does."""

    name: ClassVar[str] = "emg_noise"
    p: float = 1.0
    min_amplitude: float = 0.0
    max_amplitude: float = 0.5
    dependent_leads: bool = True

    def __post_init__(self) -> None:
        _check_range("emg_noise amplitude", self.min_amplitude, self.max_amplitude)

    def __call__(self, signal: Signal, stream: RandomState) -> Signal:
        if not _applies(self.p, stream):
            return signal.copy()
        amplitude = stream.uniform(self.min_amplitude, self.max_amplitude, size=(len(signal), 1))
        return _finish(signal + stream.normal(0, 1, size=signal.shape) * amplitude, self.dependent_leads)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineShift:
    """Lift or lower every lead for a stretch of the segment.

    `published` is what fairseq-signals computes: sign **minus** amplitude, a shift near ±1 whatever the amplitude;
    `intended` multiplies them, a shift within ±`max_amplitude`.
    """

    name: ClassVar[str] = "baseline_shift"
    p: float = 1.0
    min_amplitude: float = 0.0
    max_amplitude: float = 0.25
    shift_ratio: float = 0.2  #: mean length of a stretch as a share of the segment
    stretches: int = 1
    dependent_leads: bool = False
    variant: Literal["published", "intended"] = "published"

    def __post_init__(self) -> None:
        _check_range("baseline_shift amplitude", self.min_amplitude, self.max_amplitude)
        if self.variant not in ("published", "intended"):
            raise ValueError(f"baseline_shift: variant must be published or intended, not {self.variant!r}")

    def __call__(self, signal: Signal, stream: RandomState) -> Signal:
        if not _applies(self.p, stream):
            return signal.copy()
        leads, samples = signal.shape
        mean_length = samples * self.shift_ratio
        sign = stream.choice([1, -1], size=(leads, 1))
        amplitude = stream.uniform(self.min_amplitude, self.max_amplitude)
        shift = sign - amplitude if self.variant == "published" else sign * amplitude
        shifted = np.zeros(samples)
        for _ in range(self.stretches):
            length = stream.normal(mean_length, mean_length * 0.2)
            start = int(stream.uniform(0, samples - length))
            shifted[start : int(start + length)] = 1
        return _finish(signal + shift * shifted, self.dependent_leads)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineWander:
    """Add a sum of `waves` slow cosines, scaled by a factor of its own on each lead, as breathing does."""

    name: ClassVar[str] = "baseline_wander"
    p: float = 1.0
    min_amplitude: float = 0.0
    max_amplitude: float = 0.5
    min_frequency: float = 0.01  #: Hz
    max_frequency: float = 0.2  #: Hz
    waves: int = 3
    sampling_rate: float = 500.0  #: Hz
    dependent_leads: bool = True

    def __post_init__(self) -> None:
        _check_range("baseline_wander amplitude", self.min_amplitude, self.max_amplitude)
        _check_range("baseline_wander frequency", self.min_frequency, self.max_frequency)

    def __call__(self, signal: Signal, stream: RandomState) -> Signal:
        if not _applies(self.p, stream):
            return signal.copy()
        factor = stream.normal(1, 0.5, size=(len(signal), 1))
        amplitudes = stream.uniform(self.min_amplitude, self.max_amplitude, size=self.waves)
        time = np.arange(signal.shape[1]) / self.sampling_rate
        wander = np.zeros(signal.shape[1])
        for amplitude in amplitudes:
            frequency = stream.uniform(self.min_frequency, self.max_frequency)
            phase = stream.uniform(0, 2 * np.pi)
            wander += np.cos(2 * np.pi * frequency * time + phase) * amplitude
        return _finish(signal + (wander * factor).astype(np.float32), self.dependent_leads)


Augmentation = RandomLeadMasking | PowerlineNoise | EmgNoise | BaselineShift | BaselineWander

AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {
    "random_lead_masking": RandomLeadMasking,
    "powerline_noise": PowerlineNoise,
    "emg_noise": EmgNoise,
    "baseline_shift": BaselineShift,
    "baseline_wander": BaselineWander,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentations:
    """What is done to one training segment, in order."""

    steps: tuple[Augmentation, ...] = field(default=(RandomLeadMasking(),))

    def __call__(self, signal: Signal, stream: RandomState) -> Signal:
        """One augmented copy of `signal` (12, samples); the input is left as it is."""
        for step in self.steps:
            signal = step(signal, stream)
        return signal if self.steps else signal.copy()


def read_augmentations(tables: Sequence[Mapping[str, Any]]) -> Augmentations:
    """The `[[augmentation]]` tables of a recipe.

    Raises:
        ValueError: an unknown name or setting, or one out of range; the message names it and lists what exists.
    """
    return Augmentations(steps=tuple(_read_augmentation(table) for table in tables))


def _read_augmentation(table: Mapping[str, Any]) -> Augmentation:
    settings = dict(table)
    name = settings.pop("name", None)
    if name not in AUGMENTATIONS:
        raise ValueError(f"unknown augmentation {name!r}: choose from {', '.join(AUGMENTATIONS)}")
    known = {entry.name for entry in fields(AUGMENTATIONS[name])}  # type: ignore[arg-type]  # each value is a dataclass
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(f"augmentation {name}: unknown setting {unknown[0]!r}: choose from {', '.join(sorted(known))}")
    return AUGMENTATIONS[name](**settings)


def _finish(signal: NDArray[Any], dependent_leads: bool) -> Signal:
    if dependent_leads:
        derive_limb_leads(signal)
    return signal.astype(np.float32)
