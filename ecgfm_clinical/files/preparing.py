"""One ECG file as the network takes it, in whatever process: read, decoded, judged, prepared, or the reason why not."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm.feeding import Prepared, no_segments, prepared
from ecgfm.records import Record
from ecgfm_clinical.ecg.evaluability import Reason, signal_reasons
from ecgfm_clinical.files.pseudonyms import Pseudonyms, pseudonyms_of
from ecgfm_clinical.files.reading import NoRecording, NotRead, context_of, name_of, read_with
from ecgfm_clinical.settings import Settings
from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.ecg import Ecg, Finding

#: What each process of a crew loads once.
MODULES = (__name__, "pydicom", "ecgfm_connectors.dicom.waveform", "ecgfm_connectors.files.wfdb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file to be read."""

    path: Path | str  #: a text is a URL
    named: bool  #: by the user; found in a folder otherwise, where what is no recording is passed over
    context: ReadingContext
    preprocessing: str
    key: bytes = field(default=b"", repr=False)  #: of pseudonyms; without one, none are made
    with_signal: bool = False  #: the answer carries the samples, for who draws them


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of one ECG in a file besides its samples; or why there is none."""

    file: str
    ecg: int = 0  #: which of the file's ECGs, from 0
    last: bool = True  #: of its file
    format: str = ""
    sampling_rate: float = 0.0  #: Hz
    samples: int = 0  #: of a lead
    duration_seconds: float = 0.0
    quality: tuple[Reason, ...] = ()
    findings: tuple[Finding, ...] = ()
    pseudonyms: Pseudonyms | None = None
    error: str = ""  #: why the file could not be read
    code: str = ""  #: the same for machines
    passed_over: bool = False  #: no recording, found beside recordings
    signal: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)  #: (12, samples) mV


def pieces(
    files: Iterable[Path],
    *,
    named: frozenset[Path],
    settings: Settings | None,
    preprocessing: str,
    with_signal: bool = False,
) -> Iterator[Piece]:
    """The files to be read, each with what a process needs to know."""
    context = context_of(settings)
    for path in files:
        yield Piece(
            path=path,
            named=path in named,
            context=context,
            preprocessing=preprocessing,
            with_signal=with_signal,
        )


def prepare_files(several: Sequence[Piece]) -> list[Prepared[Found]]:
    """What `prepare_file` says of each."""
    return [one for piece in several for one in prepare_file(piece)]


def prepare_file(piece: Piece) -> list[Prepared[Found]]:
    """The ECGs of one file, or one answer without segments that says why there are none. Raises nothing."""
    try:
        ecgs = read_with(piece.path, piece.context)
        found = [_prepared(piece, number, ecg) for number, ecg in enumerate(ecgs)]
    except NoRecording as error:
        return [without(piece, error.code, str(error), passed_over=not piece.named)]
    except NotRead as error:
        return [without(piece, error.code, str(error))]
    except Exception as error:  # noqa: BLE001  a file that breaks a reader is told with the others
        return [
            without(piece, "reader-failed", f"{name_of(piece.path)}: cannot be read ({type(error).__name__}: {error})")
        ]
    last = found[-1]
    return [*found[:-1], replace(last, what=replace(last.what, last=True))]


def lost(piece: Piece, became: str) -> list[Prepared[Found]]:
    """The answer for a file that kills or hangs the process that reads it, and what became of that."""
    name = name_of(piece.path)
    reason = f"{name}: the process that read it {became}, again and by itself; is there enough memory for it?"
    return [without(piece, "reader-killed", reason)]


def without(piece: Piece, code: str, error: str, *, passed_over: bool = False) -> Prepared[Found]:
    """A file without an ECG."""
    found = Found(file=name_of(piece.path), error=error, code=code, passed_over=passed_over)
    return Prepared(what=found, segments=no_segments())


def _prepared(piece: Piece, number: int, ecg: Ecg) -> Prepared[Found]:
    what = Found(
        file=name_of(piece.path),
        ecg=number,
        last=False,
        format=ecg.format,
        sampling_rate=ecg.sampling_rate,
        samples=ecg.signal.shape[1],
        duration_seconds=round(ecg.duration, 3),
        quality=signal_reasons(ecg),
        findings=ecg.findings,
        pseudonyms=pseudonyms_of(ecg, piece.key) if piece.key else None,
        signal=ecg.signal if piece.with_signal else None,
    )
    return prepared(what, Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate), piece.preprocessing)
