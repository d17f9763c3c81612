"""An SFTP server's folder into which another system drops ECG files; picked up as from a local folder, once and whole.

Needs the package `paramiko` (extra `sftp`). The server must be known: its host key stands in a `known_hosts` file,
because an unknown server would receive the site's credentials. On the server a file is renamed into `.taking/` before
it is read, so that what its sender puts under the same name meanwhile is another file; from there a staged file goes
into `processed/`, a refused file into `failed/`, or is removed where the store alone shall hold it.
"""

import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import paramiko

from ecgfm_connectors.base import Disposition, Handler, PullReport, Received, Verdict
from ecgfm_connectors.context import MAX_PAYLOAD
from ecgfm_connectors.errors import Misconfigured, PayloadError, Refused, Unreachable, Unreadable
from ecgfm_connectors.files.payload import IGNORED_SUFFIXES, pack_record
from ecgfm_connectors.files.wfdb_header import parse_header

_PROCESSED, _FAILED, _TAKING = "processed", "failed", ".taking"
_SIGNAL_SUFFIXES = (".dat", ".xyz", ".mat")
#: How long a WFDB header waits for its signal files, and these for their header.
_PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpServer:
    """Where to log in and how."""

    host: str
    user: str
    known_hosts: Path
    port: int = 22
    key: Path | None = None  #: private key file; without it, the password
    password: str = field(default="", repr=False)
    timeout: float = 30.0  #: s

    def __str__(self) -> str:
        return f"sftp://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    size: int
    modified: datetime


