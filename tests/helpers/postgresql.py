"""A PostgreSQL server of this run's own, where the machine has one."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from tests.helpers.ports import free_port


def programs() -> Path | None:
    """The folder with initdb and postgres: Debian's newest, or whatever PATH names."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    found = debian[-1] if debian else Path(on_path) if on_path else None
    return found.parent if found and (found.parent / "postgres").exists() else None


def _quick_folder() -> str:
    """In memory where the system has such a folder with room: to write and remove a database's six hundred files takes
    three times the processor time on a disk. Short names: a socket path has 107 characters at most.
    """
    memory = Path("/dev/shm")
    room = shutil.disk_usage(memory).free if memory.is_dir() else 0
    return str(memory) if room > 4 * 2**30 else "/tmp"


class PostgresqlServer:
    """A throw-away cluster on loopback, stopped by its own process id."""

    def __init__(self, programs: Path, primary: "PostgresqlServer | None" = None) -> None:
        """`primary`: of which this one is a standby."""
        folder = Path(tempfile.mkdtemp(prefix="ecgfm-pg-", dir=_quick_folder()))
        self._programs = programs
        self._data = folder / "data"
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._left: list[str] = []
        self._account: dict[str, object] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        if primary is not None:
            source = ("-h", "127.0.0.1", "-p", primary.port, "-U", "hospital")
            self._run("pg_basebackup", *source, "-D", self._data, "-R", "-X", "stream", "-c", "fast", "--no-sync")
            return
        self._run(
            "initdb", "-D", self._data, "-U", "hospital", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
        )

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [str(self._programs / program), *map(str, arguments)],
            check=True,
            capture_output=True,
            cwd=self._folder,
            **self._account,  # type: ignore[call-overload]  # user and group as keywords, or none
        )

    def start(self) -> None:
        """Serve; returns once connections are answered."""
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                *(str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self._folder}"),
                # A killed server loses nothing by these two, only a machine without power does.
                *("-c", "fsync=off", "-c", "full_page_writes=off"),
                *("-c", "max_wal_size=256MB", "-c", "min_wal_size=32MB"),  # and little is kept of what is written
                *("-c", "autovacuum=off"),  # it would look after hundreds of databases that nobody asks any more
            ],
            stdout=log,
            stderr=log,
            cwd=self._folder,
            **self._account,  # type: ignore[call-overload]  # as above
        )
        deadline = time.monotonic() + 120
        ready = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text(errors="replace"))

    def stop(self) -> None:
        """Immediate shutdown, as when the machine fails: committed work must survive it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def another(self) -> "PostgresqlServer":
        """A second cluster, not yet started; `close` it afterwards."""
        return PostgresqlServer(self._programs)

    def standby(self) -> "PostgresqlServer":
        """A server that follows this one, not yet started; `close` it afterwards."""
        return PostgresqlServer(self._programs, self)

    def close(self) -> None:
        """Stop for good and remove the data. Hundreds of databases take many seconds, for which nobody has to wait."""
        self.stop()
        subprocess.run(["sh", "-c", 'rm -rf "$1" &', "sh", str(self._folder)], check=True)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://hospital@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        """The URL of a new database: an empty one, or a copy of `template`. Those that were left go first."""
        import psycopg

        name = f"store_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="hospital", dbname="postgres", autocommit=True
        ) as ask:
            if self._left:
                used = {str(row[0]) for row in ask.execute("SELECT datname FROM pg_stat_activity")}
                for left in set(self._left) - used:
                    with suppress(psycopg.errors.ObjectInUse):  # somebody came back: another time
                        ask.execute(f"DROP DATABASE IF EXISTS {left}".encode())
                        self._left.remove(left)
            quickest = " STRATEGY file_copy" if ask.info.server_version >= 150000 else ""
            ask.execute(f"CREATE DATABASE {name} TEMPLATE {template}{quickest}".encode())
        return self.url(name)

    def leave(self, url: str) -> None:
        """Nobody needs this database any more: the next one takes its room, once nobody is connected to this one."""
        self._left.append(url.rpartition("/")[2])

    @cached_property
    def schema(self) -> str:
        """The name of a database with a store's schema and no row: a copy of it costs a fifth of a migration."""
        from ecgfm_clinical.staging import migrations  # tests without a store need not load SQLAlchemy

        url = self.create_database()
        migrations.upgrade(url)
        return url.rpartition("/")[2]
