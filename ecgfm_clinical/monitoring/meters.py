"""What one process measures while it works, as Prometheus' counters and histograms.

Units are base units (seconds, bytes). A label's value is a name that the settings gave to a part, or a word of a closed
list of this program; anything else is counted under `other`, so that nothing a payload says can become a label.
"""

from collections.abc import Collection
from datetime import timedelta
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Histogram

from ecgfm_clinical.codes import CODES
from ecgfm_connectors.rejections import REASONS

OTHER = "other"
OUTCOMES = ("scored", "not_evaluable", "failed")
ANSWERS = ("acknowledged", "refused", "again", "unreached")

#: Bounds of the histograms in seconds: a decode takes milliseconds, an acknowledgement may take a night.
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SLOW = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)


class Meters:
    """The instruments of one process, in a registry of their own."""

    def __init__(
        self, *, sources: Collection[str] = (), listeners: Collection[str] = (), destinations: Collection[str] = ()
    ) -> None:
        """`sources` (`listeners` among them), `destinations`: the names in the settings; others are `other`."""
        self.registry = CollectorRegistry(auto_describe=True)
        self._sources = frozenset(sources)
        self._destinations = frozenset(destinations)
        self._payloads = Counter(
            "ecgfm_payloads",
            "Payloads that came in, by what became of them.",
            ("source", "disposition", "code"),
            registry=self.registry,
        )
        self._payload_bytes = Counter("ecgfm_payload_bytes", "Bytes that came in.", ("source",), registry=self.registry)
        self._decode = Histogram(
            "ecgfm_decode_seconds",
            "From the bytes of a payload to what it holds.",
            ("source",),
            buckets=_QUICK,
            registry=self.registry,
        )
        self._wait = Histogram(
            "ecgfm_score_wait_seconds",
            "From the receipt of an ECG to the beginning of its scoring.",
            buckets=_SLOW,
            registry=self.registry,
        )
        self._score = Histogram(
            "ecgfm_score_seconds",
            "Judging and scoring one batch of ECGs and keeping its scores.",
            buckets=(*_QUICK, 30.0, 120.0),
            registry=self.registry,
        )
        self._scored = Counter("ecgfm_scored", "ECGs judged, by the outcome.", ("outcome",), registry=self.registry)
        self._deliver = Histogram(
            "ecgfm_deliver_seconds",
            "From the first byte of a result message to its acknowledgement.",
            ("destination",),
            buckets=(*_QUICK, 30.0, 120.0),
            registry=self.registry,
        )
        self._through = Histogram(
            "ecgfm_arrival_to_acknowledged_seconds",
            "From the receipt of an ECG to the acknowledgement of its first result.",
            ("destination",),
            buckets=_SLOW,
            registry=self.registry,
        )
        self._messages = Counter(
            "ecgfm_messages",
            "Attempts to send a result message, by the answer.",
            ("destination", "answer"),
            registry=self.registry,
        )
        self._rejected = Counter(
            "ecgfm_rejected_callers",
            "Connections, associations and messages that a listener turned away.",
            ("listener", "reason"),
            registry=self.registry,
        )
        self._begin_at_zero(listeners)

    def _begin_at_zero(self, listeners: Collection[str]) -> None:
        """Prometheus sees an increase only where there was a number before: what first comes with 1 has not grown."""
        for outcome in OUTCOMES:
            self._scored.labels(outcome)
        for destination, answer in product(self._destinations, ANSWERS):
            self._messages.labels(destination, answer)
        for listener, reason in product(listeners, REASONS):
            self._rejected.labels(listener, reason)

    def received(self, source: str, disposition: str, code: str, *, size: int) -> None:
        """One payload, after its commit."""
        name = self._source(source)
        self._payloads.labels(name, disposition, code if code in CODES else OTHER if code else "").inc()
        self._payload_bytes.labels(name).inc(size)

    def decoded(self, source: str, seconds: float) -> None:
        self._decode.labels(self._source(source)).observe(seconds)

    def begun(self, waited: timedelta) -> None:
        """The scoring of one ECG begins, so long after its receipt."""
        self._wait.observe(max(0.0, waited.total_seconds()))

    def scored(self, outcome: str, count: int = 1) -> None:
        """`outcome`: one of OUTCOMES."""
        self._scored.labels(outcome).inc(count)

    def batch(self, seconds: float) -> None:
        self._score.observe(seconds)

    def answered(self, destination: str, answer: str) -> None:
        """`answer`: one of ANSWERS."""
        self._messages.labels(self._destination(destination), answer).inc()

    def delivered(self, destination: str, seconds: float, *, since_receipt: timedelta | None) -> None:
        """An acknowledgement; `since_receipt` where it is the first result of its ECG there."""
        name = self._destination(destination)
        self._deliver.labels(name).observe(seconds)
        if since_receipt is not None:
            self._through.labels(name).observe(max(0.0, since_receipt.total_seconds()))

    def rejected(self, listener: str, reason: str) -> None:
        """A caller whom a listener turned away, or whose message it did not take; one of `rejections.REASONS`."""
        self._rejected.labels(self._source(listener), reason if reason in REASONS else OTHER).inc()

    def _source(self, name: str) -> str:
        return name if name in self._sources else OTHER

    def _destination(self, name: str) -> str:
        return name if name in self._destinations else OTHER
