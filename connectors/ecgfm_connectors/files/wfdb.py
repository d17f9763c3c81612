"""Read a WFDB record packed into one payload (see `payload.load`): header and signal files.

Own code rather than the `wfdb` package, which reads from paths only, refuses headers with the record name written as a
file name, and checks neither checksums nor path names; the tests compare the two on real records.
"""

import hashlib
import zipfile
from io import BytesIO
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecgfm_connectors import ages
from ecgfm_connectors.assembly import Channel, Signal, assemble
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.context import MAX_PAYLOAD, ReadingContext, require_length
from ecgfm_connectors.ecg import AcquiredAt, Ecg, Finding
from ecgfm_connectors.errors import Refused, Unreadable
from ecgfm_connectors.files import wfdb_flac
from ecgfm_connectors.files.wfdb_header import Header, SignalLine, parse_header
from ecgfm_connectors.leads import Lead, from_label
from ecgfm_connectors.patient import Patient, Sex
from ecgfm_connectors.statement import Statement
from ecgfm_connectors.statements.vocabularies import from_code
from ecgfm_connectors.times import locate
from ecgfm_connectors.units import millivolts

#: Storage format -> bits of a sample; the lowest number of each means "no sample" (signal(5)).
_BITS = {16: 16, 24: 24, 32: 32, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10} | wfdb_flac.BITS

_MOST_IN_A_FRAME = 1000


def read(content: bytes, context: ReadingContext) -> Contents:
    """The one ECG of a packed record.

    Raises Unreadable: `wfdb-package`, `wfdb-header`, `wfdb-flac`, `waveform-length`; Refused: `wfdb-format`,
    `mixed-rates`, `no-sensitivity`, `unknown-unit` and what `assemble` refuses.
    """
    members = unpack_record(content)
    header = parse_header(next(data for name, data in members.items() if name.lower().endswith(".hea")))
    findings: list[Finding] = []
    channels, in_a_frame = _channels(header, members, findings)
    assembled = assemble(channels)
    ecg = Ecg(
        source_id=f"sha256:{hashlib.sha256(content).hexdigest()}",
        format="wfdb",
        patient=Patient(sex=_sex(header)),
        acquired=_acquired(header, context, findings),
        sampling_rate=header.sampling_rate * in_a_frame,
        signal=assembled.signal,
        stored_leads=assembled.stored_leads,
        derived_leads=assembled.derived_leads,
        coded=_diagnoses(header),
        measurements=ages.measurement(_comment(header, "age"), "a"),
        findings=(*findings, *assembled.findings),
    )
    return Contents(ecgs=(ecg,))


