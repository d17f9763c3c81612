"""Signals in, one probability per head and label out: prepare, run in batches of fixed shape, aggregate per ECG.

The same record gives the same bits whatever stands beside it: the signal is never padded, calls have one shape, and
everything outside the network is computed record by record in float64.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgfm.checkpoint import Bundle
from ecgfm.errors import NoHead
from ecgfm.feeding import Call, Prepared, Rows, fed
from ecgfm.heads import HeadSpec, aggregate, aggregate_logit
from ecgfm.records import Record, Recordings
from ecgfm.runtimes import AUTO
from ecgfm.runtimes.batching import record_embeddings, record_logits
from ecgfm.runtimes.choosing import Choice, open_chosen
from ecgfm.runtimes.opening import open_runtime
from ecgfm.runtimes.runtime import Runtime

T = TypeVar("T")
Progress = Callable[[int, int], None]  #: (records done, records in all)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPrediction:
    """One label of one head for one ECG."""

    head: str
    label: str
    #: calibrated where the bundle has a calibration, aggregated over the segments, and then shifted where it has a
    #: prior shift
    probability: float
    logit: float  #: log-odds of the aggregated raw sigmoid; for one segment the network's own logit
    segment_probabilities: tuple[float, ...]
    threshold: (
        float | None
    )  #: the bundle's operating point at the record's site; a probability at or above it is positive
    unshifted: float | None = None  #: the probability before the prior shift; None where the label has none


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

    def __init__(self, bundle: Bundle, runtime: Runtime, choice: Choice | None = None) -> None:
        """`choice`: why `runtime` runs, where nobody named it."""
        bundle.check_preprocessing()
        self.bundle = bundle
        self._runtime = runtime
        self.model_id = bundle.model_id
        self.model_name = bundle.name
        self.model_version = bundle.version
        self.preprocessing = bundle.preprocessing
        self.runtime = runtime.name
        self.choice = choice
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
        shape: int | None = None,
    ) -> Self:
        """Open a bundle folder, or `demo`, with one of `runtimes.NAMES`, or `auto`, the fastest exact one of this
        machine.

        `recordings` gives the ECGs to measure a runtime on that meets this model for the first time; `shape` is how
        many segments a call on a GPU holds. Raises as `Bundle.read` and `open_runtime` do.
        """
        bundle = Bundle.read(path)
        if runtime == AUTO:
            opened, choice = open_chosen(
                bundle, device=device, threads=threads, cache=cache, recordings=recordings, shape=shape
            )
            return cls(bundle, opened, choice)
        return cls(bundle, open_runtime(bundle, runtime, device, threads, cache, recordings, shape))

    @property
    def width(self) -> int:
        """Of an embedding."""
        return self.bundle.config.width

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """head -> its labels, in logit order."""
        return {spec.name: spec.labels for spec in self.bundle.heads}

    def predict(self, records: Sequence[Record], progress: Progress | None = None) -> list[Prediction]:
        """One prediction a record, in order; raises `SignalError` (wrong shape or rate of a record) or `NoHead`."""
        self._need_heads()
        found: list[Prediction] = []
        for record, logits, reasons in record_logits(self._runtime, self.bundle.heads, records, self.preprocessing):
            found.append(self._prediction({} if reasons else logits, reasons, record.digest, record.site))
            if progress:
                progress(len(found), len(records))
        return found

    def embed(self, records: Sequence[Record], progress: Progress | None = None) -> list[NDArray[np.float32] | None]:
        """Per record the mean of its segments' pooled embeddings (width,); None where it cannot be scored."""
        found: list[NDArray[np.float32] | None] = []
        for _, rows, reasons in record_embeddings(self._runtime, self.width, records, self.preprocessing):
            found.append(None if reasons else rows.mean(axis=0))
            if progress:
                progress(len(found), len(records))
        return found

    def predictions(self, prepared: Iterable[Prepared[T]]) -> Iterator[tuple[Prepared[T], Prediction | Exception]]:
        """As `predict`, of any number of records, in order, in calls that are filled across them; raises `NoHead`.

        The error stands in place of the prediction where a record breaks the network.
        """
        self._need_heads()
        for one, logits in self._fed(prepared, self._runtime.logits):
            if isinstance(logits, Exception):
                yield one, logits
            else:
                yield one, self._prediction(logits, one.reasons, one.input_digest, one.site)

    def embeddings(
        self, prepared: Iterable[Prepared[T]]
    ) -> Iterator[tuple[Prepared[T], NDArray[np.float32] | Exception | None]]:
        """As `embed`, of any number of records, in order, in calls that are filled across them."""
        for one, rows in self._fed(prepared, lambda segments: {"": self._runtime.embed(segments)}):
            if isinstance(rows, Exception):
                yield one, rows
            else:
                yield one, rows[""].mean(axis=0) if rows else None

    def predictions_and_embeddings(
        self, prepared: Iterable[Prepared[T]]
    ) -> Iterator[tuple[Prepared[T], Prediction | Exception, NDArray[np.float32] | None]]:
        """What `predictions` and `embeddings` say, each to the last bit, of records that are prepared once."""
        self._need_heads()

        def call(segments: NDArray[np.float32]) -> Rows:
            return {**self._runtime.logits(segments), "": self._runtime.embed(segments)}

        for one, rows in self._fed(prepared, call):
            if isinstance(rows, Exception):
                yield one, rows, None
            else:
                embedding = rows[""].mean(axis=0) if rows else None
                yield one, self._prediction(rows, one.reasons, one.input_digest, one.site), embedding

    def _fed(self, prepared: Iterable[Prepared[T]], call: Call) -> Iterator[tuple[Prepared[T], Rows | Exception]]:
        return fed(prepared, call, size=self._runtime.batch, alone=self._runtime.one_record_a_call)

    def _need_heads(self) -> None:
        if not self.bundle.heads:
            raise NoHead(f"{self.bundle.path} has no head, so it predicts nothing; use `embed`, or train a head first")

    def _prediction(self, logits: Rows, reasons: tuple[str, ...], input_digest: str, site: str) -> Prediction:
        """Of one record; without logits, no head says anything."""
        heads = [one for spec in self.bundle.heads for one in _head(spec, logits[spec.name], site)] if logits else []
        return Prediction(
            model_id=self.model_id,
            preprocessing=self.preprocessing,
            runtime=self.runtime,
            input_digest=input_digest,
            segments=len(heads[0].segment_probabilities) if heads else 0,
            heads=tuple(heads),
            reasons=reasons,
        )


def _head(spec: HeadSpec, logits: NDArray[np.float32], site: str) -> Iterator[HeadPrediction]:
    """Logits (segments, labels) of one head -> its labels' predictions."""
    for column, label in enumerate(spec.labels):
        own = logits[:, column].astype(np.float64)
        probabilities = spec.segment_probabilities(label, own)
        how = spec.aggregation[label]
        probability = aggregate(probabilities, how)
        yield HeadPrediction(
            head=spec.name,
            label=label,
            probability=spec.shifted(label, probability),
            logit=aggregate_logit(own, how),
            segment_probabilities=tuple(float(value) for value in probabilities),
            threshold=spec.threshold(label, site),
            unshifted=probability if label in spec.prior_shifts else None,
        )
