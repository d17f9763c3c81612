"""Each condition holds while its fault does, against a real installation; and what is told names nobody."""

import json
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.alerting import channels
from ecgfm_clinical.alerting.conditions import audit_conditions, conditions
from ecgfm_clinical.settings import read_settings
from ecgfm_clinical.staging import migrations
from ecgfm_connectors.base import Received
from ecgfm_connectors.testing import dicom_writer
from ecgfm_connectors.testing.ehr import EhrReceiver
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.installation import Installation, ecg

pytestmark = pytest.mark.slow(6)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installation]:
    site = Installation(tmp_path, more="\n[alerts]\nfree_mb = 0\n")
    yield site
    site.close()


def wrong(site: Installation, *, after: timedelta = timedelta()) -> set[str]:
    """The conditions that hold so long from now."""
    now = datetime.now(UTC) + after
    return {one.name for one in conditions(site.settings, site.store, now=now)}


def test_nothing_is_wrong_with_a_new_installation(site: Installation) -> None:
    assert wrong(site) == set()
    assert list(audit_conditions(site.store)) == []


def test_silence_of_a_source(site: Installation) -> None:
    site.dicom(ecg(1, "A"))
    site.go_on()
    assert "source-silent" not in wrong(site, after=timedelta(hours=23))
    assert "source-silent" in wrong(site, after=timedelta(hours=25))
    site.dicom(ecg(2, "A"))
    assert "source-silent" not in wrong(site, after=timedelta(hours=23))


def test_ecgs_and_results_that_wait(site: Installation) -> None:
    site.dicom(ecg(1, "A"))
    assert "unscored" in wrong(site, after=timedelta(minutes=31))
    site.score()
    assert "unscored" not in wrong(site, after=timedelta(minutes=31))
    assert "unsent" in wrong(site, after=timedelta(minutes=61))
    site.send_until(1)
    assert "unsent" not in wrong(site, after=timedelta(minutes=61))


def test_a_receiver_out_of_reach(site: Installation) -> None:
    site.dicom(ecg(1, "A"))
    site.score()
    port = site.ehr.port
    site.ehr.stop()
    site.send()
    assert "destination-out-of-reach" in wrong(site, after=timedelta(minutes=11))
    site.ehr = EhrReceiver(port=port)
    site.ehr.start()
    site.send_until(1)
    assert "destination-out-of-reach" not in wrong(site, after=timedelta(minutes=11))


def test_ecgs_that_wait_for_a_model_that_nobody_promoted(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[store]\nurl = "sqlite:///bare.sqlite"\nmin_free_mb = 0\n')
    read = read_settings(path)
    migrations.upgrade(read.store_url)
    store = wiring.open_store(read)
    now = datetime.now(UTC)

    def names() -> set[str]:
        return {one.name for one in conditions(read, store, now=now)}

    assert "model-missing" not in names()
    content = dicom_writer.write_ecg(ecg(1, "A"))
    received = Received(transport="file", source="ingest", content=content, received_at=now)
    wiring.build_ingest(read, store, "ingest")(received)
    assert "model-missing" in names()
    store.close()


def test_payloads_and_recordings_that_need_a_person(site: Installation) -> None:
    site.dicom(b"no recording")
    assert wrong(site) == {"payloads-need-a-look"}
    number = site.document("payloads", "list")[0]["payload_id"]
    site.command("payloads", "resolve", number, "--reason", "seen")
    assert wrong(site) == set()


def test_an_audit_trail_that_was_rewritten(site: Installation) -> None:
    from sqlalchemy import text

    site.dicom(ecg(1, "A"))
    with site.store.database.writer.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_no_update"))
        connection.execute(text("UPDATE audit SET actor = 'somebody else' WHERE audit_id = 1"))
    assert [one.name for one in audit_conditions(site.store)] == ["audit-broken"]


def test_a_full_disk_and_a_certificate_at_its_end(tmp_path: Path) -> None:
    import shutil

    if shutil.which(OPENSSL) is None:
        pytest.skip("the openssl program is not installed")
    tls = CertificateAuthority(tmp_path).issue("server")
    listener = f'tls = {{ certificate = "{tls.certificate}", key = "{tls.key}", trusted = "{tls.trusted}" }}'
    site = Installation(tmp_path, listener=listener, more="\n[alerts]\nfree_mb = 999999999\n")
    found = {one.name: one for one in conditions(site.settings, site.store, now=datetime.now(UTC))}
    assert found["disk-nearly-full"].severity == "critical"
    soon, later = (
        {one.name: one for one in conditions(site.settings, site.store, now=datetime.now(UTC) + timedelta(days=days))}
        for days in (1, 3650)
    )
    assert soon["certificate-ends"].severity == "warning"
    assert later["certificate-ends"].severity == "critical"
    assert "ended" in later["certificate-ends"].text
    site.close()


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
