"""What tests of every part share: a PostgreSQL server of this run's own, where the machine has one."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecgfm import devices
from tests.helpers import ports

#: What makes a run of the tests long, below tests/; besides, every test on a PostgreSQL server.
SLOW = (
    *("walk/", "benchmarks/", "clinical/demo/", "clinical/learning/", "connectors/dicom/", "connectors/hl7/test_tls"),
    *("connectors/hl7/test_fuzz", "connectors/test_fuzz", "connectors/test_corpus", "connectors/files/test_sftp"),
    *("clinical/test_care_commands", "clinical/test_check", "clinical/test_cli", "clinical/test_deploy"),
    *(
        "clinical/test_extras",
        "clinical/test_liveness",
        "clinical/test_model_commands",
        "clinical/test_pretrain_commands",
    ),
    *("model/test_export", "model/test_import", "model/test_predictor", "model/test_pretraining", "model/test_probe"),
    *("model/test_runtimes", "model/test_train", "model/test_earlier", "test_lean", "test_packaging", "test_readme"),
    *("clinical/test_paper", "clinical/test_scoring", "test_bill_of_materials", "test_site"),
)
_ROOT = Path(__file__).parent


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker a core (four at most) for the whole suite;
    none for files by name, which end sooner than workers start.
    """
    cores = len(os.sched_getaffinity(0))
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min(cores, 4) if whole and cores > 1 else 0


def pytest_configure(config: pytest.Config) -> None:
    """Workers share the cores: more threads than one each (torch's, BLAS's) would only wait for each other."""
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """A file's tests stay on one worker, with the fixtures they share; what is slow is marked so."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
        server = any("postgresql" in name for name in (*item.fixturenames, item.name))
        if server or item.path.relative_to(_ROOT).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def auto_is_the_cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what device "auto" finds: a GPU is seen by those alone that are marked `cuda`, and name it."""
    if request.node.get_closest_marker("cuda") is None:
        monkeypatch.setattr(devices, "cuda_present", lambda: False)


def _postgresql_programs() -> Path | None:
    """The folder with initdb and postgres: Debian's newest, or whatever PATH names."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    found = debian[-1] if debian else Path(on_path) if on_path else None
    return found.parent if found and (found.parent / "postgres").exists() else None


class PostgresqlServer:
    """A throw-away cluster on loopback, stopped by its own process id."""

    def __init__(self, programs: Path) -> None:
        folder = Path(
            tempfile.mkdtemp(prefix="ecgfm-pg-", dir="/tmp")
        )  # short: a socket path has 107 characters at most
        self._programs = programs
        self._data = folder / "data"
        self._folder = folder
        self.port = ports.free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._account: dict[str, object] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
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
                *("-c", "fsync=off"),  # a killed server loses nothing by it, only a machine without power does
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

    def close(self) -> None:
        """Stop for good and remove the data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://hospital@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"store_{uuid.uuid4().hex[:12]}"
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "hospital", name)
        return self.url(name)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """The session's server; skips where no PostgreSQL is installed."""
    programs = _postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (no /usr/lib/postgresql/*/bin/initdb and none on PATH)")
    server = PostgresqlServer(programs)
    server.start()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def own_postgresql(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """A server that the test may stop; the shared one must stay up."""
    server = postgresql_server.another()
    server.start()
    yield server
    server.close()


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> str:
    """A new, empty database."""
    return postgresql_server.create_database()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind: every test that takes it runs on both."""
    if request.param == "postgresql":
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        return server.create_database()
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port nobody listens on."""
    return ports.free_port
