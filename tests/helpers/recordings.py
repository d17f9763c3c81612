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


def write_different(folder: Path, count: int) -> Path:
    """So many ECGs, no two alike, some of which the live path's rules keep from a head."""
    folder.mkdir()
    for number in range(count):
        ecg = make_ecg(number)
        content = dicom_writer.write_ecg(make_ecg(number, ecg.signal * (1 + number / 1000)))
        (folder / f"{number:03}.dcm").write_bytes(content)
    return folder
