"""A thousand clients of one port at once, while ECGs flow at half of what the machine takes, against a service that was
set up by `init` and runs as `ecgfm-clinical run --role connect`: 400 well-behaved carts (a connection for each ECG of
10 s), 200 slow ones, 200 silent and 200 hostile connections. Prints what the well-behaved waited for, the service's
memory and descriptors, and how long it took to stop once the silent and the hostile had left.

pytest -s tests/benchmarks/bench_crowd.py
"""

import asyncio
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ecgfm_clinical import wiring
from ecgfm_clinical.settings import read_settings
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.testing import dicom_writer, oru_writer
from ecgfm_connectors.testing.samples import sample_ecg
from tests.helpers import crowd, dicom_wire
from tests.helpers.fakes import wait_until

pytestmark = [pytest.mark.benchmark, pytest.mark.skipif(sys.platform != "linux", reason="needs 127.0.0.0/8 and /proc")]

PROGRAM = Path(sys.executable).with_name("ecgfm-clinical")
WELL, SLOW, SILENT, HOSTILE = 400, 200, 200, 200
SECONDS = 30.0
FIRST = 5.0  #: seconds in which the silent and the hostile come, before ECGs flow
ALONE = 160  #: ECGs sent to measure what the machine takes
AT_ONCE = 8  #: connections that send them
PLACES, OF_ONE_ADDRESS = 400, 10
LONGEST_WAIT = 2.0  #: seconds
MOST_MEMORY = 300_000_000  #: bytes by which the service may grow


def ecg(number: int, signal_of: Ecg) -> Ecg:
    """Another recording, cheaply."""
    return replace(
        sample_ecg(seconds=1),
        source_id=f"2.25.{10**20 + number}",
        signal=np.roll(signal_of.signal, number, axis=1),
        sampling_rate=signal_of.sampling_rate,
    )


def hl7(one: Ecg, number: int) -> bytes:
    return oru_writer.write_ecg(one, control_id=f"M{number}", sent_at=datetime(2026, 3, 1, 9, tzinfo=UTC))


def dicom(one: Ecg, number: int) -> bytes:
    content = dicom_writer.write_ecg(one)
    start = 144 + int.from_bytes(content[140:144], "little")
    return dicom_wire.store(content[start:], dicom_writer.uid_of(one.source_id))


