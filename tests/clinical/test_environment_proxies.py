"""No proxy of the environment hears of a patient: each client calls its server itself."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from ecgfm_clinical.alerting import channels
from ecgfm_clinical.alerting.alerting import ping
from ecgfm_clinical.alerting.channels import Word
from ecgfm_clinical.errors import ClinicalError
from ecgfm_clinical.monitoring.otlp import NotTaken, Push
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging.alerts import Alert
from ecgfm_clinical.web import oidc
from ecgfm_connectors.dicom.results.stow import StowDestination
from ecgfm_connectors.dicom.web import DicomWebSource
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.fhir.http import Asker
from tests.helpers.dicom_results import every_form

NOW = datetime(2026, 11, 28, tzinfo=UTC)
ALERT = Alert(
    alert_id=1,
    condition="paused",
    subject="",
    severity="info",
    text="",
    opened_at=NOW,
    seen_at=NOW,
    escalated_at=None,
    acknowledged_at=None,
    acknowledged_by=None,
    silenced_until=None,
    reason=None,
    cleared_at=None,
)


class Peer(ThreadingHTTPServer):
    """Counts who calls it, and answers everything with nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Peer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing is written to the test's own output."""


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Peer, Peer]]:
    """A server, and the proxy that the environment names for whatever is called."""
    with Peer() as server, Peer() as proxy:
        for one in (server, proxy):
            threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        for name in ("NO_PROXY", "no_proxy", "REQUEST_METHOD"):
            monkeypatch.delenv(name, raising=False)
        yield server, proxy
        for one in (server, proxy):
            one.shutdown()


def _stow(url: str) -> None:
    StowDestination(name="pacs", url=url).send(every_form()["result with page"], control_id="E1")


def _stow_check(url: str) -> None:
    StowDestination(name="pacs", url=url).check()


def _dicomweb(url: str) -> None:
    DicomWebSource(name="pacs", url=url).check()


def _fhir(url: str) -> None:
    with closing(Asker(where="fhir", tls=None, timeout=60, clock=lambda: NOW)) as asker:
        asker.post(url, b"{}", {})
        asker.form(url, {"grant_type": "client_credentials"}, {})


def _oidc(url: str) -> None:
    oidc.Provider._asked(SimpleNamespace(_tls=False, name="login"), "GET", url)  # type: ignore[arg-type]  # all that is asked of it


def _metrics(url: str) -> None:
    pytest.importorskip("opentelemetry.proto", reason="the package opentelemetry-proto is not installed")
    Push(CollectorRegistry(), url=url, headers={}, about={}, clock=lambda: NOW)()


@pytest.mark.parametrize("ask", [_stow, _stow_check, _dicomweb, _fhir, _oidc, _metrics])
def test_what_holds_patients_data_or_secrets_goes_by_no_proxy(
    ask: Callable[[str], None], peers: tuple[Peer, Peer]
) -> None:
    server, proxy = peers
    with suppress(ConnectorError, ClinicalError, NotTaken, ValueError):  # what it makes of the answer is not asked here
        ask(server.url)
    assert server.asked
    assert proxy.asked == []


@pytest.mark.parametrize("allowed", [False, True])
def test_alerts_go_by_a_proxy_where_the_settings_say_so(
    allowed: bool, peers: tuple[Peer, Peer], tmp_path: Path
) -> None:
    server, proxy = peers
    path = tmp_path / "settings.toml"
    path.write_text(
        f"[alerts]\nenvironment_proxy = {json.dumps(allowed)}\n"
        f'[[alerts.webhook]]\nname = "chat"\nurl = "{server.url}/hook"\n'
    )
    channels.build(read_settings(path))["chat"].tell(Word(state="opened", alert=ALERT, site="Hospital"))
    ping(f"{server.url}/alive", channels.opener(environment_proxy=allowed))
    through, past = (proxy, server) if allowed else (server, proxy)
    assert [one.removeprefix(server.url) for one in through.asked] == ["/hook", "/alive"]
    assert past.asked == []
