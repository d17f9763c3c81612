"""The SFTP drop against a real SSH server on loopback (paramiko's), with its files in a temporary folder."""

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecgfm_connectors.base import Disposition, PullReport, Received, Verdict
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import Misconfigured, Unreachable
from ecgfm_connectors.testing.aecg_writer import write_ecg
from ecgfm_connectors.testing.wfdb_writer import write_record

paramiko = pytest.importorskip("paramiko", reason="the package paramiko is not installed")
from ecgfm_connectors.files.sftp import SftpServer, SftpSource

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)


class Login(paramiko.ServerInterface):  # type: ignore[misc, name-defined]  # paramiko is imported as a value above
    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == ("ecgfm", "secret")
        return int(paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)


class Files(paramiko.SFTPServerInterface):  # type: ignore[misc, name-defined]  # as above
    root = Path()

    def _path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def list_folder(self, path: str) -> object:
        entries = []
        for found in self._path(path).iterdir():
            entry = paramiko.SFTPAttributes.from_stat(found.lstat(), found.name)
            entry.filename = found.name
            entries.append(entry)
        return entries

    def stat(self, path: str) -> object:
        try:
            return paramiko.SFTPAttributes.from_stat(self._path(path).stat())
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path: str, flags: int, attr: object) -> object:
        try:
            descriptor = os.open(self._path(path), flags, 0o600)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = handle.writefile = os.fdopen(descriptor, "wb" if flags & os.O_WRONLY else "rb")
        return handle

    def rename(self, oldpath: str, newpath: str) -> object:
        self._path(oldpath).rename(self._path(newpath))
        return paramiko.SFTP_OK

    def mkdir(self, path: str, attr: Any) -> object:
        self._path(path).mkdir()
        self._path(path).chmod(attr.st_mode)
        return paramiko.SFTP_OK

    def remove(self, path: str) -> object:
        self._path(path).unlink()
        return paramiko.SFTP_OK


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def server(tmp_path: Path, drop: Path) -> Iterator[SftpServer]:
    """An SSH server that serves `drop`, and its host key in a known_hosts file."""
    key = paramiko.RSAKey.generate(2048)
    listener = socket.create_server(("127.0.0.1", 0))
    interface = type("Served", (Files,), {"root": drop})
    transports = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, interface)
            transport.start_server(server=Login())
            transports.append(transport)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
    yield SftpServer(host="127.0.0.1", port=port, user="ecgfm", password="secret", known_hosts=known, timeout=10)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)
    for transport in transports:
        transport.close()


def put(drop: Path, name: str, content: bytes, age: timedelta = timedelta(minutes=1)) -> None:
    (drop / name).write_bytes(content)
    moment = (NOW - age).timestamp()
    os.utime(drop / name, (moment, moment))


def pull(server: SftpServer, verdict: Verdict | None = None) -> tuple[PullReport, list[Received]]:
    taken: list[Received] = []

    def handle(received: Received) -> Verdict:
        taken.append(received)
        return verdict or Verdict(disposition=Disposition.STAGED)

    return SftpSource(name="sftp", server=server).pull(handle, cursor=None, now=NOW), taken


def names(drop: Path) -> list[str]:
    return sorted(str(path.relative_to(drop)) for path in drop.rglob("*") if path.is_file())


def test_files_are_taken_once(server: SftpServer, drop: Path, ecg: Ecg) -> None:
    put(drop, "ecg.xml", write_ecg(ecg))
    for name in ("growing.xml.part", ".hidden"):
        put(drop, name, b"<")
    put(drop, "new.xml", b"<", age=timedelta(seconds=1))
    assert "has 2 files" in SftpSource(name="sftp", server=server).check()
    report, (received,) = pull(server)
    assert received.content == write_ecg(ecg)
    assert (report.offered, report.problems) == (1, ())
    assert f"processed/{NOW:%Y-%m-%d}/ecg.xml" in names(drop)
    assert pull(server)[1] == []


