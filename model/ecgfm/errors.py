"""What can go wrong with a model or a signal, sorted by what the user must do.

EcgFmError
├── CheckpointError          the file named as a model cannot be used: look at the file
│   ├── UnsafeCheckpoint         its pickle names code outside the allow-list; nothing of it was executed
│   └── UnknownArchitecture      sizes, attention heads or norm placement are missing or contradict the tensors
├── BundleError              a bundle folder is missing, damaged, altered or of a newer format
├── SignalError              a signal has the wrong shape, unit or rate
├── DataError                training data cannot be used as named: folder empty, unreadable files, damaged shards
│   └── RecordingError           one recording cannot be read; it is counted, listed and skipped up to a limit
├── RecipeError              a training recipe names what does not exist or contradicts itself: mend the TOML file
├── TrainingError            training cannot start or go on: another recipe, other data, a missing optional library
├── NoHead                   the model has no head, or none of that name: train or import one
├── RuntimeUnavailable       a runtime's library or device is not on this machine: install it or choose another
├── DeviceError              the GPU failed, not the ECG: the work goes back to its queue
│   ├── DeviceMemory             it has too little free memory: smaller calls, or fewer other programs
│   └── DeviceLost               it does not answer any more: the process must be started again
└── RuntimeTooInexact        a runtime changes a probability by more than its limit: choose another

Every message names the file or thing, the cause and the next step.
"""


class EcgFmError(Exception):
    """Base of every error that this package raises on purpose."""


class CheckpointError(EcgFmError):
    """The checkpoint file cannot be used."""


class UnsafeCheckpoint(CheckpointError):
    """The checkpoint's pickle names code that no checkpoint needs; nothing of it was executed."""


class UnknownArchitecture(CheckpointError):
    """The checkpoint does not say what network its tensors belong to."""


class BundleError(EcgFmError):
    """The bundle folder cannot be used."""


class SignalError(EcgFmError):
    """The signal cannot be prepared for the model."""


class DataError(EcgFmError):
    """The training data cannot be used as named."""


class RecordingError(DataError):
    """This one recording cannot be read."""


class RecipeError(EcgFmError):
    """The training recipe cannot be used as written."""


class TrainingError(EcgFmError):
    """Training cannot start or go on."""


class NoHead(EcgFmError):
    """The model has no such head."""


class RuntimeUnavailable(EcgFmError):
    """The runtime cannot run on this machine."""


class DeviceError(EcgFmError):
    """The GPU failed; nothing is said about the ECGs that it was given."""


class DeviceMemory(DeviceError):
    """The GPU has too little free memory."""


class DeviceLost(DeviceError):
    """The GPU does not answer any more."""


class RuntimeTooInexact(EcgFmError):
    """The runtime's probabilities are too far from fp32."""
