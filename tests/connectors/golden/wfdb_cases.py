"""Golden WFDB records: dialects of signal(5) and header(5) beyond the plain 16-bit file."""

from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.files.payload import pack_record
from tests.helpers.vendor_files import STEP, counts

#: FLAC holds eight channels at most.
_GROUPS = (LEADS[:6], LEADS[6:])
#: Signal format of WFDB -> bits of a FLAC sample, and the step in mV that lets the sample ECG fit into it.
_FLAC = {508: ("PCM_S8", 8, 0.05), 516: ("PCM_16", 16, STEP), 524: ("PCM_24", 24, STEP)}


def read_cases(ecg: Ecg) -> Iterator[tuple[str, str, bytes, NDArray[np.float32]]]:
    """Name, what is special, content, and the signal in mV."""
    for form in _FLAC:
        step = _FLAC[form][2]
        signal = (np.rint(ecg.signal / step) * step).astype(np.float32)
        yield f"flac-{form}", f"two signal files of FLAC, format {form}", flac(ecg, form), signal
    yield "frames", "two samples of each signal in a frame", _two_in_a_frame(ecg), ecg.signal
    yield "skew", "V6 is skewed by two samples", *_skewed(ecg)


def flac(ecg: Ecg, form: int, groups: Sequence[Sequence[str]] = _GROUPS) -> bytes:
    """The record with the signals of each group of leads in a FLAC stream."""
    subtype, bits, step = _FLAC[form]
    members: dict[str, bytes] = {}
    lines = [f"r {sum(map(len, groups))} {ecg.sampling_rate:g} {ecg.signal.shape[1]}"]
    for number, leads in enumerate(groups):
        rows = np.rint(ecg.signal[[LEADS.index(lead) for lead in leads]] / step).astype(np.int32)
        stream = BytesIO()
        soundfile.write(
            stream, np.ascontiguousarray(rows.T) << (32 - bits), int(ecg.sampling_rate), format="FLAC", subtype=subtype
        )
        members[f"r{number}.flac"] = stream.getvalue()
        lines += [
            _line(f"r{number}.flac", str(form), lead, row, 1 / step) for lead, row in zip(leads, rows, strict=True)
        ]
    return _packed(lines, members)


def _two_in_a_frame(ecg: Ecg) -> bytes:
    rows = np.stack(list(counts(ecg).values()))
    frames = rows.reshape(len(LEADS), -1, 2).transpose(1, 0, 2)
    lines = [f"r 12 {ecg.sampling_rate / 2:g} {len(frames)}"]
    lines += [_line("r.dat", "16x2", lead, row, 1 / STEP) for lead, row in zip(LEADS, rows, strict=True)]
    return _packed(lines, {"r.dat": frames.astype("<i2").tobytes()})


def _skewed(ecg: Ecg) -> tuple[bytes, NDArray[np.float32]]:
    """Two samples of V6 stand before its sample 0 in the file; at its end it repeats the last one it has."""
    rows = np.stack(list(counts(ecg).values()))
    rows[-1] = np.concatenate([[0, 0], rows[-1, :-2]])
    lines = [f"r 12 {ecg.sampling_rate:g} {rows.shape[1]}"]
    forms = ["16"] * 11 + ["16:2"]
    lines += [_line("r.dat", form, lead, row, 1 / STEP) for form, lead, row in zip(forms, LEADS, rows, strict=True)]
    signal = ecg.signal.copy()
    signal[-1, -2:] = signal[-1, -3]
    return _packed(lines, {"r.dat": rows.T.astype("<i2").tobytes()}), signal


def _line(file: str, form: str, lead: str, row: NDArray[np.generic], gain: float) -> str:
    checksum = int(row.astype(np.int64).sum()) % 65536
    return f"{file} {form} {gain:g}(0)/mV 16 0 {int(row.flat[0])} {checksum} 0 {lead}"


def _packed(lines: list[str], members: dict[str, bytes]) -> bytes:
    return pack_record({"r.hea": "\n".join([*lines, ""]).encode(), **members})
