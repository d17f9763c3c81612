"""Whether a folder holds a data set as it was published: what is there, what is missing, and what it says."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ecgfm.datasets.entry import DataSet, Entry
from ecgfm.errors import DataError
from ecgfm.recording_files import RecordingFolder
from ecgfm.signal import SEGMENT_SECONDS

TRIED = 5  #: recordings that are read from beginning to end
NAMED = 3  #: of the missing ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A data set in numbers; no patient is named."""

    name: str
    recordings: int
    patients: int
    missing: int  #: recordings that the tables name and the folder lacks
    missing_named: tuple[str, ...]
    splits: dict[str, int]  #: official split -> recordings; empty name where there is none
    positives: dict[str, int]  #: label -> recordings
    unknown: dict[str, int]  #: label -> recordings of which the data set does not say
    in_two_splits: int  #: patients
    problems: tuple[str, ...] = field(default=())  #: of the recordings that were read

    @property
    def good(self) -> bool:
        """Whether anything can be done with the folder as it is: some recordings, none in two splits or unreadable."""
        return self.recordings > self.missing and not self.in_two_splits and not self.problems


def check(data_set: DataSet, folder: Path) -> Checked:
    """Goes through all tables, and reads the first recordings. Raises DataError where a file or column is missing."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; {data_set.name} comes from {data_set.url}")
    splits, positives, unknown = Counter[str](), Counter[str](), Counter[str]()
    patients: dict[str, str] = {}
    torn: set[str] = set()
    missing: list[str] = []
    problems: list[str] = []
    recordings = tried = 0
    for entry in data_set.entries(folder):
        recordings += 1
        splits[entry.split] += 1
        for label, value in entry.labels.items():
            positives[label] += value == 1
            unknown[label] += value is None
        if patients.setdefault(entry.patient, entry.split) != entry.split:
            torn.add(entry.patient)
        if not _lies(folder, entry.recording):
            missing.append(entry.recording)
        elif tried < TRIED:
            tried += 1
            problems += _tried(folder, entry)
    return Checked(
        name=data_set.name,
        recordings=recordings,
        patients=len(patients),
        missing=len(missing),
        missing_named=tuple(missing[:NAMED]),
        splits=dict(splits),
        positives=dict(positives),
        unknown={label: count for label, count in unknown.items() if count},
        in_two_splits=len(torn),
        problems=tuple(problems),
    )


def _lies(folder: Path, recording: str) -> bool:
    path = folder / recording.partition("#")[0]
    return path.is_file() or path.with_name(path.name + ".hea").is_file()


def _tried(folder: Path, entry: Entry) -> list[str]:
    try:
        found = RecordingFolder(root=folder).read(entry.recording)
    except DataError as error:
        return [str(error)]
    seconds = found.signal.shape[1] / found.sampling_rate
    return [f"{entry.recording}: {seconds:.1f} s; at least 5 s are needed"] if seconds < SEGMENT_SECONDS else []
