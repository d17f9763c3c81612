"""Hundreds of clients at once, well-behaved, slow, silent and hostile: the well-behaved lose nothing, memory stays
bounded and every descriptor is given back. `tests/benchmarks/bench_crowd.py` is the same against a whole installation,
with its times.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers import crowd, dicom_wire

LONGEST = 400_000  #: bytes of a message or object that the port takes
#: Bytes by which the listening process may grow: eight longest messages received or at work, as much again for their
#: copies, and the buffers and threads of 200 connections with what the allocator keeps of them.
MOST_MEMORY = 16 * LONGEST + 100_000_000
PATIENCE = 120.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs the addresses 127.0.0.0/8 and /proc"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """How many of each kind."""

    well: int
    slow: int
    silent: int
    hostile: int


def hl7_message(name: str) -> bytes:
    head = f"MSH|^~\\&|CART|WARD|ECGFM|H|20260301||ORU^R01|{name}|P|2.5.1\rPID|1||1^^^H^MR\rOBX|1|ED|||"
    return head.encode() + b"A" * 10_000 + b"\r"


def dicom_object(name: str) -> bytes:
    return dicom_wire.store(b"\x40\x00\x01\xa0OB\0\0" + (10_000).to_bytes(4, "little") + bytes(10_000), name)


class Listening:
    """The port in a process of its own, whose memory and descriptors are its own too."""

    def __init__(self, protocol: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.crowd_listener", protocol, str(LONGEST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self._process.pid}/fd").iterdir()))

    def resident(self) -> int:
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> set[str]:
        """The names of what was committed."""
        out, _ = self._process.communicate(timeout=PATIENCE)
        return set(out.split())


@pytest.mark.parametrize(
    ("protocol", "speech", "written", "numbers"),
    [
        ("hl7", crowd.HL7, hl7_message, Numbers(well=400, slow=200, silent=200, hostile=200)),
        ("dicom", crowd.DICOM, dicom_object, Numbers(well=100, slow=50, silent=50, hostile=50)),
    ],
    ids=["hl7", "dicom"],
)
def test_a_crowd(protocol: str, speech: crowd.Speech, written: Callable[[str], bytes], numbers: Numbers) -> None:
    well = {f"1.{number}": crowd.well_behaved(number) for number in range(numbers.well)}
    slow = {f"2.{number}": crowd.slow(number) for number in range(numbers.slow)}
    listening = Listening(protocol)
    callers = crowd.Crowd(speech=speech, port=listening.port, silent=numbers.silent, hostile=numbers.hostile)
    asyncio.run(callers.deliver("127.0.0.1", written("0.1")))  # everything is loaded and open
    descriptors, resident = listening.descriptors(), listening.resident()
    peaks: list[int] = []

    async def deliver() -> None:
        await asyncio.gather(
            *(callers.deliver(source, written(name)) for name, source in well.items()),
            *(callers.deliver(source, written(name), slow=1) for name, source in slow.items()),
        )

    async def run() -> None:
        await callers.around(deliver(), lambda: peaks.append(listening.resident()), PATIENCE)

    try:
        asyncio.run(run())
        pause = threading.Event()
        for _ in range(int(PATIENCE / 0.2)):
            if listening.descriptors() <= descriptors:
                break
            pause.wait(0.2)
        assert listening.descriptors() <= descriptors
    finally:
        committed = listening.stop()
    assert committed == {"0.1", *well, *slow}
    assert max(peaks) - resident < MOST_MEMORY