def test_a_refused_file_keeps_its_reason(server: SftpServer, drop: Path) -> None:
    put(drop, "report.pdf", b"%PDF")
    pull(server, Verdict(disposition=Disposition.REFUSED, code="not-a-recording", text="a picture"))
    assert names(drop) == [f"failed/{NOW:%Y-%m-%d}/report.pdf", f"failed/{NOW:%Y-%m-%d}/report.pdf.reason.txt"]


def test_what_the_store_alone_shall_hold_is_removed(server: SftpServer, drop: Path, ecg: Ecg) -> None:
    for name, content in write_record(ecg, "r1").items():
        put(drop, name, content)
    put(drop, "report.pdf", b"%PDF")
    put(drop, "broken.hea", b"")  # its bytes never reach the handler, so this copy is the only one
    refused = Verdict(disposition=Disposition.REFUSED, code="not-a-recording", text="a picture")

    def handle(received: Received) -> Verdict:
        return refused if received.content == b"%PDF" else Verdict(disposition=Disposition.STAGED)

    SftpSource(name="sftp", server=server, keep=False).pull(handle, cursor=None, now=NOW)
    day = f"failed/{NOW:%Y-%m-%d}"
    assert names(drop) == [f"{day}/broken.hea", f"{day}/broken.hea.reason.txt", f"{day}/report.pdf.reason.txt"]
    assert not (drop / "processed").exists()
    assert stat.S_IMODE((drop / day).stat().st_mode) == 0o700


def test_try_later_leaves_the_file(server: SftpServer, drop: Path) -> None:
    put(drop, "ecg.xml", b"<x/>")
    pull(server, Verdict(disposition=Disposition.TRY_LATER))
    assert names(drop) == ["ecg.xml"]


def test_a_wfdb_record_travels_whole(server: SftpServer, drop: Path, ecg: Ecg) -> None:
    files = write_record(ecg, "r1")
    put(drop, "r1.hea", files["r1.hea"])
    assert pull(server)[1] == []
    put(drop, "r1.dat", files["r1.dat"])
    assert len(pull(server)[1]) == 1
    assert names(drop) == [f"processed/{NOW:%Y-%m-%d}/r1.dat", f"processed/{NOW:%Y-%m-%d}/r1.hea"]


def test_wrong_password_unknown_host_and_nobody(
    server: SftpServer, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with pytest.raises(Misconfigured, match="refuses"):
        SftpSource(name="sftp", server=replace(server, password="wrong")).check()
    empty = tmp_path / "empty"
    empty.write_text("")
    with pytest.raises(Misconfigured, match="host key"):
        SftpSource(name="sftp", server=replace(server, known_hosts=empty)).check()
    with pytest.raises(Unreachable):
        SftpSource(name="sftp", server=replace(server, port=free_port())).check()
    with pytest.raises(Misconfigured, match="folder"):
        SftpSource(name="sftp", server=server, folder="missing").check()


def test_what_is_put_under_the_name_of_a_file_being_taken_is_another_file(server: SftpServer, drop: Path) -> None:
    put(drop, "current.dcm", b"first")
    seen: list[bytes] = []

    def handle(received: Received) -> Verdict:
        seen.append(received.content)
        if len(seen) == 1:
            put(drop, "current.dcm", b"second")
        return Verdict(disposition=Disposition.STAGED)

    source = SftpSource(name="sftp", server=server)
    for _ in range(3):
        source.pull(handle, cursor=None, now=NOW)
    assert seen == [b"first", b"second"]
    assert sorted((drop / name).read_bytes() for name in names(drop)) == [b"first", b"second"]
    assert all(name.startswith("processed/") for name in names(drop))


def test_a_crash_while_taking_loses_nothing(server: SftpServer, drop: Path, ecg: Ecg) -> None:
    for name, content in write_record(ecg, "r1").items():
        put(drop, name, content)

    class Killed(BaseException):
        pass

    def handle(received: Received) -> Verdict:
        raise Killed

    with pytest.raises(Killed):
        SftpSource(name="sftp", server=server).pull(handle, cursor=None, now=NOW)
    assert len(pull(server)[1]) == 1
    assert all(name.startswith("processed/") for name in names(drop))
