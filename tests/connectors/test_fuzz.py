"""Whatever the bytes: a reader gives an ECG or one of our two refusals, and takes no more memory than the
payload explains.
"""

import re
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from io import BytesIO
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.files.payload import pack_record
from ecgfm_connectors.reading import read
from ecgfm_connectors.statement import CATEGORIES
from ecgfm_connectors.statements.understanding import understood
from ecgfm_connectors.testing import aecg_writer, dicom_writer, wfdb_writer
from ecgfm_connectors.testing.samples import sample_ecg
from tests.connectors.golden.cases import cases
from tests.helpers import scp_writer, vendor_files

pytestmark = pytest.mark.slow(12)

CONTEXT = ReadingContext(default_authority="SITE", zone=ZoneInfo("Europe/Berlin"))
SMALL = sample_ecg(seconds=1)
_GOLDEN = (
    "muse-utf16.xml",
    "muse-strip.xml",
    "edf-open.edf",
    "edf-micro-sjis.edf",
    "edf-reversed.edf",
    "dicom-strip-first.dcm",
    "dicom-32-bit.dcm",
    "wfdb-flac-508.zip",
    "wfdb-flac-516.zip",
    "wfdb-frames.zip",
    "wfdb-skew.zip",
)


@cache
def golden_cases() -> dict[str, bytes]:
    """Written once: the writers of all of them take as long as the readers of some hundred."""
    return {case.name: case.content for case in cases()}


def golden(name: str, _: Ecg) -> bytes:
    return golden_cases()[name]


SEEDS: dict[str, Callable[[Ecg], bytes]] = {
    "dicom": dicom_writer.write_ecg,
    "aecg": aecg_writer.write_ecg,
    "wfdb": wfdb_writer.write_ecg,
    "muse": vendor_files.write_muse,
    "cardiosoft": vendor_files.write_cardiosoft,
    "philips": vendor_files.write_philips,
    "scp": scp_writer.write_scp,
    "scp plain": lambda ecg: scp_writer.write_scp(ecg, coding="plain"),
    "scp spikes": lambda ecg: scp_writer.write_scp(ecg, spikes=9),
    "scp bimodal": lambda ecg: scp_writer.write_scp(ecg, bimodal=4, subtracted=True, coding="custom"),
    "scp two tables": lambda ecg: scp_writer.write_scp(ecg, coding="switching", universal=("SR", "AMI\0AC")),
    "mortara": vendor_files.write_mortara,
    "schiller": vendor_files.write_schiller,
    "mfer": vendor_files.write_mfer,
    "edf": vendor_files.write_edf,
    **{name: partial(golden, name) for name in _GOLDEN},
}


@cache
def seed(kind: str) -> bytes:
    """A valid payload of this kind."""
    return SEEDS[kind](SMALL)


#: Fixed costs of a first import or a parser's tables, and memory in proportion to the payload.
FIXED, FACTOR = 24 * 2**20, 20

Edit = tuple[float, str, bytes, int]
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, allow_nan=False),
        st.sampled_from(["overwrite", "insert", "delete", "truncate", "repeat"]),
        st.one_of(
            st.binary(max_size=8), st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff", b"9" * 12, b"<"])
        ),
        st.integers(1, 4000),
    ),
    min_size=1,
    max_size=4,
)


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """The payload after some damage; half of it falls into the first 4 kB, where headers are."""
    for place, kind, value, length in edits:
        at = int(place * 2 * min(len(content), 4096)) if place < 0.5 else int(place * len(content))
        match kind:
            case "overwrite":
                content = content[:at] + value + content[at + len(value) :]
            case "insert":
                content = content[:at] + value + content[at:]
            case "delete":
                content = content[:at] + content[at + length :]
            case "repeat":
                content = content[:at] + content[at : at + length] * 2 + content[at + length :]
            case _:
                content = content[:at]
    return content


def damaged(content: bytes, edits: list[Edit]) -> bytes:
    """A packed WFDB record with damage in one of its files: the zip's CRC keeps a reader from damage around it."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = sorted(members)[int(sum(place for place, *_ in edits) * 97) % len(members)]
    return pack_record(members | {chosen: edited(members[chosen], edits)})


def survive(content: bytes) -> None:
    """Read it under the promise of `read`. Warnings are silenced: numpy's about odd numbers are no failure."""
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, refusal = attempt(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= FIXED + FACTOR * len(content)
    assert bool(found) != bool(refusal)
    assert "TESTPATIENT" not in refusal
    for ecg in found:
        assert ecg.signal.dtype == np.float32
        assert not np.isinf(ecg.signal).any()


def attempt(content: bytes) -> tuple[tuple[Ecg, ...], str]:
    """ECGs, or the refusal; anything else that is raised fails the test."""
    try:
        return read(content, CONTEXT).ecgs, ""
    except PayloadError as error:
        return (), str(error)


@pytest.mark.parametrize("kind", SEEDS)
def test_seeds_are_read(kind: str) -> None:
    assert read(seed(kind), CONTEXT).ecgs


@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits=EDITS)
def test_damaged_payloads(kind: str, edits: list[Edit]) -> None:
    survive(edited(seed(kind), edits))
    if seed(kind).startswith(b"PK"):
        survive(damaged(seed(kind), edits))


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=600))
def test_arbitrary_bytes(content: bytes) -> None:
    survive(content)


