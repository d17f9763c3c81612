"""What is told by each channel, and that it names nobody. Each condition opens and clears against a running service in
tests/clinical/monitoring/test_a_service_that_falls_ill.py.
"""

import json
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.alerting import channels
from ecgfm_clinical.alerting.conditions import audit_conditions, conditions
from ecgfm_clinical.settings import read_settings
from tests.helpers.installation import Installation

pytestmark = pytest.mark.slow(6)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path, more="\n[alerts]\nfree_mb = 0\n")
    yield site
    site.close()


def test_nothing_is_wrong_with_a_new_installation(site: Installation) -> None:
    assert list(conditions(site.settings, site.store, now=datetime.now(UTC))) == []
    assert list(audit_conditions(site.store)) == []


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Mailbox(socketserver.StreamRequestHandler):
    """An SMTP server (RFC 5321) that keeps what it is given."""

    received: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 mail.test.invalid\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.received.append(body.decode())
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            if verb == b"QUIT":
                return


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted and how often it was asked."""

    posted: ClassVar[list[Any]] = []
    pings: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        self.pings.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def test_every_channel_tells_and_names_nobody(tmp_path: Path) -> None:
    Mailbox.received.clear()
    Hook.posted.clear()
    Hook.pings.clear()
    with (
        serving(socketserver.TCPServer(("127.0.0.1", 0), Mailbox)) as mail,
        serving(HTTPServer(("127.0.0.1", 0), Hook)) as web,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog,
    ):
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(120)
        program = tmp_path / "told.py"
        program.write_text(f"import sys; open({str(tmp_path / 'told.json')!r}, 'w').write(sys.stdin.read())")
        (tmp_path / "ping").write_text(f"http://127.0.0.1:{web}/alive")
        site = Installation(
            tmp_path,
            more=f"""
[alerts]
free_mb = 0
ping_url_file = "ping"
[[alerts.email]]
name = "mail"
host = "127.0.0.1"
port = {mail}
tls = "none"
sender = "ecgfm@hospital.invalid"
to = ["ops@hospital.invalid"]
[[alerts.webhook]]
name = "chat"
url = "http://127.0.0.1:{web}/hook"
template = '{{"text": "{{title}}: {{text}}", "blocks": [{{"severity": "{{severity}}"}}]}}'
[[alerts.syslog]]
name = "syslog"
address = "127.0.0.1:{syslog.getsockname()[1]}"
[[alerts.command]]
name = "program"
command = ["{sys.executable}", "{program}"]
""",
        )
        site.dicom(b"SECRETFAMILY^ADA no recording")
        alerting = wiring.build_alerting(site.settings, site.store)
        assert alerting is not None
        alerting.run()
        alerting.run()
        told = [Mailbox.received[0], json.dumps(Hook.posted), syslog.recv(65536).decode()]
        told.append((tmp_path / "told.json").read_text())
        assert (len(Mailbox.received), len(Hook.posted), Hook.pings) == (1, 1, ["/alive"] * 2)
        assert Hook.posted[0]["blocks"] == [{"severity": "info"}]
        for one in told:
            assert "payloads-need-a-look" in one
            assert "SECRETFAMILY" not in one
        assert "RUNBOOK.md#alert-payloads-need-a-look" in told[0]
        assert "RUNBOOK.md#alert-payloads-need-a-look" in told[-1]
        code, text = site.command("alerts", "list")
        assert (code, "payloads-need-a-look" in text) == (1, True)
        assert site.command("alerts", "acknowledge", "1", "--reason", "I look")[0] == 0
        assert "taken by" in site.command("alerts", "list")[1]
        assert site.command("alerts", "silence", "1", "--hours", "2", "--reason", "maintenance")[0] == 0
        assert site.command("alerts", "test")[0] == 0
        assert site.command("alerts", "acknowledge", "77", "--reason", "none")[0] == 1
        site.close()


def test_a_channel_that_breaks_in_an_unforeseen_way_keeps_no_other_from_telling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look ended with the first channel's error, so no other channel ever heard of anything."""
    Hook.posted.clear()
    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as web:
        site = Installation(
            tmp_path,
            more=f"""
[alerts]
free_mb = 0
[[alerts.command]]
name = "a"
command = ["true"]
[[alerts.webhook]]
name = "chat"
url = "http://127.0.0.1:{web}/hook"
""",
        )

        def breaks(*_: object) -> None:
            raise KeyError("4711")

        monkeypatch.setattr(channels.Command, "tell", breaks)
        site.dicom(b"no recording")
        alerting = wiring.build_alerting(site.settings, site.store)
        assert alerting is not None
        alerting.run()
        assert [one["condition"] for one in Hook.posted] == ["payloads-need-a-look"]
        assert site.document("alerts", "list")["failing_channels"] == {"a": "KeyError"}
        site.close()


def test_a_channel_that_does_not_answer_is_itself_told_by_the_others(tmp_path: Path) -> None:
    from tests.helpers.ports import free_port

    Hook.posted.clear()
    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as web:
        site = Installation(
            tmp_path,
            more=f"""
[alerts]
free_mb = 0
[[alerts.email]]
name = "mail"
host = "127.0.0.1"
port = {free_port()}
tls = "none"
sender = "ecgfm@hospital.invalid"
to = ["ops@hospital.invalid"]
[[alerts.webhook]]
name = "chat"
url = "http://127.0.0.1:{web}/hook"
""",
        )
        site.dicom(b"no recording")
        alerting = wiring.build_alerting(site.settings, site.store)
        assert alerting is not None
        alerting.run()
        alerting.run()
        assert [one["condition"] for one in Hook.posted] == ["payloads-need-a-look", "channel-failing"]
        assert site.document("alerts", "list")["failing_channels"] == {"mail": "ConnectionRefusedError"}
        code, text = site.command("alerts", "test", "mail")
        assert (code, "did not take it (ConnectionRefusedError)" in text) == (1, True)
        site.close()


def test_settings_of_channels_are_checked(tmp_path: Path) -> None:
    from ecgfm_clinical.errors import SettingsError

    path = tmp_path / "settings.toml"
    for text, says in (
        ('[[alerts.webhook]]\nname = "a"\n', "either url or url_file"),
        (
            '[[alerts.syslog]]\nname = "a"\naddress = "h"\n[[alerts.command]]\nname = "a"\ncommand = ["x"]\n',
            "used twice",
        ),
        ('[[alerts.email]]\nname = "a"\nhost = "h"\nsender = "x"\nto = ["a@b"]\n', "sender"),
    ):
        path.write_text(text)
        with pytest.raises(SettingsError, match=says):
            read_settings(path)