def unpack_record(content: bytes) -> dict[str, bytes]:
    """The members of a packed record. Raises Unreadable and Refused for any other zip and for a zip bomb."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            infos = archive.infolist()
            if sum(info.filename.lower().endswith(".hea") for info in infos) != 1:
                raise Refused("wfdb-package", "a zip that is not one WFDB record (one header and its signal files)")
            if any(info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 for info in infos):
                raise Refused("wfdb-package", "a compressed or encrypted zip; a packed WFDB record is neither")
            if sum(info.file_size for info in infos) > min(MAX_PAYLOAD, len(content)):
                raise Refused("too-large", "the zip declares more bytes than it has")
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError, OSError) as error:
        raise Unreadable("wfdb-package", "the zip is damaged") from error


def _channels(header: Header, members: dict[str, bytes], findings: list[Finding]) -> tuple[list[Channel], int]:
    """The leads, and how many of their samples one frame holds."""
    channels, frames = [], set()
    for name in dict.fromkeys(signal.file_name for signal in header.signals):
        if name not in members:
            raise Unreadable("missing-file", "a signal file that the header names is not in the record")
        signals = [signal for signal in header.signals if signal.file_name == name]
        raw = _raw_samples(members[name], signals, header.samples)
        for signal, own in zip(signals, raw, strict=True):
            lead = from_label(signal.label)
            if lead is not None and lead.canonical:
                frames.add(signal.samples_per_frame)
                samples = _millivolts(own, signal, lead, findings)
                # header(5): so many frames in the file precede sample 0 of the record.
                channels.append(Channel(lead=lead, samples=samples, skew=-signal.skew * signal.samples_per_frame))
    if len(frames) > 1:
        raise Refused("mixed-rates", "the leads have different numbers of samples in a frame")
    return channels, frames.pop() if frames else 1


def _raw_samples(data: bytes, signals: list[SignalLine], samples: int | None) -> list[NDArray[np.int32]]:
    """The samples of each signal of this file as stored, (frames × samples in a frame,).
    Raises Unreadable where the file is shorter than the header says.
    """
    if len({(signal.format, signal.byte_offset) for signal in signals}) != 1:
        raise Refused("wfdb-format", "signals of one file in different formats")
    form, offset = signals[0].format, signals[0].byte_offset
    if form not in _BITS:
        raise Refused("wfdb-format", f"storage format {form}; read are {', '.join(map(str, _BITS))}")
    edges = np.cumsum([0, *(signal.samples_per_frame for signal in signals)])
    if not all(1 <= signal.samples_per_frame <= _MOST_IN_A_FRAME for signal in signals):
        raise Refused("wfdb-format", f"a signal has no sample in a frame, or more than {_MOST_IN_A_FRAME}")
    if form in wfdb_flac.BITS:
        return _flac(wfdb_flac.unpack(data[offset:], form, signals=len(signals)), signals, samples)
    require_length(8 * (len(data) - offset) // _BITS[form])
    flat, frame = _unpack(data[offset:], form), int(edges[-1])
    frames = len(flat) // frame if samples is None or samples == 0 else samples
    if frames <= 0 or len(flat) < frames * frame:
        raise Unreadable("waveform-length", f"the signal file holds fewer than the {frames} samples of its header")
    table = flat[: frames * frame].reshape(frames, frame)
    return [table[:, start:end].reshape(-1) for start, end in pairwise(edges.tolist())]


def _flac(table: NDArray[np.int32], signals: list[SignalLine], frames: int | None) -> list[NDArray[np.int32]]:
    """A channel of FLAC is a signal; all have the same number of samples in a frame."""
    in_frame = {signal.samples_per_frame for signal in signals}
    if len(in_frame) > 1:
        raise Refused("wfdb-format", "FLAC signals with different numbers of samples in a frame")
    needed = frames * in_frame.pop() if frames else len(table)
    if not 0 < needed <= len(table):
        raise Unreadable("waveform-length", f"the signal file holds fewer than the {frames} samples of its header")
    return list(table[:needed].T)


def _unpack(data: bytes, form: int) -> NDArray[np.int32]:
    """All samples of a signal file, signal(5)."""
    if form in (16, 61):
        whole = data[: len(data) // 2 * 2]
        return np.frombuffer(whole, dtype="<i2" if form == 16 else ">i2").astype(np.int32)
    if form == 32:
        return np.frombuffer(data[: len(data) // 4 * 4], dtype="<i4").astype(np.int32)
    if form == 80:
        return np.frombuffer(data, dtype=np.uint8).astype(np.int32) - 128
    if form == 160:
        return np.frombuffer(data[: len(data) // 2 * 2], dtype="<u2").astype(np.int32) - 32768
    if form in (310, 311):
        return _sign_extended(_tens(data, form), 10)
    triples = np.frombuffer(data[: len(data) // 3 * 3], dtype=np.uint8).astype(np.int32).reshape(-1, 3)
    if form == 24:
        return _sign_extended(triples[:, 0] | triples[:, 1] << 8 | triples[:, 2] << 16, 24)
    first = triples[:, 0] | (triples[:, 1] & 0x0F) << 8
    second = triples[:, 2] | (triples[:, 1] & 0xF0) << 4
    return _sign_extended(np.stack([first, second], axis=1).reshape(-1), 12)


def _tens(data: bytes, form: int) -> NDArray[np.int32]:
    """Samples of ten bits, three of them in four bytes.

    Format 311 packs the three end to end. Format 310 leaves the lowest bit of each byte pair unused, puts a sample into
    the ten bits above it, and one half of the third sample into the upper five bits of each pair.
    """
    data = data + bytes(-len(data) % 4)  # a file may end with the last sample
    if form == 311:
        words = np.frombuffer(data, dtype="<u4")
        thirds = [words & 0x3FF, words >> 10 & 0x3FF, words >> 20 & 0x3FF]
    else:
        first, second = np.frombuffer(data, dtype="<u2").astype(np.uint32).reshape(-1, 2).T
        thirds = [first >> 1 & 0x3FF, second >> 1 & 0x3FF, first >> 11 | second >> 11 << 5]
    return np.stack(thirds, axis=1).reshape(-1).astype(np.int32)


def _sign_extended(values: NDArray[np.int32], bits: int) -> NDArray[np.int32]:
    return (values << (32 - bits)) >> (32 - bits)


def _millivolts(raw: NDArray[np.int32], signal: SignalLine, lead: Lead, findings: list[Finding]) -> Signal:
    """(raw - baseline) / gain, NaN where the format's lowest number says that there is no sample."""
    unit = millivolts(signal.unit)
    if unit is None:
        raise Refused("unknown-unit", f"lead {lead.name} is not in a unit of voltage")
    if signal.gain == 0:
        raise Refused("no-sensitivity", f"lead {lead.name} is uncalibrated: its gain is 0 or absent")
    if signal.checksum is not None and (int(raw.sum(dtype=np.int64)) - signal.checksum) % 65536:
        findings.append(Finding(code="checksum-mismatch", text=f"lead {lead.name}: samples and header do not agree"))
    samples = ((raw.astype(np.float64) - signal.baseline) / signal.gain * unit).astype(np.float32)
    samples[raw == -(1 << (_BITS[signal.format] - 1))] = np.nan
    return samples


def _acquired(header: Header, context: ReadingContext, findings: list[Finding]) -> AcquiredAt | None:
    if header.date_before_time:
        findings.append(Finding(code="header-malformed", text="the header gives the date before the time"))
    if header.recorded is None:
        findings.append(Finding(code="acquisition-time-missing", text="the header gives no date and time"))
        return None
    return locate(header.recorded, original=header.recorded.isoformat(), site=context.zone)


def _sex(header: Header) -> Sex:
    letter = _comment(header, "sex")[:1].upper()
    return "M" if letter == "M" else "F" if letter == "F" else "U"


def _diagnoses(header: Header) -> tuple[Statement, ...]:
    """SNOMED CT codes of the comment `Dx:`, as the PhysioNet/CinC challenges write them."""
    codes = [word.strip() for word in _comment(header, "dx").split(",")]
    return tuple(from_code("SNOMED", code) for code in dict.fromkeys(codes) if code.isdigit())[:500]


def _comment(header: Header, key: str) -> str:
    """The value of a `Key: value` comment, which many sets carry."""
    for comment in header.comments:
        name, _, value = comment.partition(":")
        if name.strip().lower() == key:
            return value.strip()
    return ""
