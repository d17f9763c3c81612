"""What `explain` says of each ECG: weights over time, in a table, or as a picture of the ECG on paper.

The columns of a table, in this order; every ECG is one row, and so is a file that could not be read.

    file, ecg, input_digest     as in `answers`
    not_scored, error           why there is no saliency
    most_at                     s from the start of the recording, where the weight is first 1; attention is scaled
                                segment by segment, so that each segment has such a place
    saliency                    0 to 1, 500 a second from the start of the recording, whole segments only; float32
    lead_shares                 gradient alone: each lead's share of all weight, in the order of `LEADS`
    beats_at                    gradient alone: s from the start of the recording, the R peak of each beat found
    beat_shares                 gradient alone: each beat's share of all weight (`ecg.beat_weights`)
    beat_lead_shares            gradient alone: the same by lead, beat after beat, twelve numbers each

In JSON lines the weights have four decimals, and beats are objects. Method and label stand in the metadata of a Parquet
file as `question`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgfm.explain import STEPS, Explainer, Saliency
from ecgfm.feeding import Prepared
from ecgfm.signal import SAMPLING_RATE
from ecgfm_clinical.ecg.beat_weights import NOT_SHOWN, BeatWeight, beat_weights, lead_shares
from ecgfm_clinical.ecg.overlays import LeadWeights
from ecgfm_clinical.ecg.paper import draw
from ecgfm_clinical.files.answers import Answer, Kind, Origin
from ecgfm_clinical.files.outputs import written
from ecgfm_clinical.files.preparing import Found
from ecgfm_clinical.files.reading import name_of
from ecgfm_clinical.files.streaming import Ask, answer_of
from ecgfm_connectors.ecg import LEADS

EXPLAINED: tuple[tuple[str, Kind], ...] = (
    ("file", "text"),
    ("ecg", "integer"),
    ("input_digest", "text"),
    ("not_scored", "text"),
    ("error", "text"),
    ("most_at", "real"),
    ("saliency", "vector"),
    ("lead_shares", "vector"),
    ("beats_at", "vector"),
    ("beat_shares", "vector"),
    ("beat_lead_shares", "vector"),
)
#: As the width of a table's vector: the weights are as many as the recording is long.
ANY_LENGTH = -1


def saliencies_of(explainer: Explainer) -> Ask:
    """Asks where in each ECG the network looked."""

    def ask(records: Iterable[Prepared[Found]]) -> Iterator[Answer]:
        for one, found in explainer.saliencies(records, _samples):
            error = found if isinstance(found, Exception) else None
            yield answer_of(one, error, saliency=found if isinstance(found, Saliency) else None)

    return ask


def _samples(found: Found) -> int:
    """At 500 Hz."""
    return int(found.samples * SAMPLING_RATE / found.sampling_rate)


def explained_row(answer: Answer) -> Mapping[str, object]:
    """Column -> value."""
    saliency = answer.saliency
    return {
        "file": answer.found.file,
        "ecg": answer.found.ecg,
        "input_digest": answer.input_digest,
        "not_scored": ";".join(answer.not_scored),
        "error": answer.error,
        "most_at": None if saliency is None else most_at(saliency),
        "saliency": None if saliency is None else saliency.weights.astype(np.float32),
        **_numbers(answer),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A gradient's map of one ECG, lead by lead and beat by beat."""

    weights: LeadWeights
    beats: tuple[BeatWeight, ...]


def looked_of(answer: Answer) -> Looked | None:
    """None where the method knows no leads. The answer carries its samples."""
    if answer.saliency is None or answer.saliency.leads is None:
        return None
    assert answer.found.signal is not None
    weights = LeadWeights(weights=answer.saliency.leads.weights, per_second=STEPS)
    return Looked(weights=weights, beats=beat_weights(answer.found.signal, answer.found.sampling_rate, weights))


def _numbers(answer: Answer) -> Mapping[str, object]:
    looked = looked_of(answer)
    if looked is None:
        return {}
    return {
        "lead_shares": np.array(lead_shares(looked.weights), np.float32),
        "beats_at": np.array([one.at for one in looked.beats], np.float32),
        "beat_shares": np.array([one.share for one in looked.beats], np.float32),
        "beat_lead_shares": np.array([one.leads for one in looked.beats], np.float32).ravel(),
    }


def explained_document(answer: Answer, origin: Origin) -> dict[str, object]:
    """One ECG's saliency as JSON."""
    if answer.error:
        return {"file": answer.found.file, "error": answer.error}
    saliency = answer.saliency
    return {
        "file": answer.found.file,
        "ecg": answer.found.ecg,
        **origin.words,
        "input_digest": answer.input_digest,
        "not_scored": list(answer.not_scored),
        "most_at": None if saliency is None else most_at(saliency),
        "saliency": None if saliency is None else np.round(saliency.weights, 4).tolist(),
        **_said(answer),
    }


