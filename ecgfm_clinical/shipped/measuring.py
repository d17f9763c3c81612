"""The ECGs that come with the package, on which a runtime is measured that meets a model for the first time."""

from ecgfm.records import Record, Recordings
from ecgfm_clinical.files.reading import read_ecgs
from ecgfm_clinical.shipped import recordings
from ecgfm_clinical.shipped.vendor import vendor_recording

GENERATED = 11  #: of the demo's recordings: with the real one, a few seconds at ECG-FM's published size


def shipped_recordings() -> Recordings:
    """The real recording that pydicom carries, and some of the generated ones of the demo.

    One real recording is little: `ecgfm-clinical model prepare BUNDLE ECGS… --runtime NAME` measures on a site's own
    ECGs.
    """
    found = [
        Record(signal=recordings.load(index).astype("float32"), sampling_rate=recordings.SAMPLING_RATE)
        for index in range(GENERATED)
    ]
    about = f"the demo's generated recordings 0 to {GENERATED - 1}"
    path = vendor_recording()
    if path is not None:  # some packagers leave pydicom's test files out
        found += [Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate) for ecg in read_ecgs(path)]
        about += f" and the real ECG of a Mortara ELI 250 that pydicom carries ({path.name})"
    return Recordings(records=tuple(found), about=about)
