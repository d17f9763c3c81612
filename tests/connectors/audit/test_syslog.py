"""Syslog over TLS: the frames of RFC 5424 and RFC 5425, and nothing counts as delivered that was perhaps not read."""

import re
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecgfm_connectors.audit.syslog import Line, SyslogTls, frame
from ecgfm_connectors.errors import Misconfigured, NotReached, Unreachable
from ecgfm_connectors.tls import TlsFiles
from tests.helpers.audit_repository import AuditRepository, Fault, split
from tests.helpers.certificates import OPENSSL, CertificateAuthority

pytestmark = [
    pytest.mark.slow(4),
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which(OPENSSL) is None, reason="the openssl program is not installed"),
]

NOW = datetime(2031, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
LINE = Line(at=NOW, severity=5, process="host:1:2", text="<AuditMessage ü/>".encode())
#: RFC 5424 §6: PRI VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA SP BOM MSG
HEADER = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ([!-~]{1,255}) ([!-~]{1,48}) "
    rb"([!-~]{1,128}) ([!-~]{1,32}) - \xef\xbb\xbf"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def ours(authority: CertificateAuthority) -> TlsFiles:
    return authority.issue("client")


@pytest.fixture
def repository(authority: CertificateAuthority) -> Iterator[AuditRepository]:
    repository = AuditRepository(authority.issue("server"))
    yield repository
    repository.stop()


@pytest.fixture
def sender(repository: AuditRepository, ours: TlsFiles) -> SyslogTls:
    return SyslogTls(host="localhost", port=repository.port, tls=ours, timeout=60)


def test_a_frame_counts_octets_and_says_who_and_what() -> None:
    framed = frame(LINE, hostname="höst name")
    (message,) = split(framed)
    assert framed == b"%d %s" % (len(message), message)
    header = HEADER.match(message)
    assert header is not None
    facility_and_severity = b"%d" % (10 * 8 + 5)
    assert header.groups() == (
        facility_and_severity,
        b"2031-01-01T12:30:15.123+00:00",
        b"h_st_name",
        b"ecgfm-clinical",
        b"host:1:2",
        b"DICOM+RFC3881",
    )
    assert message[header.end() :] == LINE.text


def test_a_batch_arrives_in_order_over_one_connection(repository: AuditRepository, sender: SyslogTls) -> None:
    texts = [b"%d" % number * 5000 for number in range(50)]
    sender.send([replace(LINE, text=text) for text in texts])
    assert repository.texts == texts
    assert repository.connections == 1


@pytest.mark.parametrize("fault", Fault)
def test_what_was_perhaps_not_read_counts_as_not_delivered(
    repository: AuditRepository, sender: SyslogTls, fault: Fault
) -> None:
    repository.plan(fault)
    with pytest.raises(Unreachable, match="sent again"):
        sender.send([LINE] * 3)
    sender.send([LINE] * 3)
    assert repository.texts[-3:] == [LINE.text] * 3


def test_check_tells_each_way_in_which_it_cannot_work(
    repository: AuditRepository,
    sender: SyslogTls,
    ours: TlsFiles,
    tmp_path: Path,
    free_port: Callable[[], int],
) -> None:
    assert "answers by TLSv1" in sender.check()
    repository.plan(Fault.CLOSE_WITHOUT_NOTIFY)
    with pytest.raises(Unreachable, match="RFC 5425"):
        sender.check()
    rogue = CertificateAuthority(tmp_path, "rogue").issue("client")
    with pytest.raises(Misconfigured, match="not trusted"):
        SyslogTls(host="localhost", port=repository.port, tls=replace(ours, trusted=rogue.trusted)).check()
    stranger = replace(rogue, trusted=ours.trusted)
    with pytest.raises(Unreachable):
        SyslogTls(host="localhost", port=repository.port, tls=stranger).check()
    with pytest.raises(NotReached, match="does not answer"):
        SyslogTls(host="localhost", port=free_port(), tls=ours).check()


def test_a_server_without_tls_is_said(ours: TlsFiles) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        sender = SyslogTls(host="localhost", port=plain.getsockname()[1], tls=ours, timeout=0.5)
        with pytest.raises(NotReached, match="does not begin TLS"):
            sender.check()
