"""What a payload may grow to when it is read, and how long a recording may be, in every format."""

import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ecgfm_connectors.assembly import Channel, assemble
from ecgfm_connectors.context import MAX_INFLATED, MAX_SAMPLES, ReadingContext
from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.errors import PayloadError, Refused
from ecgfm_connectors.files import xli
from ecgfm_connectors.leads import Lead
from ecgfm_connectors.numbers import parse_numbers
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing import dicom_writer, wfdb_writer
from tests.helpers import vendor_files

pytestmark = pytest.mark.slow(3)

HOURS = 7200  #: seconds: beyond `MAX_SAMPLES` at 500 Hz with twelve leads, within every limit of bytes


def refusal(content: bytes, context: ReadingContext) -> str:
    with pytest.raises(PayloadError) as caught:
        read(content, context)
    return caught.value.code


def peak(attempt: Callable[[], object]) -> int:
    """Bytes allocated at once while it runs."""
    tracemalloc.start()
    try:
        attempt()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def deflated(ecg: Ecg, samples: int) -> bytes:
    """A deflated object whose waveform is as incompressible as a real one, up to sixteen times smaller."""
    dataset = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(ecg)))
    group = dataset.WaveformSequence[0]
    noise = np.random.default_rng(1).integers(0, 256, 24 * samples // 13, dtype=np.uint8)
    group.WaveformData = (noise.tobytes() + noise[:2400].tobytes() * (samples // 100))[: 24 * samples]
    group.NumberOfWaveformSamples = samples
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = squeezer.compress(stream.getvalue()[_meta_end(stream.getvalue()) :]) + squeezer.flush()
    head = dicom_writer.write_ecg(ecg, transfer_syntax=DeflatedExplicitVRLittleEndian)
    return head[: _meta_end(head)] + body


def _meta_end(content: bytes) -> int:
    """Where the data set begins: behind the group length and what it counts."""
    return 144 + int.from_bytes(content[140:144], "little")


def test_eight_megabytes_of_deflated_dicom_do_not_fill_the_memory(ecg: Ecg, context: ReadingContext) -> None:
    content = deflated(ecg, 4_500_000)
    assert 7_000_000 < len(content) < 9_000_000
    assert peak(lambda: refusal(content, context)) < 3 * MAX_INFLATED
    assert refusal(content, context) == "too-large"


def test_a_deflated_recording_of_ten_seconds_is_read(ecg: Ecg, context: ReadingContext) -> None:
    (found,) = read(deflated(ecg, 5000), context).ecgs
    assert found.signal.shape == (12, 5000)


def _dicom(ecg: Ecg, samples: int) -> bytes:
    dataset = pydicom.dcmread(BytesIO(dicom_writer.write_ecg(ecg)))
    dataset.WaveformSequence[0].NumberOfWaveformSamples = samples
    dataset.WaveformSequence[0].WaveformData = bytes(24 * samples)
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_a_long_dicom_recording_is_refused_before_it_is_copied(ecg: Ecg, context: ReadingContext) -> None:
    content = _dicom(ecg, 500 * HOURS)
    assert peak(lambda: refusal(content, context)) < len(content)
    assert refusal(content, context) == "too-large"


@pytest.mark.parametrize("write", [vendor_files.write_edf, wfdb_writer.write_ecg], ids=["edf", "wfdb"])
def test_a_long_recording_is_refused_in_every_format(
    ecg: Ecg, context: ReadingContext, write: Callable[[Ecg], bytes]
) -> None:
    long = replace(ecg, signal=np.tile(ecg.signal, (1, HOURS // 20)))
    assert long.signal.size > MAX_SAMPLES
    assert refusal(write(long), context) == "too-large"


def test_the_limit_holds_whatever_format_the_samples_came_from() -> None:
    row = np.zeros(MAX_SAMPLES // 12 + 1, np.float32)
    with pytest.raises(Refused, match="too-large"):
        assemble([Channel(lead=Lead(lead), samples=row) for lead in LEADS])


def test_text_and_xli_are_refused_before_they_are_expanded() -> None:
    with pytest.raises(Refused, match="too-large"):
        parse_numbers("1 " * 6_000_000)
    chunk = xli_chunk(40_000)
    with pytest.raises(Refused, match="too-large"):
        xli.expand(chunk * 600, samples=41_000)


def xli_chunk(samples: int) -> bytes:
    """A chunk that expands a hundredfold: one byte again and again."""
    codes, length, code = [0], 1, 256
    while length < 2 * samples:
        codes.append(min(code, 1021))
        length += min(code, 1021) - 254
        code += 1
    bits = "".join(f"{one:010b}" for one in (*codes, 1023))
    bits += "0" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return len(body).to_bytes(4, "little") + bytes(4) + body
