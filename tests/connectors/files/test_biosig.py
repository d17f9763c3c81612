"""Our readers beside biosig's (Debian: python3-biosig), an independent decoder of SCP-ECG, EDF and annotated ECGs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgfm_connectors.ecg import LEADS, Ecg
from ecgfm_connectors.testing import aecg_writer
from tests.helpers import scp_writer
from tests.helpers import vendor_files as write

#: Debian's module belongs to the system's Python, not to this environment's.
PYTHON = Path("/usr/bin/python3")
PROGRAM = "import sys, biosig, numpy; numpy.save(sys.argv[2], biosig.data(sys.argv[1]))"


def has_biosig() -> bool:
    if not PYTHON.exists():
        return False
    return subprocess.run([PYTHON, "-c", "import biosig, numpy"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.peer,
    pytest.mark.skipif(not has_biosig(), reason="biosig is not installed (apt-get install python3-biosig)"),
]

ReadOne = Callable[[bytes], Ecg]
Corpus = Callable[[str], Path]
MICROVOLTS, MILLIVOLTS = 1e-3, 1.0
LIMB_LAST = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF")


def by_biosig(path: Path, folder: Path, unit: float) -> NDArray[np.float64]:
    """(channels, samples) in mV."""
    out = folder / "signal.npy"
    subprocess.run([PYTHON, "-c", PROGRAM, path, out], check=True, capture_output=True, timeout=120)
    samples: NDArray[np.float64] = np.load(out).T * unit
    return samples


@pytest.mark.parametrize(
    ("name", "writer", "unit"),
    [
        ("huffman.scp", lambda ecg: scp_writer.write_scp(ecg, order=0), MICROVOLTS),
        ("first-differences.scp", lambda ecg: scp_writer.write_scp(ecg, order=1), MICROVOLTS),
        ("second-differences.scp", scp_writer.write_scp, MICROVOLTS),
        ("plain.scp", lambda ecg: scp_writer.write_scp(ecg, coding="plain"), MICROVOLTS),
        ("recording.edf", write.write_edf, MILLIVOLTS),
        ("annotated.xml", aecg_writer.write_ecg, MICROVOLTS),
    ],
)
def test_biosig_reads_our_files_as_we_do(
    ecg: Ecg, read_one: ReadOne, tmp_path: Path, name: str, writer: Callable[[Ecg], bytes], unit: float
) -> None:
    path = tmp_path / name
    path.write_bytes(writer(ecg))
    theirs = by_biosig(path, tmp_path, unit)
    np.testing.assert_allclose(theirs, ecg.signal, atol=1e-4)
    np.testing.assert_allclose(read_one(path.read_bytes()).signal, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "unit", "channels"),
    [
        ("scp/CaboLabs+dicom-waveform/Example.scp", MICROVOLTS, LIMB_LAST),
        ("scp/Refactoring+ECGToolkit/Example.scp", MICROVOLTS, LIMB_LAST),
        (
            "scp/farhad-abtahi+SCP-Tools/ANON000001.SCP",
            MICROVOLTS,
            ("I", "II", "V3R", "V1", "V2", "V4", "V6", "V7"),
        ),
        # biosig gives 37855 samples, as the header says; the bytes of the last 5088 a lead are not in the file.
        ("scp/RigacciOrg+ecg-contec/0000050.ECG.scp", MICROVOLTS, LEADS),
        ("edf/RigacciOrg+ecg-contec/0000050.ECG.edf", MILLIVOLTS, LEADS),
        ("hl7v3_aecg/FDA+aecg-python/Example_aECG.xml", MICROVOLTS, LIMB_LAST),
    ],
)
def test_real_files_as_biosig_reads_them(
    corpus: Corpus, read_one: ReadOne, tmp_path: Path, name: str, unit: float, channels: tuple[str, ...]
) -> None:
    path = corpus(name)
    found = read_one(path.read_bytes())
    theirs = by_biosig(path, tmp_path, unit)
    assert len(theirs) == len(channels)
    assert set(found.stored_leads) == set(channels) & set(LEADS)
    for lead in found.stored_leads:
        ours = found.signal[LEADS.index(lead)]
        np.testing.assert_allclose(ours, theirs[channels.index(lead), : len(ours)], atol=1e-4, err_msg=lead)
