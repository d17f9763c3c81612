"""Write an Ecg as a WFDB record (header and 16-bit signal file): what a research archive drops into a folder."""

import numpy as np

from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.files.payload import pack_record

GAIN = 1000.0  #: units per mV: samples in µV


def write_record(ecg: Ecg, record: str) -> dict[str, bytes]:
    """The record's files by name, `record`.hea and `record`.dat; NaN becomes the format's own mark (-32768)."""
    counts = np.where(np.isnan(ecg.signal), -32768, np.clip(np.rint(ecg.signal * GAIN), -32767, 32767))
    samples = counts.T.astype("<i2")
    started = f" {ecg.acquired.at:%H:%M:%S %d/%m/%Y}" if ecg.acquired else ""
    lines = [f"{record} {len(LEADS)} {ecg.sampling_rate:.10g} {len(samples)}{started}"]
    for index, lead in enumerate(LEADS):
        first = int(samples[0, index]) if len(samples) else 0
        checksum = int(samples[:, index].sum(dtype=np.int64)) % 65536
        lines.append(f"{record}.dat 16 {GAIN}(0)/mV 16 0 {first} {checksum} 0 {lead}")
    lines += [f"#Sex: {ecg.patient.sex}", *(f"#Dx: {statement}" for statement in ecg.statements)]
    return {f"{record}.hea": ("\n".join(lines) + "\n").encode(), f"{record}.dat": samples.tobytes()}


def write_ecg(ecg: Ecg, record: str = "record") -> bytes:
    """The record as one payload."""
    return pack_record(write_record(ecg, record))
