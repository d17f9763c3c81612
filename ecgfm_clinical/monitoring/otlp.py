"""The metrics of `/metrics`, pushed to an OpenTelemetry collector (OTLP/HTTP 1.x, protobuf).

There is no second list of metrics: whatever the registry holds is sent under the same name with the same labels.
Counters and histograms are cumulative, so that a push which is missed loses nothing but its moment.
"""

import gzip
import http.client
import ssl
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: messages of opentelemetry-proto, which are made at run time
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from ecgfm_clinical.errors import ClinicalError, SettingsError
from ecgfm_clinical.extras import need
from ecgfm_connectors.tls import trusting

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

TIMEOUT = 10.0  #: seconds for one request
MOST_ANSWER = 65536  #: bytes
#: Ending of a metric's name -> its unit in UCUM, as OpenTelemetry writes it.
_UNITS = {"seconds": "s", "bytes": "By"}
_NANOSECONDS = 1_000_000_000


class NotTaken(ClinicalError):
    """The collector did not take the metrics, or not all of them."""


class Push:
    """Sends what a registry holds to one collector."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        url: str,
        headers: Mapping[str, str],
        about: Mapping[str, str],
        clock: Callable[[], datetime],
        trusted: Path | None = None,
    ) -> None:
        """`about`: attributes of the resource, such as service.name. `trusted`: the authority of the collector's
        certificate, PEM; those of this machine where None. Raises MissingExtra, SettingsError.
        """
        need("otlp", "monitoring.otlp")
        self._registry = registry
        self._url = urlsplit(url)
        self._headers = {
            **headers,
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": "ecgfm-clinical",
        }
        self._about = dict(about)
        self._clock = clock
        self._tls = _trusting(trusted) if self._url.scheme == "https" else None

    def __call__(self) -> None:
        """Send everything as it stands now. Raises NotTaken, OSError, http.client.HTTPException."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

        caller = self._caller()
        try:
            path = f"{self._url.path or '/'}{'?' if self._url.query else ''}{self._url.query}"
            caller.request("POST", path, body=gzip.compress(self.request()), headers=self._headers)
            answer = caller.getresponse()
            content = answer.read(MOST_ANSWER)
        finally:
            caller.close()
        if answer.status != 200:
            raise NotTaken(f"the collector answered with HTTP {answer.status}")
        left = ExportMetricsServiceResponse.FromString(content).partial_success.rejected_data_points
        if left:
            raise NotTaken(f"the collector left {left} values out")

    def _caller(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)

    def request(self) -> bytes:
        """An ExportMetricsServiceRequest of everything that the registry holds."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        request: Any = ExportMetricsServiceRequest()
        told = request.resource_metrics.add()
        _attributes(told.resource.attributes, self._about)
        scope = told.scope_metrics.add()
        scope.scope.name = "ecgfm-clinical"
        now = round(self._clock().timestamp() * _NANOSECONDS)
        for family in self._registry.collect():
            if family.samples:
                _add(scope.metrics.add(), family, now)
        told_bytes: bytes = request.SerializeToString()
        return told_bytes


def _trusting(authority: Path | None) -> ssl.SSLContext:
    try:
        return trusting(authority)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"monitoring.otlp.trusted {authority} is no readable PEM certificate") from error


def _add(metric: Any, family: "Metric", now: int) -> None:
    """One family of samples, as a sum, a histogram or a gauge."""
    from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

    metric.name = f"{family.name}_total" if family.type == "counter" else family.name
    metric.description = family.documentation
    metric.unit = _UNITS.get(family.name.rpartition("_")[2], "")
    by_labels: dict[tuple[tuple[str, str], ...], list[Sample]] = defaultdict(list)
    for sample in family.samples:
        by_labels[tuple((name, value) for name, value in sample.labels.items() if name != "le")].append(sample)
    if family.type in ("counter", "histogram"):
        into = metric.sum if family.type == "counter" else metric.histogram
        into.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        if family.type == "counter":
            into.is_monotonic = True
    else:
        into = metric.gauge
    for labels, samples in by_labels.items():
        point = into.data_points.add()
        _attributes(point.attributes, dict(labels))
        point.time_unix_nano = now
        values = {one.name.removeprefix(family.name): one.value for one in samples}
        if "_created" in values:
            point.start_time_unix_nano = round(values["_created"] * _NANOSECONDS)
        if family.type == "histogram":
            _fill(point, samples, values)
        else:
            point.as_double = values["_total" if family.type == "counter" else ""]


def _fill(point: Any, samples: Sequence[Sample], values: Mapping[str, float]) -> None:
    """A point of a histogram: OpenTelemetry counts each bucket alone, Prometheus all up to its bound."""
    buckets = sorted((float(one.labels["le"]), one.value) for one in samples if "le" in one.labels)
    below = 0.0
    for bound, upto in buckets:
        point.bucket_counts.append(round(upto - below))
        below = upto
        if bound != float("inf"):
            point.explicit_bounds.append(bound)
    point.count, point.sum = round(values["_count"]), values["_sum"]


def _attributes(into: Any, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        one = into.add()
        one.key, one.value.string_value = name, value
