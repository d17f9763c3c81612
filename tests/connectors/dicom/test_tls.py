"""C-STORE over mutual TLS (PS3.15 B.12): who gets in, who does not, and who cannot keep others out."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.dicom.storage import StorageScp
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.rejections import Rejection
from ecgfm_connectors.testing import cart
from ecgfm_connectors.testing.dicom_writer import write_ecg
from ecgfm_connectors.tls import TlsFiles
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.fakes import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which(OPENSSL) is None, reason="the openssl program is not installed"),
]

LOOPBACK = "127.0.0.1"
STORESCU = Path("/usr/bin/storescu")


@pytest.fixture(scope="module")
def client(authority: CertificateAuthority) -> TlsFiles:
    return authority.issue("client")


@pytest.fixture
def received() -> list[Received]:
    return []


@pytest.fixture
def told() -> list[Rejection]:
    return []


@pytest.fixture
def port(authority: CertificateAuthority, received: list[Received], told: list[Rejection]) -> Iterator[int]:
    def keep(payload: Received) -> Verdict:
        received.append(payload)
        return Verdict(disposition=Disposition.STAGED)

    scp = StorageScp(
        name="tls",
        ae_title="ECGFM",
        host=LOOPBACK,
        port=0,
        handler=keep,
        clock=lambda: datetime.now(UTC),
        tls=authority.issue("server"),
        turned_away=told.append,
    )
    scp.start()
    yield scp.port
    scp.stop(grace=1)


def send(port: int, ecg: Ecg, tls: TlsFiles | None) -> list[int]:
    answers = cart.send([write_ecg(ecg)], host="localhost", port=port, tls=tls, timeout=10)
    return [answer.status for answer in answers]


def test_both_sides_trusted(port: int, client: TlsFiles, ecg: Ecg) -> None:
    assert send(port, ecg, client) == [0x0000]


def test_strangers_are_refused(
    port: int, client: TlsFiles, ecg: Ecg, received: list[Received], told: list[Rejection], tmp_path: Path
) -> None:
    rogue = CertificateAuthority(tmp_path).issue("client")
    for tls in (None, TlsFiles(certificate=rogue.certificate, key=rogue.key, trusted=client.trusted)):
        with pytest.raises(ConnectorError):
            send(port, ecg, tls)
    assert received == []
    wait_until(lambda: {one.reason for one in told} == {"tls-failed", "tls-certificate"})
    assert send(port, ecg, client) == [0x0000]


def test_a_certificate_that_ended_is_told_and_a_renewed_one_counts_from_the_next_association_on(
    port: int, authority: CertificateAuthority, client: TlsFiles, ecg: Ecg, told: list[Rejection]
) -> None:
    authority.issue("server", days=-1)  # in the place of what the port has read
    try:
        with pytest.raises(ConnectorError):
            send(port, ecg, client)
        wait_until(lambda: [one.reason for one in told] == ["tls-refused"])
    finally:
        authority.issue("server")
    assert send(port, ecg, client) == [0x0000]


def test_silent_connections_keep_nobody_out(port: int, client: TlsFiles, ecg: Ecg) -> None:
    with ExitStack() as silent:
        for _ in range(10):
            silent.enter_context(socket.create_connection((LOOPBACK, port), timeout=10))
        assert send(port, ecg, client) == [0x0000]


def test_dcmtk_storescu_over_tls(
    port: int, client: TlsFiles, ecg: Ecg, received: list[Received], tmp_path: Path
) -> None:
    if not STORESCU.exists():
        pytest.skip("dcmtk is not installed (/usr/bin/storescu)")
    file = tmp_path / "ecg.dcm"
    file.write_bytes(write_ecg(ecg))
    command: list[str | Path] = [STORESCU, "-R", "+tls", client.key, client.certificate, "+cf", str(client.trusted)]
    command += ["-aec", "ECGFM", LOOPBACK, str(port), file]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(received) == 1
