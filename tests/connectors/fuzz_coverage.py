"""Coverage-guided fuzzing of one reader, or of the MLLP framer, for as long as wanted (needs `pip install atheris`):

    python -m tests.connectors.fuzz_coverage dicom -max_total_time=600

Several names with commas between them are fuzzed one after the other. What follows the name are libFuzzer's options and
folders of a corpus to begin with and add to. An input that breaks a promise is written to the working folder. The
promises, of any input: one of our error classes or an ECG, within 2 s, without an infinite sample, and with memory for
at most 20 times the input.
"""

import contextlib
import os
import re
import resource
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import atheris

with atheris.instrument_imports(include=["ecgfm_connectors"]):
    from ecgfm_connectors.base import Disposition, Verdict
    from ecgfm_connectors.context import ReadingContext
    from ecgfm_connectors.dicom import part10, waveform  # noqa: F401  instrumented here, used by `read`
    from ecgfm_connectors.ecg import LEADS
    from ecgfm_connectors.errors import PayloadError, ProtocolViolation
    from ecgfm_connectors.files import (  # noqa: F401
        aecg,
        cardiosoft_xml,
        edf,
        huffman,
        makers,
        mfer,
        mortara_xml,
        muse_xml,
        outcome_table,
        philips_xml,
        schiller_xml,
        scp,
        scp_bimodal,
        scp_sections,
        scp_signal,
        wfdb,
        wfdb_flac,
        wfdb_header,
        xli,
    )
    from ecgfm_connectors.files.payload import pack_record
    from ecgfm_connectors.hl7 import ack, inbound  # noqa: F401
    from ecgfm_connectors.hl7.framing import Framer, frame
    from ecgfm_connectors.reading import read
    from ecgfm_connectors.testing import aecg_writer, dicom_writer, oru_writer, wfdb_writer
    from ecgfm_connectors.testing.samples import sample_ecg
    from tests.connectors.golden.cases import cases
    from tests.connectors.golden.wfdb_cases import flac
    from tests.helpers import scp_writer, vendor_files

CONTEXT = ReadingContext(default_authority="SITE", zone=UTC)
SMALL = sample_ecg(seconds=1)
SENT = datetime(2026, 3, 1, tzinfo=UTC)


def golden(name: str) -> bytes:
    return next(case.content for case in cases() if case.name == name)


def unpacked(record: bytes) -> bytes:
    """The header and the signal file of a packed record as one run of bytes, see `read_record`."""
    return b"\0".join(wfdb.unpack_record(record).values())


#: Target -> a valid input to begin with. `wfdb-…` are records unpacked: the CRC of a zip would keep mutations out.
SEEDS: dict[str, Callable[[], bytes]] = {
    "dicom": lambda: dicom_writer.write_ecg(SMALL),
    "hl7": lambda: oru_writer.write_ecg(SMALL, control_id="M1", sent_at=SENT),
    "aecg": lambda: aecg_writer.write_ecg(SMALL),
    "muse": lambda: vendor_files.write_muse(SMALL),
    "mfer": lambda: vendor_files.write_mfer(SMALL),
    "mortara": lambda: vendor_files.write_mortara(SMALL),
    "cardiosoft": lambda: vendor_files.write_cardiosoft(SMALL),
    "philips": lambda: vendor_files.write_philips(SMALL),
    "schiller": lambda: vendor_files.write_schiller(SMALL),
    "muse-utf16": lambda: golden("muse-utf16.xml"),
    "dicom-32-bit": lambda: golden("dicom-32-bit.dcm"),
    "edf-open": lambda: golden("edf-open.edf"),
    "scp": lambda: scp_writer.write_scp(SMALL),
    "scp-bimodal": lambda: scp_writer.write_scp(SMALL, bimodal=4, subtracted=True, coding="custom"),
    "scp-tables": lambda: scp_writer.write_scp(SMALL, coding="switching"),
    "edf": lambda: vendor_files.write_edf(SMALL),
    "wfdb": lambda: wfdb_writer.write_ecg(SMALL),
    "wfdb-frames": lambda: unpacked(golden("wfdb-frames.zip")),
    "wfdb-skew": lambda: unpacked(golden("wfdb-skew.zip")),
    "wfdb-flac": lambda: unpacked(flac(SMALL, 516, groups=[("I", "II", *LEADS[6:])])),
    "framer": lambda: frame(b"MSH|^~\\&|A|B|C|D|2026||ORU^R01|M1|P|2.5.1\rPID|1\r") * 2,
}
SECONDS, FIXED, FACTOR = 2.0, 24 * 2**20, 20
HEADROOM = 1024  #: MB that a run may grow by, above what its process holds at rest


