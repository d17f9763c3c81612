"""Labelled ECGs for training heads: who they are, what is known of them, and their segments read when they are needed.

An `Example` is a few numbers; its signal stays where it lies and is read by a `Reader`, so a cohort of a million ECGs
streams. What is drawn when is a function of seed and epoch alone, so a resumed run sees what it would have seen.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgfm.records import Record
from ecgfm.signal import LEADS, SEGMENT_SAMPLES, prepare

Segments = NDArray[np.float32]  #: (segments, 12, 2500), prepared
Part = TypeVar("Part")
Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled ECG. Raises ValueError where it is too short for a segment."""

    key: str  #: names the signal for the `Reader`; another signal must have another key
    patient: str = field(repr=False)  #: opaque; equal for ECGs of one patient
    labels: tuple[float, ...]  #: 0 or 1 in the order of the head's labels; NaN where not known
    segments: int  #: how many 5 s segments the reference's preparation makes of it: those drawn in fine-tuning

    def __post_init__(self) -> None:
        if self.segments < 1:
            raise ValueError("an example shorter than 5 s has no segment to learn from")


Reader = Callable[[str], Record]  #: key -> (12, samples) in mV; raises whatever the store raises


def label_matrix(examples: Sequence[Example]) -> NDArray[np.float64]:
    """(examples, labels), NaN where not known."""
    return np.array([example.labels for example in examples], dtype=np.float64)


def positive_weights(examples: Sequence[Example]) -> NDArray[np.float32]:
    """Per label negatives over positives of the training segments, as published: (1 - p) / p."""
    matrix = label_matrix(examples)
    counts = np.array([[example.segments] for example in examples], dtype=np.float64)
    positive = np.nansum(matrix * counts, axis=0)
    return np.asarray((np.isfinite(matrix) * counts).sum(axis=0) / positive - 1, np.float32)


def read_segments(read: Reader, preprocessing: str, example: Example) -> Segments:
    """The segments of one example, prepared so, (segments, 12, 2500)."""
    record = read(example.key)
    return prepare(record.signal, record.sampling_rate, preprocessing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One segment of one example."""

    example: int
    segment: int


def all_draws(examples: Sequence[Example]) -> list[Draw]:
    """Every segment of every example, in order."""
    return [Draw(example=i, segment=s) for i, example in enumerate(examples) for s in range(example.segments)]


def epoch_batches(examples: Sequence[Example], batch_size: int, *, seed: int, epoch: int) -> Iterator[list[Draw]]:
    """Every segment once in an order of its own for each (seed, epoch), cut into batches; the last may be smaller."""
    draws = all_draws(examples)
    order = np.random.default_rng([seed, epoch]).permutation(len(draws))
    for start in range(0, len(order), batch_size):
        yield [draws[i] for i in order[start : start + batch_size]]


def ahead(load: Callable[[Part], Loaded], parts: Iterable[Part]) -> Iterator[Loaded]:
    """What `load` makes of each part, in order; the next one is read by a thread while the caller works on this one.

    Raises what `load` raises, when its part is due.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading ahead") as reader:
        waiting: Future[Loaded] | None = None
        for part in parts:
            following = reader.submit(load, part)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


class SegmentLoader:
    """Draws -> arrays, keeping the most recently read examples so that both segments of one ECG are read once."""

    def __init__(self, examples: Sequence[Example], read: Reader, preprocessing: str, *, keep: int = 4096) -> None:
        self._examples = examples
        self._read = read
        self._preprocessing = preprocessing
        self._keep = keep
        self._kept: dict[int, Segments] = {}

    def load(self, draws: Sequence[Draw]) -> tuple[Segments, NDArray[np.float32]]:
        """(batch, 12, 2500) and labels (batch, labels) float32 with NaN where not known."""
        source = np.empty((len(draws), len(LEADS), SEGMENT_SAMPLES), np.float32)
        for row, draw in enumerate(draws):
            source[row] = self._segments(draw.example)[draw.segment]
        labels = np.array([self._examples[draw.example].labels for draw in draws], np.float32)
        return source, labels

    def _segments(self, index: int) -> Segments:
        found = self._kept.pop(index, None)
        if found is None:
            found = read_segments(self._read, self._preprocessing, self._examples[index])
            if len(self._kept) >= self._keep:
                del self._kept[next(iter(self._kept))]  # the one not used for longest
        self._kept[index] = found
        return found