@pytest.mark.parametrize("prefix", [bytes(128) + b"DICM", b"\x08\0", b"<AnnotatedECG>", b"PK\x03\x04", b"0       "])
@settings(max_examples=40, deadline=None)
@given(rest=st.binary(max_size=600))
def test_arbitrary_bytes_behind_a_format_s_beginning(prefix: bytes, rest: bytes) -> None:
    survive(prefix + rest)


_PIECES = [
    "no ",
    "kein ",
    "pacemaker ",
    "schrittmacher",
    "évidence ",
    "infarct",
    "sinus ",
    "rhythm",
    ". ",
    "? ",
    " - ",
    "of a ",
]


@settings(max_examples=100, deadline=None)
@given(
    pieces=st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=6)), max_size=400), times=st.integers(1, 60)
)
def test_statements_of_any_words(pieces: list[str], times: int) -> None:
    told = replace(SMALL, statements=("".join(pieces),) * times)
    started = time.process_time()
    for statement in understood(told):
        assert statement.category in CATEGORIES.values()
    assert time.process_time() - started < 2.0


def test_nested_sequences_without_end() -> None:
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x00\x54\x00\x01SQ\0\0\xff\xff\xff\xff"
    survive(
        bytes(128)
        + b"DICM"
        + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
        + b"\x00\x54\x00\x01SQ\0\0\xff\xff\xff\xff"
        + item * 5000
    )


@pytest.mark.parametrize("content", [b"<", b"\xff\xfe<", b"MSH", b"\xef\xbb\xbf", b"0       " + bytes(300)])
def test_beginnings_alone(content: bytes) -> None:
    survive(content)


TWO_GIGABYTES = b"\xff\xff\xff\x7f"


@pytest.mark.parametrize("kind", ["dicom", "scp plain", "wfdb"])
def test_lengths_of_two_gigabytes_anywhere_in_a_header(kind: str) -> None:
    content = seed(kind)
    for at in range(0, 480, 4):
        for shift in (0, 2):
            place = at + shift
            survive(content[:place] + TWO_GIGABYTES + content[place + 4 :])


@pytest.mark.parametrize("kind", ["edf", "wfdb", "aecg", "muse", "cardiosoft", "philips"])
def test_numbers_of_two_thousand_million_anywhere_in_a_text(kind: str) -> None:
    """Each of the first numbers in turn; in EDF's fixed columns the widest that fits."""
    content = seed(kind)
    for found in list(re.finditer(rb"(?<![\w.])\d+", content))[:80]:
        wide = b"2147483647"
        if kind == "edf":
            wide = b"9" * min(8, len(found[0]) + content[found.end() : found.end() + 8].count(b" "))
            survive(content[: found.start()] + wide + content[found.start() + len(wide) :])
        else:
            survive(content[: found.start()] + wide + content[found.end() :])


@pytest.mark.parametrize("kind", ["aecg", "muse", "cardiosoft", "philips"])
def test_xml_bombs(kind: str) -> None:
    """Entities that would unfold to gigabytes, in front of a recording that is read without them."""
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE bomb [<!ENTITY l0 "ha">{levels}]>'.encode()
    content = seed(kind)
    start = content.index(b"?>") + 2 if content.startswith(b"<?xml") else 0
    body = re.sub(rb"<!DOCTYPE[^>]*>", b"", content[start:])
    _, refusal = attempt(content[:start] + bomb + body)
    assert refusal.startswith(("xml-entities", "unknown-xml", "unknown-format"))
    survive(content[:start] + bomb + body)


def test_zip_bomb() -> None:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("r1.hea", "r1 1 500 5000\nr1.dat 16 1000/mV 16 0 0 0 0 I\n")
        archive.writestr("r1.dat", bytes(50 * 2**20))
    assert attempt(stream.getvalue())[1].startswith("wfdb-package")
    survive(stream.getvalue())