def read_payload(content: bytes) -> None:
    try:
        contents = read(content, CONTEXT)
    except PayloadError:
        return
    for ecg in contents.ecgs:
        if not (abs(ecg.signal) < float("inf"))[ecg.signal == ecg.signal].all():
            raise AssertionError("an infinite sample")


def read_record(content: bytes) -> None:
    """A WFDB record from its header, a NUL and the bytes of the one signal file that the header names first."""
    header, _, data = content.partition(b"\0")
    with contextlib.suppress(PayloadError):
        names = [signal.file_name for signal in wfdb_header.parse_header(header).signals]
        read_payload(pack_record({"r.hea": header, names[0]: data}))


def feed_framer(content: bytes) -> None:
    """In pieces, as a network would; each message found is acknowledged without a fault."""
    framer = Framer(max_message=4096)
    try:
        for start in range(0, len(content), 7):
            for message in framer.feed(content[start : start + 7]):
                ack.build(message, Verdict(disposition=Disposition.STAGED), now=SENT, control_id="C1")
    except ProtocolViolation:
        return


def promised(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    def run(content: bytes) -> None:
        begun = time.process_time()
        tracemalloc.start()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's about odd numbers are no failure
                target(content)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        if peak > FIXED + FACTOR * len(content):
            raise AssertionError(f"{peak} bytes of memory for an input of {len(content)}")
        if time.process_time() - begun > SECONDS:
            raise AssertionError(f"more than {SECONDS} s for an input of {len(content)} bytes")

    return run


def resident_at_rest(name: str) -> int:
    """MB that a process for this target holds after its first input:
    what it needs differs several times between machines.
    """
    with tempfile.TemporaryFile() as said:
        child = os.fork()  # a new process would take seconds to load what this one has loaded
        if not child:
            os.dup2(said.fileno(), 2)
            fuzz(name, ["-runs=1", "-rss_limit_mb=0"])
        _, status = os.waitpid(child, 0)
        said.seek(0)
        written = said.read().decode("utf-8", "replace")
    if code := os.waitstatus_to_exitcode(status):
        sys.exit(f"the first input of {name} ended with exit code {code}: {written[-2000:]}")
    return max(int(found) for found in re.findall(r"rss: (\d+)Mb", written))


def inherited() -> int:
    """MB that libFuzzer counts as used from the first input on: on Linux the peak of the program that started this one
    goes into getrusage(2).
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def fuzz(name: str, given: list[str]) -> NoReturn:
    """Fuzz one target with libFuzzer's options and end this process as it says."""
    with tempfile.TemporaryDirectory() as folder:
        seed = Path(folder) / name
        seed.write_bytes(SEEDS[name]())
        if not any(option.startswith("-rss_limit_mb=") for option in given):
            given = [f"-rss_limit_mb={max(resident_at_rest(name), inherited()) + HEADROOM}", *given]
        options = ["-timeout=120", f"-max_len={4 * seed.stat().st_size}", *given, folder]
        target = feed_framer if name == "framer" else read_record if name.startswith("wfdb-") else read_payload
        atheris.Setup([sys.argv[0], *options], promised(target))
        atheris.Fuzz()
    sys.exit(0)


def main() -> None:
    names = sys.argv[1].split(",") if len(sys.argv) > 1 else [""]
    if set(names) - set(SEEDS):
        sys.exit(f"usage: fuzz_coverage.py {'|'.join(SEEDS)} [libFuzzer's options]")
    if len(names) == 1:
        fuzz(names[0], sys.argv[2:])
    for name in names:
        child = os.fork()
        if not child:
            fuzz(name, sys.argv[2:])
        if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(code)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
