"""Every real recording on this machine is read, or refused with its true reason."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.files.payload import find, load
from ecgfm_connectors.reading import read

pytestmark = pytest.mark.slow(20)

Corpus = Callable[[str], Path]

#: Folder -> what becomes of its files; "" is read, lists beside the recordings are no recordings.
EXPECTED = {
    "dicom": {"": 4},
    "hl7v3_aecg": {"": 8, "not-12-lead": 5},
    "muse_xml": {"": 5},
    "cardiosoft_xml": {"": 1},
    "philips_xml": {"": 4, "unsupported-version": 1},
    "scp": {"": 4},
    "edf": {"": 1},
    "json_zzupecg": {"not-a-recording": 4},
    "mat_code15": {"not-a-recording": 6, "unknown-format": 4},
    "mat_cpsc2018": {"not-a-recording": 6},
    "wfdb_chapman": {"": 3},
    "wfdb_cinc2020": {"": 15},
    "wfdb_cinc2021": {"": 22},
    "wfdb_ptbdb": {"": 1},
    "wfdb_ptbxl100": {"": 10},
    "wfdb_ptbxl500": {"": 300, "unknown-format": 4},
}
#: Findings that say something about a signal, where they are true.
NOTED = {
    "dicom/Refactoring+ECGToolkit/Example.dcm": "padding-ambiguous",
    "scp/RigacciOrg+ecg-contec/0000050.ECG.scp": "fewer-samples-than-declared",
    **{
        f"philips_xml/sixlettervariables+sierra-ecg-tools/{name}": "fill-cut"
        for name in (
            "129DYPRG.XML",
            "ad4d3d80-d165_1-04_converted.xml",
            "ad4d3d80-d165_1-04_orig.xml",
            "repbeats_example.xml",
        )
    },
}
_UNREMARKABLE = {"acquisition-time-missing", "header-malformed"}


def outcomes(folder: Path, context: ReadingContext) -> Iterator[tuple[str, str, set[str]]]:
    """(path, refusal code or "", findings about the signal) for each payload of a folder."""
    for path in find(folder):
        name = str(path.relative_to(folder.parent))
        try:
            (ecg,) = read(load(path), context).ecgs
        except PayloadError as error:
            yield name, error.code, set()
            continue
        assert ecg.signal.shape[0] == 12
        assert np.isfinite(ecg.signal).any()
        yield name, "", {finding.code for finding in ecg.findings} - _UNREMARKABLE


@pytest.mark.parametrize("folder", EXPECTED)
def test_every_file(corpus: Corpus, context: ReadingContext, folder: str) -> None:
    found = list(outcomes(corpus(folder), context))
    assert Counter(code for _, code, _ in found) == EXPECTED[folder]
    assert {name: "".join(findings) for name, _, findings in found if findings} == {
        name: code for name, code in NOTED.items() if name.startswith(f"{folder}/")
    }
