"""A system of the hospital that drops ECG files into a watched folder, whether anybody takes them or not."""

import threading
from pathlib import Path

from tests.campaign.hospital import dicom_file

NAME = "drop"  #: of the source in the settings
FIRST = 1_000_000  #: numbers of its recordings begin here


class Dropping:
    """A thread that drops one file after the other; each appears whole."""

    def __init__(self, folder: Path, *, pace: float) -> None:
        """`pace`: seconds between two files."""
        self.dropped: list[bytes] = []  #: each must be in the store in the end
        self._folder = folder / NAME
        self._beside = folder / "being-written"
        self._pace = pace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        for one in (self._folder, self._beside):
            one.mkdir()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def left(self) -> int:
        """Files that nobody has taken yet, or that somebody who died had in hand."""
        done = [self._folder / "processed", self._folder / "failed"]
        return sum(path.is_file() for path in self._folder.rglob("*") if not any(one in path.parents for one in done))

    def _run(self) -> None:
        while not self._stop.wait(self._pace):
            number = FIRST + len(self.dropped)
            content = dicom_file(number)
            written = self._beside / f"{number}.dcm"
            written.write_bytes(content)
            written.rename(self._folder / written.name)
            self.dropped.append(content)
