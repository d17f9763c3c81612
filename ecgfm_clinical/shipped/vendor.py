"""The one real recording at hand without a download: an ECG of a cart, which the pydicom package carries."""

from importlib.util import find_spec
from pathlib import Path


def vendor_recording() -> Path | None:
    """The real ECG of a Mortara ELI 250 (1000 Hz) that the installed pydicom carries for its own tests; None without
    it.

    It is found, not imported: this side of the program does not load pydicom.
    """
    package = find_spec("pydicom")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "data" / "test_files" / "waveform_ecg.dcm"
    return path if path.is_file() else None
