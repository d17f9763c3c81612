"""Third-party archives for the DICOM tests: Orthanc and dcmtk's dcmqrscp,
each skipped by name where it is not installed.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ecgfm_connectors.dicom.echo import echo
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.tls import TlsFiles
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.ports import free_port

LOOPBACK = "127.0.0.1"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Return once `condition` holds; fail the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("the condition was not met in time")


def answers(port: int, called: str, tls: TlsFiles | None = None) -> bool:
    with suppress(ConnectorError):
        echo(host="localhost", port=port, called=called, calling="ECGFM", timeout=2.0, tls=tls)
        return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePeer:
    """A running archive; it sends C-MOVE results for ECGFM to `move_port`."""

    ae_title: str
    port: int
    move_port: int
    web: str = ""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchivePeer]:
    """Orthanc with DICOMweb, empty."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        yield peer


@contextmanager
def running_orthanc(folder: Path, tls: TlsFiles | None = None, client: TlsFiles | None = None) -> Iterator[ArchivePeer]:
    """Orthanc with its files in `folder`; with `tls`, DICOM is spoken over mutual TLS only."""
    program = Path("/usr/sbin/Orthanc")
    if not program.exists():
        pytest.skip("Orthanc is not installed (apt-get install orthanc)")
    port, move_port, web_port = free_port(), free_port(), free_port()
    host = f"{LOOPBACK}:{web_port}"
    settings: dict[str, object] = {
        "Name": "PEER",
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "HttpPort": web_port,
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(_PLUGIN)] if _PLUGIN.exists() else [],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DefaultEncoding": "Utf8",
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {
            "pull": {"AET": "ECGFM", "Host": "localhost", "Port": move_port, "UseDicomTls": tls is not None}
        },
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Host": host, "Ssl": False},
    }
    if tls is not None:
        settings |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(tls.certificate),
            "DicomTlsPrivateKey": str(tls.key),
            "DicomTlsTrustedCertificates": str(tls.trusted),
            "DicomTlsRemoteCertificateRequired": True,
        }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = start(program, folder / "orthanc.json", folder=folder)
    try:
        wait_for(lambda: answers(port, "ORTHANC", client) or process.poll() is not None)
        yield ArchivePeer(ae_title="ORTHANC", port=port, move_port=move_port, web=f"http://{host}/dicom-web")
    finally:
        stop(process)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """A certificate authority of this module's own."""
    if shutil.which(OPENSSL) is None:
        pytest.skip("the openssl program is not installed")
    return CertificateAuthority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def orthanc_over_tls(
    tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority
) -> Iterator[tuple[ArchivePeer, TlsFiles]]:
    """Orthanc behind mutual TLS, empty, and the files we show it."""
    client = authority.issue("client")
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), authority.issue("orthanc"), client) as peer:
        yield peer, client


@pytest.fixture(scope="module")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArchivePeer]:
    """dcmtk's archive, empty; it ignores ModalitiesInStudy."""
    program = Path("/usr/bin/dcmqrscp")
    if not program.exists():
        pytest.skip("dcmtk is not installed (apt-get install dcmtk)")
    folder = tmp_path_factory.mktemp("dcmqrscp")
    (folder / "qr").mkdir()
    peer = ArchivePeer(ae_title="QRSCP", port=free_port(), move_port=free_port())
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {peer.port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n"
        f"HostTable BEGIN\necgfm = (ECGFM, {LOOPBACK}, {peer.move_port})\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\n"
        f'AETable BEGIN\nQRSCP "{folder / "qr"}" RW (2000, 1024mb) ANY\nAETable END\n'
    )
    process = start(program, "-c", folder / "dcmqrscp.cfg", folder=folder)
    try:
        wait_for(lambda: answers(peer.port, peer.ae_title) or process.poll() is not None)
        yield peer
    finally:
        stop(process)


def start(program: Path, *arguments: object, folder: Path) -> "subprocess.Popen[bytes]":
    log = (folder / "log").open("wb")
    environment = os.environ | {"TCP_NODELAY": "1", "TCP_BUFFER_LENGTH": "262144"}
    return subprocess.Popen([str(program), *map(str, arguments)], stdout=log, stderr=log, cwd=folder, env=environment)


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)
