"""What `/metrics` shows is pushed to a collector as well, which decodes it by OpenTelemetry's own messages."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any  # Any: messages of opentelemetry-proto

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ecgfm_clinical import extras
from ecgfm_clinical.errors import SettingsError
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.monitoring.otlp import NotTaken, Push
from ecgfm_clinical.service.service import Service
from ecgfm_clinical.settings import read_headers, read_settings
from tests.helpers.fakes import wait_until
from tests.helpers.installation import Installation, ecg

service_pb2 = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
pytestmark = pytest.mark.slow(4)

Sample = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Collector:
    """What came to it: headers and the request, decoded."""

    port: int
    heard: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/metrics"

    @property
    def samples(self) -> dict[Sample, float]:
        """The last request as Prometheus would show it."""
        return samples_of(self.heard[-1][1]) if self.heard else {}


@contextmanager
def collecting(*, status: int = 200, rejects: int = 0) -> Iterator[Collector]:
    heard: list[tuple[dict[str, str], Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append((dict(self.headers), service_pb2.ExportMetricsServiceRequest.FromString(body)))
            answer = service_pb2.ExportMetricsServiceResponse()
            if rejects:
                answer.partial_success.rejected_data_points = rejects
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer.SerializeToString())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Collector(port=server.server_address[1], heard=heard)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def samples_of(request: Any) -> dict[Sample, float]:
    found: dict[Sample, float] = {}
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    for metric in scope.metrics:
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            labels = tuple(sorted((one.key, one.value.string_value) for one in point.attributes))
            if kind != "histogram":
                found[metric.name, labels] = point.as_double
                continue
            found |= {(f"{metric.name}_count", labels): point.count, (f"{metric.name}_sum", labels): point.sum}
            counted = 0
            for bound, count in zip((*point.explicit_bounds, float("inf")), point.bucket_counts, strict=True):
                counted += count
                le = "+Inf" if bound == float("inf") else str(bound)
                found[f"{metric.name}_bucket", tuple(sorted((*labels, ("le", le))))] = counted
    return found


def shown(registry: Any) -> dict[Sample, float]:
    """The same from the text that Prometheus reads."""
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for one in family.samples
        if not one.name.endswith("_created")
    }


def push_to(collector: Collector, meters: Meters) -> Push:
    about = {"service.name": "ecgfm-clinical", "service.instance.id": "here:1"}
    return Push(meters.registry, url=collector.url, headers={}, about=about, clock=lambda: datetime.now(UTC))


def filled() -> Meters:
    meters = Meters(sources=["cart", "pacs"], listeners=["cart"], destinations=["ehr"])
    meters.received("cart", "staged", "", size=1000)
    meters.decoded("cart", 0.003)
    meters.scored("scored")
    meters.rejected("cart", "unknown-sender")
    return meters


def test_a_collector_gets_every_sample_that_metrics_shows() -> None:
    meters = filled()
    with collecting() as collector:
        push_to(collector, meters)()
    ((headers, request),) = collector.heard
    assert headers["Content-Type"] == "application/x-protobuf"
    assert samples_of(request) == shown(meters.registry)
    assert collector.samples["ecgfm_scored_total", (("outcome", "scored"),)] == 1
    told = {one.key: one.value.string_value for one in request.resource_metrics[0].resource.attributes}
    assert told == {"service.name": "ecgfm-clinical", "service.instance.id": "here:1"}
    metrics = {one.name: one for one in request.resource_metrics[0].scope_metrics[0].metrics}
    assert metrics["ecgfm_scored_total"].sum.is_monotonic
    assert metrics["ecgfm_score_seconds"].unit == "s"
    assert metrics["ecgfm_payload_bytes_total"].unit == "By"
    (point,) = [one for one in metrics["ecgfm_scored_total"].sum.data_points if one.as_double]
    assert 0 < point.start_time_unix_nano <= point.time_unix_nano


@pytest.mark.parametrize(
    ("answer", "words"), [({"status": 503}, "HTTP 503"), ({"rejects": 3}, "left 3 values out")], ids=["away", "in part"]
)
def test_what_a_collector_does_not_take_fails_the_task(answer: dict[str, int], words: str) -> None:
    with collecting(**answer) as collector, pytest.raises(NotTaken, match=words):
        push_to(collector, filled())()


def test_a_running_service_pushes_without_a_port_of_its_own(tmp_path: Path) -> None:
    with collecting() as collector:
        (tmp_path / "headers").write_text("Authorization: Bearer abc\nX-Scope-OrgID: hospital\n")
        more = f'\n[monitoring.otlp]\nurl = "{collector.url}"\nevery_seconds = 1\nheaders_file = "headers"\n'
        site = Installation(tmp_path, more=more)
        site.dicom(ecg(1, "SECRET1"))
        service = Service(site.settings, "all", site.store)
        service.start()
        try:
            wait_until(lambda: collector.samples.get(("ecgfm_ecgs", (("source", "dicom"), ("state", "scored")))) == 1)
        finally:
            service.stop()
            site.close()
    headers, request = collector.heard[-1]
    assert (headers["Authorization"], headers["X-Scope-OrgID"]) == ("Bearer abc", "hospital")
    assert {"ecgfm_build_info", "ecgfm_task_up", "ecgfm_score_jobs"} <= {name for name, _ in collector.samples}
    assert b"SECRET" not in request.SerializeToString()


def test_what_cannot_be_pushed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = '\n[monitoring.otlp]\nurl = "http://127.0.0.1:1/v1/metrics"\nheaders_file = "headers"\n'
    site = Installation(tmp_path, more=more)
    (tmp_path / "headers").write_text("no header at all\n")
    code, said = site.command("run", "--role", "report")
    assert (code, "line 1: no header; write NAME: VALUE" in said, "no header at all" in said) == (1, True, False)
    monkeypatch.setattr(extras, "have", lambda extra: extra != "otlp")
    (tmp_path / "headers").write_text("")
    code, said = site.command("run", "--role", "report")
    assert (code, "the extra otlp: pip install 'ecgfm-clinical[otlp]'" in said) == (1, True)
    site.close()


def test_headers_with_a_secret_go_to_nobody_in_clear(tmp_path: Path) -> None:
    more = '\n[monitoring.otlp]\nurl = "http://collector.example:4318/v1/metrics"\nheaders_file = "headers"\n'
    site = Installation(tmp_path)
    site.path.write_text(site.path.read_text() + more)
    with pytest.raises(SettingsError, match="must be https"):
        read_settings(site.path)
    (tmp_path / "headers").write_text("Authorization: Basic a:b\n")
    assert read_headers(tmp_path / "headers") == {"Authorization": "Basic a:b"}
    site.close()
