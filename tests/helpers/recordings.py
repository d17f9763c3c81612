"""A folder of recordings as a person has one."""

from pathlib import Path

from ecgfm_connectors.testing import dicom_writer
from tests.helpers.fakes import make_ecg

ECGS = 9


def write_recordings(folder: Path) -> Path:
    """Nine ECGs, one of them cut off, among what lies beside recordings."""
    folder.mkdir()
    for number in range(ECGS):
        content = dicom_writer.write_ecg(make_ecg(number))
        (folder / f"{number}.dcm").write_bytes(content[:3000] if number == 4 else content)
    (folder / "LICENSE.txt").write_text("Anybody may do anything.")
    (folder / "thumbnail.dat").write_bytes(b"no recording")
    return folder
