"""A whole installation that a test drives from outside alone: settings, command lines, MLLP, C-STORE, files, signals.

The program under test is this checkout's, or the one whose import path ECGFM_PROGRAM names (`a:a/model:a/connectors`
for another checkout `a`): so the same test tells how an older version behaved.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ecgfm.demo import demo_bundle
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import ConnectorError
from ecgfm_connectors.testing import cart, dicom_writer
from ecgfm_connectors.testing.ehr import EhrReceiver
from ecgfm_connectors.testing.mllp_cart import MllpCart
from tests.helpers import ports
from tests.helpers.fakes import wait_until
from tests.helpers.installation import first

LOOPBACK = "127.0.0.1"
PATIENCE = 120.0  # seconds, for whatever comes at once on an idle machine
_SERVER = Path(__file__).with_name("command_server.py")
_ROOTS = Path(__file__).resolve().parents[2]
_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static long ahead;
void set_ahead(long seconds) { ahead = seconds; }
int clock_gettime(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, out);
    if (id == CLOCK_REALTIME) out->tv_sec += ahead;
    return code;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


class Program:
    """The program under test; each command line runs in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        roots = os.environ.get("ECGFM_PROGRAM") or os.pathsep.join(
            str(_ROOTS / part) for part in (".", "model", "connectors")
        )
        self._own = tempfile.TemporaryDirectory(prefix="ecgfm-clock-", dir="/tmp")  # LD_PRELOAD parts paths at a space
        self._clock = _clock_library(Path(self._own.name))
        environment = dict(os.environ, PYTHONPATH=roots, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", COLUMNS="200")
        environment |= {"LD_PRELOAD": str(self._clock)} if self._clock else {}
        self._server = subprocess.Popen(
            [sys.executable, _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        self._template: Path | None = None
        self.peak = 0  #: kB of memory that the process which was waited for last had at most

    @property
    def clock_can_be_set(self) -> bool:
        """Whether command lines can be run at another time; needs a C compiler."""
        return self._clock is not None

    def close(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(PATIENCE)
        self._server.stdout.close()
        self._own.cleanup()

    def start(
        self, words: Sequence[object], *, output: Path, answer: str = "", ahead: int = 0, hangs: str = "", room: int = 0
    ) -> int:
        """The process's number; what it writes goes to `output`. `ahead`: seconds its clock is ahead; `hangs`: a method
        (module:Class.method) that never answers; `room`: bytes that a file can have at most, 0 for any number.
        """
        typed = output.with_suffix(".in")
        typed.write_text(answer, encoding="utf-8")
        asked = {"run": list(map(str, words)), "input": str(typed), "output": str(output)}
        return int(self._ask(asked | {"ahead": ahead, "hangs": hangs, "room": room})["pid"])

    def wait(self, pid: int, *, seconds: float = PATIENCE) -> int | None:
        """Its exit code; None where it still runs after so many seconds."""
        answer = self._ask({"wait": pid, "seconds": seconds})
        self.peak = int(answer.get("peak", 0))
        code: int | None = answer["code"]
        return code

    def store(self, settings: Path, target: Path) -> None:
        """Put a migrated store of the program under test at `target`; it is migrated once and copied."""
        if self._template is None:
            said = self.folder / "migrate.out"
            code = self.wait(self.start(["migrate", "--settings", str(settings)], output=said))
            assert code == 0, said.read_text()
            self._template = self.folder / "template.sqlite"
            shutil.copy(target, self._template)
        shutil.copy(self._template, target)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer


def _clock_library(folder: Path) -> Path | None:
    """Lets a process see another time; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    (folder / "clock.c").write_text(_CLOCK)
    built = folder / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", built, folder / "clock.c", "-ldl"], check=True)
    return built


_SETTINGS = """
[site]
name = "Test Hospital"
authority = "TESTHOSP"
{site}
[store]
url = "sqlite:///staging.sqlite"
min_free_mb = 0
{store}
[model]
bundle = "demo"
device = "cpu"
threads = 1
[scoring]
every_seconds = 0.2
{scoring}
[[listeners.hl7]]
name = "hl7"
host = "127.0.0.1"
port = {hl7}
{listener}
[[listeners.dicom]]
name = "dicom"
host = "127.0.0.1"
port = {dicom}
{listener}
[[destinations.hl7]]
name = "ehr"
host = "127.0.0.1"
port = {ehr}
{destination}
"""


class Outside:
    """One installation, and the receiver of its results. Nothing runs until `start`; scores and sends when told to."""

    def __init__(self, program: Program, folder: Path, *, more: str = "", ports_too: str = "", **tables: str) -> None:
        """`more`: whole tables; others by name (site, store, scoring, listener, destination): keys of those."""
        self.program, self.folder = program, folder
        self.hl7_port, self.dicom_port = ports.free_port(), ports.free_port()
        self.ehr = EhrReceiver()
        self.ehr.start()
        self.path = folder / "settings.toml"
        keys = dict.fromkeys(("site", "store", "scoring", "listener", "destination"), "") | tables
        written = _SETTINGS.format(hl7=self.hl7_port, dicom=self.dicom_port, ehr=self.ehr.port, **keys)
        self.path.write_text(written + more, encoding="utf-8")
        program.store(self.path, folder / "staging.sqlite")
        self._running: dict[int, Path] = {}
        self._count = 0

    def close(self) -> None:
        for pid in list(self._running):
            self.stop(pid, kill=True)
        self.ehr.stop()

    # --- processes ---

    def start(self, role: str = "connect", *, ahead: int = 0, hangs: str = "") -> int:
        """`run` in that role; where it listens, its ports are open when this returns. More: see `Program`."""
        output = self._file("run")
        words = ["run", "--role", role, "--settings", str(self.path)]
        pid = self.program.start(words, output=output, ahead=ahead, hangs=hangs)
        self._running[pid] = output
        try:
            wait_until(lambda: output.exists() and b'"service.started"' in output.read_bytes(), timeout=PATIENCE)
        except TimeoutError as error:
            raise AssertionError(f"it did not start, and wrote: {output.read_text()[-2000:]}") from error
        return pid

    def said(self, pid: int) -> list[dict[str, Any]]:
        """The events that this process wrote so far."""
        lines = self._running[pid].read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def stop(self, pid: int, *, kill: bool = False, seconds: float = PATIENCE) -> int | None:
        """By SIGTERM, or SIGKILL; its exit code, None where it does not end."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
        code = self.program.wait(pid, seconds=seconds)
        if code is not None:
            self._running.pop(pid, None)
        return code

    def command(self, *words: object, answer: str = "", ahead: int = 0, seconds: float = PATIENCE) -> tuple[int, str]:
        """One command line with what is typed; its exit code and what it wrote. One that does not end has code -9."""
        output = self._file("command")
        line = [*map(str, words), "--settings", str(self.path)]
        pid = self.program.start(line, output=output, answer=answer, ahead=ahead)
        code = self.program.wait(pid, seconds=seconds)
        if code is None:
            os.kill(pid, signal.SIGKILL)
            code = self.program.wait(pid)
        assert code is not None
        return code, output.read_text(encoding="utf-8")

    def renewed_model(self) -> str:
        """The demo bundle with today's preparation where the program makes one, else the demo bundle."""
        renewed = self.folder / "renewed"
        words = ["model", "renew", str(demo_bundle()), "--out", str(renewed)]
        self.program.wait(self.program.start(words, output=self._file("command")))
        return str(renewed) if renewed.exists() else "demo"

    def ended(self, pid: int, *, seconds: float) -> int | None:
        """The exit code of a service that ends by itself; None where it has not after so many seconds."""
        code = self.program.wait(pid, seconds=seconds)
        if code is not None:
            self._running.pop(pid, None)
        return code

    def set(self, table: str, line: str) -> None:
        """One more key in a table of the settings, where the program under test knows the key."""
        before = self.path.read_text(encoding="utf-8")
        now = before.replace(table, f"{table}\n{line}", 1) if table in before else f"{before}\n{table}\n{line}\n"
        self.path.write_text(now, encoding="utf-8")
        if "unknown key" in self.command("status")[1]:
            self.path.write_text(before, encoding="utf-8")

    def background(self, *words: object) -> int:
        """The number of a command that goes on while the test does."""
        return self.program.start([*map(str, words), "--settings", str(self.path)], output=self._file("command"))

    def document(self, *words: object) -> Any:
        """What a command writes with --json."""
        _, said = self.command(*words, "--json")
        return json.loads(re.sub(r"^[^\[{]*", "", said))

    def _file(self, kind: str) -> Path:
        self._count += 1
        return self.folder / f"{kind}-{self._count}.out"

    # --- what comes in ---

    def mllp(self, message: bytes, *, seconds: float = PATIENCE) -> str:
        """MSA-1 of the answer to one message; empty where there is none."""
        try:
            with MllpCart(LOOPBACK, self.hl7_port, timeout=seconds) as sender:
                return sender.send(message).code
        except (ConnectorError, OSError):
            return ""

    def c_store(self, *contents: Ecg | bytes) -> list[int]:
        """The statuses of C-STORE; empty where there is no answer."""
        objects = [dicom_writer.write_ecg(one) if isinstance(one, Ecg) else one for one in contents]
        try:
            return [one.status for one in cart.send(objects, host=LOOPBACK, port=self.dicom_port)]
        except (ConnectorError, OSError):
            return []

    def ingest(self, content: Ecg | bytes, suffix: str = ".dcm") -> str:
        """One file by the command `ingest`; what that says."""
        path = self._file("payload").with_suffix(suffix)
        path.write_bytes(dicom_writer.write_ecg(content) if isinstance(content, Ecg) else content)
        return self.command("ingest", path)[1]

    # --- what goes out ---

    def go_on(self) -> None:
        """Score and send everything that is due; `send` exits with 1 where a message is set aside."""
        code, said = self.command("score")
        assert code == 0, said
        self.command("send")

    @property
    def told(self) -> list[tuple[str, str]]:
        """What the receiver heard, in order: the first number in PID-3 and OBX-11 of the first observation."""
        return [(first(one, "PID", 3).split("^")[0], first(one, "OBX", 11)) for one in self.ehr.messages]

    @property
    def fillers(self) -> list[str]:
        """OBR-3 of each message that the receiver got."""
        return [first(one, "OBR", 3) for one in self.ehr.messages]

    def needs_a_person(self) -> bool:
        return bool(self.document("status")["needs_attention"])
