"""Fixtures of the hospital side: a reading context, a made-up ECG, and the folder of real recordings where
there is one.
"""

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.reading import read
from ecgfm_connectors.testing.samples import sample_ecg

_CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"


@pytest.fixture
def context() -> ReadingContext:
    """A site in Berlin whose own assigning authority is SITE."""
    return ReadingContext(default_authority="SITE", zone=ZoneInfo("Europe/Berlin"))


@pytest.fixture
def ecg() -> Ecg:
    """Ten seconds at 500 Hz, in steps of 5 µV."""
    return sample_ecg()


@pytest.fixture
def read_one(context: ReadingContext) -> Callable[[bytes], Ecg]:
    """The single ECG of a payload."""

    def read_one(content: bytes) -> Ecg:
        (found,) = read(content, context).ecgs
        return found

    return read_one


@pytest.fixture
def corpus() -> Callable[[str], Path]:
    """A real recording by its path below the corpus; skips where it is not on this machine."""

    def corpus(path: str) -> Path:
        found = _CORPUS / path
        if not found.exists():
            pytest.skip(f"the recording {path} is not on this machine (it may not be redistributed with the tests)")
        return found

    return corpus