class Process:
    """The service."""

    def __init__(self, folder: Path, protocol: str) -> None:
        subprocess.run([PROGRAM, "init", folder], check=True, capture_output=True)
        self.path = folder / "settings.toml"
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            ports = {"hl7": one.getsockname()[1], "dicom": other.getsockname()[1]}
        text = self.path.read_text()
        for default, name in ((2575, "hl7"), (11112, "dicom")):
            text = re.sub(rf"^port = {default}\b", f"port = {ports[name]}", text, flags=re.MULTILINE)
        for key, most in (("max_connections", PLACES), ("max_associations", PLACES)):
            text, changed = re.subn(
                rf"^#? ?{key} = \d+", f"max_per_host = {OF_ONE_ADDRESS}\n{key} = {most}", text, flags=re.MULTILINE
            )
            assert changed == 1, f"{key} stands otherwise in what init writes"
        self.path.write_text(text)
        self.port = ports[protocol]
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [PROGRAM, "run", "--role", "connect", "--settings", self.path], stderr=self._log
        )
        wait_until(lambda: b"service.started" in (folder / "log").read_bytes())

    def sockets(self) -> int:
        """Open ones; the store's connections come and go."""
        found = 0
        for one in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found += str(one.readlink()).startswith("socket:")
        return found

    def resident(self) -> int:
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def processor(self) -> float:
        """Seconds of processor time so far; other work on the machine does not change what an ECG takes."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> float:
        """Seconds from SIGTERM to the end."""
        begun = time.perf_counter()
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(600) == 0
        self._log.close()
        return time.perf_counter() - begun

    def received(self) -> int:
        settings = read_settings(self.path)
        store = wiring.open_store(settings)
        try:
            return store.questions.counts().received
        finally:
            store.close()


@contextmanager
def serving(folder: Path, protocol: str) -> Iterator[Process]:
    process = Process(folder, protocol)
    try:
        yield process
    finally:
        process._process.kill()
        process._process.wait()


async def alone(callers: crowd.Crowd, contents: Sequence[bytes]) -> float:
    """ECGs a second, one after another on so many connections."""
    begun = time.perf_counter()

    async def one(part: Sequence[bytes], number: int) -> None:
        for content in part:
            await callers.deliver(crowd.well_behaved(number), content)

    await asyncio.gather(*(one(contents[n::AT_ONCE], n) for n in range(AT_ONCE)))
    return len(contents) / (time.perf_counter() - begun)


async def flow(
    callers: crowd.Crowd, contents: Sequence[bytes], slow: Sequence[bytes], rate: float
) -> tuple[list[float], int]:
    """What each well-behaved sender waited for, in s, and the most tries of one; so many a second begin."""
    waits: list[float] = []
    tries: list[int] = []

    async def one(number: int, content: bytes) -> None:
        await crowd.pace(number / rate)
        begun = time.perf_counter()
        tries.append(await callers.deliver(crowd.well_behaved(number), content))
        waits.append(time.perf_counter() - begun)

    await asyncio.gather(
        *(one(number, content) for number, content in enumerate(contents)),
        # All begin at once; as fast as one another, their ECGs would also come in one moment, a burst of 200.
        *(
            callers.deliver(crowd.slow(number), content, slow=1 - number / len(slow) / 2)
            for number, content in enumerate(slow)
        ),
    )
    return waits, max(tries)


@pytest.mark.parametrize(
    ("protocol", "speech", "written"), [("hl7", crowd.HL7, hl7), ("dicom", crowd.DICOM, dicom)], ids=["hl7", "dicom"]
)
def test_a_thousand_clients_while_ecgs_flow(
    protocol: str, speech: crowd.Speech, written: Callable[[Ecg, int], bytes], tmp_path: Path
) -> None:
    pattern = sample_ecg()
    first = [written(ecg(number, pattern), number) for number in range(ALONE)]
    with serving(tmp_path / "site", protocol) as process:
        pause = SECONDS * 0.8 * crowd.SLOW_CHUNK / len(first[0])
        callers = crowd.Crowd(speech=speech, port=process.port, silent=SILENT, hostile=HOSTILE, slow_pause=pause)
        used = [process.processor()]
        capacity = asyncio.run(alone(callers, first))
        used.append(process.processor())
        rate = capacity / 2
        count = max(WELL, round(rate * SECONDS))
        more = [written(ecg(number, pattern), number) for number in range(ALONE, ALONE + count + SLOW)]
        sockets, resident = process.sockets(), process.resident()
        peaks: list[tuple[int, int]] = []
        found: list[tuple[list[float], int]] = []

        async def flowing() -> None:
            await crowd.pace(FIRST)
            found.append(await flow(callers, more[SLOW:], more[:SLOW], rate))

        asyncio.run(callers.around(flowing(), lambda: peaks.append((process.resident(), process.sockets())), 600))
        wait_until(lambda: process.sockets() <= sockets)
        used.append(process.processor())
        calm = process.stop()
        received = process.received()
    waits, tries = found[0]
    growth = max(memory for memory, _ in peaks) - resident
    print(
        f"\n{protocol}, {len(first[0]) // 1000} kB: takes {capacity:.0f} ECG/s; at {rate:.0f}/s among "
        f"{WELL + SLOW + SILENT + HOSTILE} clients {count} well-behaved waited {statistics.median(waits):.3f} s in the "
        f"median, {np.quantile(waits, 0.99):.3f} s at 99 %, {max(waits):.3f} s at most, with {tries} tries at most; "
        f"processor time {1000 * (used[1] - used[0]) / ALONE:.0f} ms an ECG alone, "
        f"{1000 * (used[2] - used[1]) / (count + SLOW):.0f} in the crowd; "
        f"memory {resident / 1e6:.0f} + {growth / 1e6:.0f} MB, sockets {sockets}, at most "
        f"{max(number for _, number in peaks)}; stopped in {calm:.2f} s"
    )
    assert received == ALONE + count + SLOW
    assert growth < MOST_MEMORY
    assert max(waits) <= LONGEST_WAIT