class SftpSource:
    """A Source (base.py) on an SFTP server."""

    def __init__(
        self,
        *,
        name: str,
        server: SftpServer,
        folder: str = ".",
        stable_for: timedelta = timedelta(seconds=30),
        keep: bool = True,
    ) -> None:
        """`stable_for` compares the server's clock with this machine's: half a minute covers most differences of
        clocks. `keep`: whether files stay in `processed/` and `failed/` once the handler has kept their bytes; where
        not, the reason of a refused one stays alone.
        """
        self._keep = keep
        self._name = name
        self._server = server
        self._folder = folder
        self._stable_for = stable_for
        self._seen: dict[str, tuple[int, datetime]] = {}  # name -> size, first seen so

    @property
    def name(self) -> str:
        return self._name

    def check(self) -> str:
        """Log in and list the folder. Raises Unreachable, Misconfigured."""
        with self._session() as session:
            count = len(self._files(session))
        return f"{self._server} has {count} files in {self._folder}"

    def pull(self, handle: Handler, *, cursor: str | None, now: datetime) -> PullReport:
        """Hand over every finished file; a file is done when it has been renamed. Raises Unreachable, Misconfigured."""
        verdicts: list[Verdict] = []
        problems: list[str] = []
        with self._session() as session:
            files = {file.name: file for file in self._files(session)}
            left = [file for file in self._left_behind(session) if _begins_a_payload(file, now)]
            ready = [file for file in files.values() if self._finished(file, now) and _begins_a_payload(file, now)]
            for file in (*left, *ready):
                try:
                    if file in left or self._set_aside(session, file, files, now):
                        verdicts.append(self._hand_over(session, file.name, handle, now))
                except OSError:
                    problems.append(f"a file on {self._server} could not be read or renamed")
            ready = [*left, *ready]
            self._seen = {name: seen for name, seen in self._seen.items() if name in files}
        return PullReport(cursor=cursor, offered=len(ready), verdicts=tuple(verdicts), problems=tuple(problems))

    @contextmanager
    def _session(self) -> Iterator[paramiko.SFTPClient]:
        client = paramiko.SSHClient()
        server = self._server
        try:
            client.load_host_keys(str(server.known_hosts))
        except OSError as error:
            raise Misconfigured(
                f"{server.known_hosts} cannot be read: {error.strerror}; it must hold the host key"
            ) from error
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            client.connect(
                server.host,
                port=server.port,
                username=server.user,
                password=server.password or None,
                key_filename=str(server.key) if server.key else None,
                timeout=server.timeout,
                auth_timeout=server.timeout,
                banner_timeout=server.timeout,
                allow_agent=False,
                look_for_keys=False,
            )
            session = client.open_sftp()
        except paramiko.AuthenticationException as error:
            raise Misconfigured(f"{server} refuses the user name with this key or password") from error
        except paramiko.BadHostKeyException as error:
            raise Misconfigured(f"{server} shows another host key than {server.known_hosts} holds") from error
        except (paramiko.SSHException, OSError) as error:
            if "not found in known_hosts" in str(error):
                raise Misconfigured(f"{server} is not in {server.known_hosts}; add its host key") from error
            raise Unreachable(f"{server} does not answer: {type(error).__name__}") from error
        try:
            yield session
        finally:
            client.close()

    def _left_behind(self, session: paramiko.SFTPClient) -> list[_File]:
        """What an earlier pull had set aside when it ended."""
        aside = posixpath.join(self._folder, _TAKING)
        return self._files(session, aside) if _exists(session, aside) else []

    def _files(self, session: paramiko.SFTPClient, folder: str = "") -> list[_File]:
        """Plain files of a folder itself, in order; links, hidden and half-written files are left out."""
        try:
            entries = session.listdir_attr(folder or self._folder)
        except OSError as error:
            raise Misconfigured(f"{self._server} has no readable folder {self._folder}") from error
        found = []
        for entry in sorted(entries, key=lambda entry: entry.filename):
            hidden = entry.filename.startswith(".") or PurePosixPath(entry.filename).suffix.lower() in IGNORED_SUFFIXES
            if stat.S_ISREG(entry.st_mode or 0) and not hidden:
                modified = datetime.fromtimestamp(entry.st_mtime or 0, UTC)
                found.append(_File(entry.filename, entry.st_size or 0, modified))
        return found

    def _finished(self, file: _File, now: datetime) -> bool:
        """By its modification time, or by how long we have seen it at this size."""
        size, since = self._seen.get(file.name, (-1, now))
        if size != file.size:
            since = now
        self._seen[file.name] = (file.size, since)
        return now - file.modified >= self._stable_for or now - since >= self._stable_for

    def _set_aside(self, session: paramiko.SFTPClient, file: _File, files: dict[str, _File], now: datetime) -> bool:
        """Rename the files of one payload out of their sender's reach; False where it is not complete yet, or one of
        that name lies there still. Raises OSError.
        """
        aside = posixpath.join(self._folder, _TAKING)
        members = self._signals(session, posixpath.join(self._folder, file.name))
        if any(name not in files for name in members) and now - file.modified < _PATIENCE:
            return False
        if not _exists(session, aside):
            session.mkdir(aside, 0o700)
        members = [*(name for name in members if name in files), file.name]  # the file that names the others comes last
        if any(_exists(session, posixpath.join(aside, name)) for name in members):
            return False
        for name in members:
            session.rename(posixpath.join(self._folder, name), posixpath.join(aside, name))
        return True

    def _signals(self, session: paramiko.SFTPClient, path: str) -> list[str]:
        """The signal files that a WFDB header names; none of any other file, or of a header that cannot be read."""
        if not path.lower().endswith(".hea"):
            return []
        try:
            return sorted({signal.file_name for signal in parse_header(self._read(session, path)).signals})
        except PayloadError:
            return []

    def _hand_over(self, session: paramiko.SFTPClient, name: str, handle: Handler, now: datetime) -> Verdict:
        """Hand the payload that was set aside to the handler, then rename its files. Raises OSError."""
        aside = posixpath.join(self._folder, _TAKING)
        there = {file.name: file for file in self._files(session, aside)}
        signals = self._signals(session, posixpath.join(aside, name))
        members = [name, *(signal for signal in signals if signal in there)]
        stored = True
        try:
            content = self._payload(session, aside, name, signals, there)
        except PayloadError as error:
            verdict = Verdict(disposition=Disposition.UNREADABLE, code=error.code, text=error.text)
            stored = False
        else:
            location = f"{self._server}/{posixpath.join(self._folder, name)}"
            verdict = handle(
                Received(transport="file", source=self._name, content=content, received_at=now, location=location)
            )
        unchanged = {file.name: file for file in self._files(session, aside) if file.name in members}
        if verdict.disposition is Disposition.TRY_LATER or unchanged != {one: there.get(one) for one in members}:
            self._put_back(session, members)  # the store cannot take it now, or its sender has gone on writing
        else:
            self._move(session, members, verdict, now, keep=self._keep or not stored)
        return verdict

    def _payload(
        self, session: paramiko.SFTPClient, aside: str, name: str, signals: list[str], there: dict[str, _File]
    ) -> bytes:
        """Raises PayloadError, OSError."""
        content = self._read(session, posixpath.join(aside, name))
        if not name.lower().endswith(".hea"):
            return content
        parse_header(content)
        if missing := [one for one in signals if one not in there]:
            raise Unreadable("missing-file", f"{len(missing)} signal files that the header names are not there")
        return pack_record({name: content} | {one: self._read(session, posixpath.join(aside, one)) for one in signals})

    def _put_back(self, session: paramiko.SFTPClient, names: list[str]) -> None:
        """Under their names again, unless the sender has used a name anew: then the next pull begins with them."""
        for name in reversed(names):
            place = posixpath.join(self._folder, name)
            if not _exists(session, place):
                session.rename(posixpath.join(self._folder, _TAKING, name), place)

    def _read(self, session: paramiko.SFTPClient, path: str) -> bytes:
        size = session.stat(path).st_size or 0
        if size > MAX_PAYLOAD:
            raise Refused("too-large", f"{size} bytes; the limit is {MAX_PAYLOAD}")
        with session.open(path, "rb") as remote:
            remote.prefetch(size)
            return bytes(remote.read(MAX_PAYLOAD))

    def _move(
        self, session: paramiko.SFTPClient, names: list[str], verdict: Verdict, now: datetime, *, keep: bool
    ) -> None:
        taken = verdict.disposition in (Disposition.STAGED, Disposition.DUPLICATE)
        folder = posixpath.join(self._folder, _PROCESSED if taken else _FAILED)
        if keep or not taken:
            for path in (folder, posixpath.join(folder, f"{now:%Y-%m-%d}")):
                if not _exists(session, path):
                    session.mkdir(path, 0o700)
        folder = posixpath.join(folder, f"{now:%Y-%m-%d}")
        for name in names:
            aside = posixpath.join(self._folder, _TAKING, name)
            if keep:
                session.rename(aside, _free(session, posixpath.join(folder, name)))
            else:
                session.remove(aside)
        if not taken:
            with session.open(_free(session, posixpath.join(folder, f"{names[0]}.reason.txt")), "w") as reason:
                reason.write(f"{verdict.code}: {verdict.text}\n")


def _begins_a_payload(file: _File, now: datetime) -> bool:
    """WFDB signal files travel with their header; a signal file without a header is handed over alone after a while."""
    return not file.name.lower().endswith(_SIGNAL_SUFFIXES) or now - file.modified >= _PATIENCE


def _exists(session: paramiko.SFTPClient, path: str) -> bool:
    try:
        session.stat(path)
    except FileNotFoundError:
        return False
    return True


def _free(session: paramiko.SFTPClient, path: str) -> str:
    stem, suffix = posixpath.splitext(path)
    number, free = 1, path
    while _exists(session, free):
        number += 1
        free = f"{stem}-{number}{suffix}"
    return free
