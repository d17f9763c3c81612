"""Errors of the product, sorted by what the operator must do.

ClinicalError
├── SettingsError      mend the settings file
├── StoreError
│   ├── StoreUnavailable   the database does not answer: nothing was accepted; senders will repeat
│   ├── StoreTooNew        the store was written by a newer version: upgrade the program
│   ├── StoreNotReady      the store is empty or older: run `ecgfm-clinical migrate`
│   ├── NotFound           no such ECG, message or model in the store
│   └── LeaseLost          another worker took the work over: its result stands, this one's is dropped
├── ModelError         the model bundle is missing, damaged or not the one the store names
├── DeviceFailed       the GPU failed, not the ECGs: they wait in their queue; the message says what to look at
├── PreparationLost    the process that prepared an ECG was killed, or hung and was ended: tried again, then failed
├── LearningError      the outcomes at hand cannot teach or judge a head: collect more, or widen the rules
│   └── GateRefused        the candidate may not be promoted: the message lists the rules that do not hold
├── MissingExtra       a library that an extra of the package brings is not installed: the message names the command
└── InputError         a file or argument given on the command line cannot be used

Every message names the thing, the cause and the next step, and never a patient.
"""


class ClinicalError(Exception):
    """Base of every error that the product raises on purpose."""


class SettingsError(ClinicalError):
    """The settings cannot be used as they are."""


class StoreError(ClinicalError):
    """The staging store cannot do what was asked."""


class StoreUnavailable(StoreError):
    """The database does not answer, or its disk is full: nothing was accepted, try later."""


class StoreTooNew(StoreError):
    """The store was written by a newer version of this program."""


class StoreNotReady(StoreError):
    """The store has no schema yet, or an older one."""


class NotFound(StoreError):
    """The store holds no such thing."""


class PageStale(StoreError):
    """The page of a message was drawn for somebody else than the message speaks of by now: draw it again."""


class LeaseLost(StoreError):
    """The job or message is no longer held by this worker; what it found is dropped."""


class ModelError(ClinicalError):
    """The model bundle cannot be used."""


class DeviceFailed(ClinicalError):
    """The device that computes the model failed; what it was given is back in its queue, as if never taken."""


class PreparationLost(ClinicalError):
    """The process that prepared an ECG was killed, or hung and was ended."""


class LearningError(ClinicalError):
    """The data at hand cannot teach or judge a head."""


class GateRefused(LearningError):
    """The candidate may not be promoted."""


class MissingExtra(ClinicalError):
    """A library that an extra of the package brings is not installed."""


class InputError(ClinicalError):
    """Something named on the command line cannot be used."""
