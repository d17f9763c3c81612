"""Signals in, one probability per head and label out: prepare, run in batches of fixed shape, aggregate per ECG.

The same record gives the same bits whatever stands beside it: the signal is never padded, calls have one shape, and
everything outside the network is computed record by record in float64.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ecgfm import runtimes
from ecgfm.checkpoint import Bundle
from ecgfm.errors import BundleError, NoHead
from ecgfm.heads import HeadSpec, aggregate, aggregate_logit
from ecgfm.runtimes import Runtime
from ecgfm.runtimes.preparation import Recordings
from ecgfm.signal import LEADS, PREPROCESSING, SEGMENT_SAMPLES, Signal, prepare, reasons_not_scored

Progress = Callable[[int, int], None]  #: (records done, records in all)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """One ECG to score: `signal` (12, samples) in mV, rows as in `ecgfm.signal.LEADS`; `sampling_rate` in Hz.

    `site` chooses among a bundle's operating points and changes nothing else.
    """

    signal: Signal = field(repr=False)
    sampling_rate: float
    site: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the signal as little-endian float32 and its rate: what `replay` compares."""
        values = np.ascontiguousarray(self.signal, dtype="<f4")
        return hashlib.sha256(values.tobytes() + repr(float(self.sampling_rate)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPrediction:
    """One label of one head for one ECG."""

    head: str
    label: str
    probability: float  #: calibrated where the bundle has a calibration, aggregated over the segments
    logit: float  #: log-odds of the aggregated raw sigmoid; for one segment the network's own logit
    segment_probabilities: tuple[float, ...]
    threshold: (
        float | None
    )  #: the bundle's operating point at the record's site; a probability at or above it is positive


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """All heads of one ECG, or the reasons why there are none."""

    model_id: str
    preprocessing: str
    runtime: str
    input_digest: str
    segments: int
    heads: tuple[HeadPrediction, ...]
    reasons: tuple[str, ...] = ()  #: `too-short`, `nan-lead`, `constant-lead`; then `heads` is empty


class Predictor:
    """A resident model: opened once, it scores records until the process ends."""

    def __init__(self, bundle: Bundle, runtime: Runtime) -> None:
        if bundle.preprocessing != PREPROCESSING:
            raise BundleError(
                f"{bundle.path} was trained on signals prepared by {bundle.preprocessing!r}, this program prepares them by "
                f"{PREPROCESSING!r}; use the program version that wrote the bundle"
            )
        self.bundle = bundle
        self._runtime = runtime
        self.model_id = bundle.model_id
        self.model_name = bundle.name
        self.model_version = bundle.version
        self.preprocessing = bundle.preprocessing
        self.runtime = runtime.name
        self.demo = bundle.demo

    @classmethod
    def from_bundle(
        cls,
        path: str | Path,
        *,
        runtime: str = "torch",
        device: str = "auto",
        threads: int | None = None,
        cache: Path | None = None,
        recordings: Callable[[], Recordings] | None = None,
    ) -> Self:
        """Open a bundle folder with one of `runtimes.NAMES`; raises as `Bundle.read` and `runtimes.open` do.

        `recordings` gives the ECGs to measure a runtime on that meets this model for the first time.
        """
        bundle = Bundle.read(path)
        return cls(bundle, runtimes.open(bundle, runtime, device, threads, cache, recordings))

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """head -> its labels, in logit order."""
        return {spec.name: spec.labels for spec in self.bundle.heads}

    def predict(self, records: Sequence[Record], progress: Progress | None = None) -> list[Prediction]:
        """One prediction a record, in order; raises `SignalError` (wrong shape or rate of a record) or `NoHead`."""
        if not self.bundle.heads:
            raise NoHead(f"{self.bundle.path} has no head, so it predicts nothing; use `embed`, or train a head first")
        found: list[Prediction] = []
        for group in _groups(records, 1 if self._runtime.one_record_a_call else self._runtime.batch):
            prepared = [_prepare(record) for record in group]
            logits = self._logits(np.concatenate([segments for segments, _ in prepared]))
            start = 0
            for record, (segments, reasons) in zip(group, prepared, strict=True):
                rows = slice(start, start + len(segments))
                start = rows.stop
                found.append(self._prediction(record, {head: own[rows] for head, own in logits.items()}, reasons))
            if progress:
                progress(len(found), len(records))
        return found

    def embed(self, records: Sequence[Record], progress: Progress | None = None) -> list[NDArray[np.float32] | None]:
        """Per record the mean of its segments' pooled embeddings (width,); None where it cannot be scored."""
        found: list[NDArray[np.float32] | None] = []
        for record in records:
            segments, reasons = _prepare(record)
            parts = [self._runtime.embed(padded)[:real] for padded, real in self._calls(segments)]
            found.append(None if reasons else np.concatenate(parts).mean(axis=0))
            if progress:
                progress(len(found), len(records))
        return found

    def _logits(self, segments: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        parts: dict[str, list[NDArray[np.float32]]] = {spec.name: [] for spec in self.bundle.heads}
        for padded, real in self._calls(segments):
            for head, values in self._runtime.logits(padded).items():
                parts[head].append(values[:real])
        empty = np.zeros((0, 0), np.float32)
        return {head: np.concatenate(values) if values else empty for head, values in parts.items()}

    def _calls(self, segments: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float32], int]]:
        """Cut into calls of the runtime's fixed shape, the last one filled up with zero segments."""
        size = self._runtime.batch
        for start in range(0, len(segments), size):
            part = segments[start : start + size]
            padded = np.zeros((size, len(LEADS), SEGMENT_SAMPLES), np.float32)
            padded[: len(part)] = part
            yield padded, len(part)

    def _prediction(
        self, record: Record, logits: Mapping[str, NDArray[np.float32]], reasons: tuple[str, ...]
    ) -> Prediction:
        heads = (
            []
            if reasons
            else [one for spec in self.bundle.heads for one in _head(spec, logits[spec.name], record.site)]
        )
        return Prediction(
            model_id=self.model_id,
            preprocessing=self.preprocessing,
            runtime=self.runtime,
            input_digest=record.digest,
            segments=0 if reasons else len(heads[0].segment_probabilities),
            heads=tuple(heads),
            reasons=reasons,
        )


def _groups(records: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), size):
        yield records[start : start + size]


def _prepare(record: Record) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    reasons = reasons_not_scored(record.signal, record.sampling_rate)
    if reasons:
        return np.zeros((0, len(LEADS), SEGMENT_SAMPLES), np.float32), reasons
    return prepare(record.signal, record.sampling_rate), ()


def _head(spec: HeadSpec, logits: NDArray[np.float32], site: str) -> Iterator[HeadPrediction]:
    """Logits (segments, labels) of one head -> its labels' predictions."""
    for column, label in enumerate(spec.labels):
        own = logits[:, column].astype(np.float64)
        probabilities = spec.segment_probabilities(label, own)
        how = spec.aggregation[label]
        yield HeadPrediction(
            head=spec.name,
            label=label,
            probability=aggregate(probabilities, how),
            logit=aggregate_logit(own, how),
            segment_probabilities=tuple(float(value) for value in probabilities),
            threshold=spec.threshold(label, site),
        )
