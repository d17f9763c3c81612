"""The data sets whose official layouts are known, by the names of the command line."""

from ecgfm.datasets.challenge import CHALLENGE
from ecgfm.datasets.chapman import CHAPMAN
from ecgfm.datasets.code15 import CODE_15
from ecgfm.datasets.echonext import ECHONEXT
from ecgfm.datasets.entry import DataSet
from ecgfm.datasets.mimic_iv_ecg import MIMIC_IV_ECG
from ecgfm.datasets.ptb_xl import PTB_XL
from ecgfm.errors import DataError

DATA_SETS: tuple[DataSet, ...] = (PTB_XL, MIMIC_IV_ECG, ECHONEXT, CODE_15, CHAPMAN, CHALLENGE)


def find(name: str) -> DataSet:
    """Raises DataError for a name that is not known."""
    for one in DATA_SETS:
        if one.name == name:
            return one
    raise DataError(f"no data set {name!r}; known are {', '.join(one.name for one in DATA_SETS)}")