def _said(answer: Answer) -> dict[str, object]:
    looked = looked_of(answer)
    if looked is None:
        return {"lead_shares": None, "beats": None, "not_shown": None}
    return {
        "lead_shares": _by_name(lead_shares(looked.weights)),
        "beats": [
            {"at": round(one.at, 3), "share": round(one.share, 4), "leads": _by_name(one.leads)} for one in looked.beats
        ],
        "not_shown": NOT_SHOWN,
    }


def _by_name(shares: Sequence[float]) -> dict[str, float]:
    return {lead: round(one, 4) for lead, one in zip(LEADS, shares, strict=True)}


def most_at(saliency: Saliency) -> float:
    """Seconds from the start of the recording; the first such place."""
    return float(saliency.seconds[saliency.weights.argmax()])


def _places(saliency: Saliency) -> str:
    """Where the weight is 1: one place for a label's gradient, one in each segment for attention."""
    largest = np.flatnonzero(saliency.weights >= 1)
    apart = largest[np.diff(largest, prepend=-SAMPLING_RATE) > SAMPLING_RATE // 10]
    return " and ".join(f"{saliency.seconds[at]:.2f} s" for at in apart.tolist())


def _most(looked: Looked | None) -> str:
    """The lead and the beat with the largest share, and what shares do not show; nothing of attention."""
    if looked is None:
        return ""
    shares, beats = lead_shares(looked.weights), looked.beats
    largest = max(range(len(LEADS)), key=lambda lead: shares[lead])
    words = f"; most in {LEADS[largest]} ({shares[largest]:.0%})"
    if beats:
        beat = max(beats, key=lambda one: one.share)
        words += f" and in the beat at {beat.at:.2f} s ({beat.share:.0%})"
    return f"{words}. {NOT_SHOWN}"


#: Where the picture of a file's ECG lies, by their name and number; None where none is wanted.
Place = Callable[[str, int], Path | None]


class Pictures:
    """A picture of each ECG that was explained, each of them whole."""

    def __init__(self, place: Place, *, subtitle: str, files: Iterable[Path]) -> None:
        """`files`: those whose pictures are not made again where they lie there.

        A file's first picture is written last: where it lies, the others do.
        """
        self._place = place
        self._subtitle = subtitle
        self.done = frozenset(name for name in map(name_of, files) if _lies(place(name, 0)))
        self.words = ""  #: of the last picture
        self.missing = ""  #: why the last file has none

    def add(self, answers: Sequence[Answer]) -> None:
        first = answers[0]
        self.missing = first.error or f"{first.found.file}: cannot be scored: {', '.join(first.not_scored)}"
        for one in reversed(answers):
            path = self._place(one.found.file, one.found.ecg)
            if path is not None and one.saliency is not None:
                looked = looked_of(one)
                self._draw(one, path, looked)
                self.words = f"{self._subtitle}; looked most at {_places(one.saliency)}{_most(looked)}"

    def _draw(self, answer: Answer, path: Path, looked: Looked | None) -> None:
        found, saliency = answer.found, answer.saliency
        assert found.signal is not None
        assert saliency is not None
        hidden = path.with_name(f".{path.name}.part")
        with written(path):
            try:
                draw(
                    found.signal,
                    found.sampling_rate,
                    hidden,
                    title=Path(found.file).name,
                    subtitle=self._subtitle,
                    shading=None if looked else saliency.at(found.samples, found.sampling_rate),
                    looked=looked.weights if looked else None,
                    beats=looked.beats if looked else (),
                )
                hidden.replace(path)
            except OSError:
                with suppress(OSError):
                    hidden.unlink()
                raise

    def close(self) -> None:
        """Nothing is held back."""


def _lies(path: Path | None) -> bool:
    return path is not None and path.exists()


def only_picture(path: Path) -> Place:
    """One picture, of a file's first ECG."""
    return lambda _, ecg: path if ecg == 0 else None


def named_pictures(folder: Path, origin: Origin) -> Place:
    """Pictures of one folder: two files of one name, and two models, have pictures of their own."""

    def place(file: str, ecg: int) -> Path:
        about = "\n".join([file, str(ecg), *origin.words.values()])
        digest = hashlib.sha256(about.encode()).hexdigest()[:12]
        return folder / f"{Path(file).stem[:50]}-{ecg}-{digest}.png"

    return place
