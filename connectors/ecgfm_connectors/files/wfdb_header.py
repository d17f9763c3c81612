"""Parse a WFDB header (`.hea`, WFDB Applications Guide header(5)), tolerant of the slips that published sets
contain.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from ecgfm_connectors.errors import Refused, Unreadable

_MAX_SIGNALS = 512
_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_GAIN = re.compile(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)(?:\(([-+]?\d+)\))?(?:/(\S+))?")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6})\d*)?)?")
#: Words for a beat computed from many, in the record's name or a comment.
_MEDIAN = re.compile(r"\b(?:medians?|median ?beats?|(?:average|representative|template) ?beats?)\b", re.IGNORECASE)
_DATE_FORMATS = ("%d/%m/%Y", "%d-%b-%Y")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalLine:
    """One signal as its header line describes it; defaults are those of header(5)."""

    file_name: str
    format: int
    samples_per_frame: int = 1
    skew: int = 0  #: samples
    byte_offset: int = 0
    gain: float = 0.0  #: ADC units per physical unit; 0 = uncalibrated
    baseline: int = 0  #: ADC value of 0 physical units
    unit: str = "mV"
    checksum: int | None = None  #: 16-bit sum of the samples
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A single-segment WFDB header."""

    record: str
    sampling_rate: float  #: Hz
    samples: int | None  #: per signal; None where the header leaves it to the file's length
    recorded: datetime | None  #: naive, as written
    date_before_time: bool  #: the two are swapped, which the `wfdb` package refuses in some forms
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]


def parse_header(content: bytes) -> Header:
    """The header.

    Raises Unreadable `wfdb-header` with what is wrong in it; Refused: `only-derived` (a median beat), `wfdb-format`
    (several segments).
    """
    lines = content.decode("utf-8", errors="replace").splitlines()
    comments = tuple(line.strip().lstrip("#").strip() for line in lines if line.lstrip().startswith("#"))
    described = [line.partition("#")[0].split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not described or len(described[0]) < 2:
        raise Unreadable("wfdb-header", "no record line")
    words = described[0]
    folder, name, segments = _record(words[0])
    count = _integer(words[1], "number of signals")
    if segments:
        raise Refused("wfdb-format", f"a multi-segment record of {segments} segments; hand over its segments")
    if not 0 < count <= _MAX_SIGNALS or len(described) - 1 < count:
        raise Unreadable("wfdb-header", f"{count} signals announced, {len(described) - 1} described")
    recorded, swapped = _recorded(words[4:6])
    _refuse_median(name, comments)
    return Header(
        record=name,
        sampling_rate=_sampling_rate(words[2] if len(words) > 2 else "250"),
        samples=_integer(words[3], "number of samples") if len(words) > 3 else None,
        recorded=recorded,
        date_before_time=swapped,
        signals=tuple(_signal(line, folder) for line in described[1 : count + 1]),
        comments=comments,
    )


def _record(word: str) -> tuple[str, str, int]:
    """Folder (with its slash), name and number of segments of the record: `r`, `r/12` (segments), `folder/r`."""
    name, _, segments = word.partition("/")
    if segments.isdigit():
        return "", name, int(segments)
    folder, slash, name = word.rpartition("/")
    return folder + slash, name, 0


def _refuse_median(name: str, comments: tuple[str, ...]) -> None:
    """Raises Refused `only-derived` where record or comment say that the samples are no recording."""
    if any(_MEDIAN.search(text.replace("_", " ")) for text in (name, *comments)):
        raise Refused("only-derived", "a median beat, computed from a recording; hand over the recording itself")


def _integer(word: str, what: str) -> int:
    if not re.fullmatch(r"[-+]?\d{1,18}", word):
        raise Unreadable("wfdb-header", f"the {what} is no whole number")
    return int(word)


def _sampling_rate(word: str) -> float:
    """`500`, `500/1000(0)`: the sampling frequency comes first, then counter frequency and base."""
    try:
        rate = float(word.split("/")[0])
    except ValueError as error:
        raise Unreadable("wfdb-header", "the sampling frequency is no number") from error
    if not 0 < rate < 1e9:
        raise Unreadable("wfdb-header", "the sampling frequency is not positive")
    return rate


def _recorded(words: list[str]) -> tuple[datetime | None, bool]:
    """Base time and base date, in this order by the guide, in the other one in some published sets."""
    if not words:
        return None, False
    swapped = _TIME.fullmatch(words[0]) is None
    time = _TIME.fullmatch(words[-1 if swapped else 0])
    day = words[0] if swapped else words[1] if len(words) > 1 else ""
    if time is None:
        return None, swapped
    for form in _DATE_FORMATS:
        try:
            date = datetime.strptime(day, form)  # noqa: DTZ007 - the header knows no zone; the site's is added later
            micro = int((time[4] or "0").ljust(6, "0"))
            return date.replace(
                hour=int(time[1]), minute=int(time[2]), second=int(time[3] or 0), microsecond=micro
            ), swapped
        except ValueError:
            continue
    return None, swapped


def _signal(words: list[str], folder: str) -> SignalLine:
    """`folder` is that of the record's own name: programs that write from a parent folder put it before each file."""
    form = _FORMAT.fullmatch(words[1]) if len(words) > 1 else None
    if form is None:
        raise Unreadable("wfdb-header", "a signal line has no storage format")
    file_name = words[0].removeprefix(folder)
    if "/" in file_name or "\\" in file_name or file_name in ("", ".", "..", "-", "~"):
        raise Unreadable("wfdb-header", "a signal file is named by a path; it must lie beside its header")
    gain, baseline, unit = _gain(words[2] if len(words) > 2 else "")
    zero = _integer(words[4], "ADC zero") if len(words) > 4 else 0
    return SignalLine(
        file_name=file_name,
        format=int(form[1]),
        samples_per_frame=int(form[2] or 1),
        skew=int(form[3] or 0),
        byte_offset=int(form[4] or 0),
        gain=gain,
        baseline=zero if baseline is None else baseline,
        unit=unit,
        checksum=_integer(words[6], "checksum") if len(words) > 6 else None,
        label=" ".join(words[8:]),
    )


def _gain(word: str) -> tuple[float, int | None, str]:
    match = _GAIN.fullmatch(word)
    if match is None:
        return 0.0, None, "mV"
    try:
        gain = float(match[1])
    except ValueError as error:
        raise Unreadable("wfdb-header", "a gain is no number") from error
    return gain, int(match[2]) if match[2] else None, match[3] or "mV"
