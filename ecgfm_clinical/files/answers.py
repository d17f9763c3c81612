"""What `predict` and `embed` say of each ECG, as a document and as a row of a table; and how often they said what.

The columns of a table, in this order; every ECG is one row, and so is a file that could not be read.

    file, ecg               the file as it was named, and which of its ECGs, from 0
    format, sampling_rate   how it was read; Hz
    duration_seconds        of the whole recording
    segments                5 s segments that the network saw; 0 where it saw none
    input_digest            SHA-256 of signal and rate: `Record.digest`
    not_scored              codes of what keeps the network from it: too-short, nan-lead, constant-lead; joined by `;`
    quality, findings       codes of what is doubtful; they stand beside the numbers and do not replace them
    error                   why the file could not be read
    HEAD.LABEL.probability  of each label, in the order of the model; so .logit and .threshold
    embedding               (`embed` only, instead of the labels) mean over the segments, float32; in CSV a column each

Which model, preparation and runtime gave the numbers stands in the metadata of a Parquet file, and in columns of a CSV.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ecgfm.predictor import Prediction
from ecgfm_clinical.ecg.evaluability import Reason
from ecgfm_clinical.files.preparing import Found
from ecgfm_connectors.ecg import Finding

if TYPE_CHECKING:
    from ecgfm.explain import Saliency

Kind = Literal["text", "integer", "real", "vector"]
Outcome = Literal["scored", "not scored", "unreadable", "passed over"]
OUTCOMES: tuple[Outcome, ...] = ("scored", "not scored", "unreadable", "passed over")
#: Columns that are a recording's own, before those of the model.
OWN: tuple[tuple[str, Kind], ...] = (
    ("file", "text"),
    ("ecg", "integer"),
    ("format", "text"),
    ("sampling_rate", "real"),
    ("duration_seconds", "real"),
    ("segments", "integer"),
    ("input_digest", "text"),
    ("not_scored", "text"),
    ("quality", "text"),
    ("findings", "text"),
    ("error", "text"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which model gave the numbers, and how."""

    model_id: str
    preprocessing: str
    runtime: str
    question: str = ""  #: of a saliency: its method, and the label whose logit it is of

    @property
    def words(self) -> dict[str, str]:
        own = {"model_id": self.model_id, "preprocessing": self.preprocessing, "runtime": self.runtime}
        return own | ({"question": self.question} if self.question else {})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """One ECG and what the network says of it; or a file that gave none."""

    found: Found
    input_digest: str = ""
    not_scored: tuple[str, ...] = ()
    prediction: Prediction | None = None
    embedding: NDArray[np.float32] | None = None
    saliency: "Saliency | None" = None
    error: str = ""
    code: str = ""  #: of the error

    @property
    def outcome(self) -> Outcome:
        if self.found.passed_over:
            return "passed over"
        if self.error:
            return "unreadable"
        return "not scored" if self.not_scored else "scored"


def predicted_document(answer: Answer) -> dict[str, object]:
    """One ECG as JSON."""
    found, prediction = answer.found, answer.prediction
    if prediction is None:
        return {"file": found.file, "error": answer.error}
    return {
        "file": found.file,
        "ecg": found.ecg,
        "format": found.format,
        "sampling_rate": found.sampling_rate,
        "duration_seconds": found.duration_seconds,
        "segments": prediction.segments,
        "model_id": prediction.model_id,
        "preprocessing": prediction.preprocessing,
        "runtime": prediction.runtime,
        "input_digest": prediction.input_digest,
        "not_scored": list(prediction.reasons),
        "quality": _coded(found.quality),
        "findings": _coded(found.findings),
        "heads": [
            {
                "head": one.head,
                "label": one.label,
                "probability": one.probability,
                "logit": one.logit,
                "segment_probabilities": list(one.segment_probabilities),
                "threshold": one.threshold,
                **({} if one.unshifted is None else {"unshifted_probability": one.unshifted}),
            }
            for one in prediction.heads
        ],
    }


def embedded_document(answer: Answer, origin: Origin) -> dict[str, object]:
    """One ECG's embedding as JSON."""
    if answer.error:
        return {"file": answer.found.file, "error": answer.error}
    return {
        "file": answer.found.file,
        "ecg": answer.found.ecg,
        **origin.words,
        "input_digest": answer.input_digest,
        "not_scored": list(answer.not_scored),
        "embedding": None if answer.embedding is None else answer.embedding.tolist(),
    }


def _coded(several: Sequence[Reason | Finding]) -> list[dict[str, str]]:
    return [{"code": one.code, "text": one.text} for one in several]


def predicted_columns(labels: Mapping[str, Sequence[str]]) -> tuple[tuple[str, Kind], ...]:
    """The columns of predictions by a model with these labels."""
    return (*OWN, *((name, "real") for head, own in labels.items() for label in own for name in _names(head, label)))


def _names(head: str, label: str) -> Iterator[str]:
    return (f"{head}.{label}.{what}" for what in ("probability", "logit", "threshold"))


def predicted_row(answer: Answer) -> dict[str, object]:
    """Column -> value; a column that is left out has none."""
    row = _own(answer, answer.prediction.segments if answer.prediction else 0)
    for one in answer.prediction.heads if answer.prediction else ():
        row |= zip(_names(one.head, one.label), (one.probability, one.logit, one.threshold), strict=True)
    return row


def _own(answer: Answer, segments: int) -> dict[str, object]:
    found = answer.found
    return {
        "file": found.file,
        "ecg": found.ecg,
        "format": found.format,
        "sampling_rate": found.sampling_rate or None,
        "duration_seconds": found.duration_seconds or None,
        "segments": segments,
        "input_digest": answer.input_digest,
        "not_scored": ";".join(answer.not_scored),
        "quality": ";".join(one.code for one in found.quality),
        "findings": ";".join(one.code for one in found.findings),
        "error": answer.error,
    }


#: Columns of embeddings, before the embedding.
EMBEDDED: tuple[tuple[str, Kind], ...] = (("file", "text"), ("ecg", "integer"), ("input_digest", "text"))


def embedded_row(answer: Answer) -> dict[str, object]:
    """Column -> value."""
    return {
        "file": answer.found.file,
        "ecg": answer.found.ecg,
        "input_digest": answer.input_digest,
        "embedding": answer.embedding,
    }


def text_of(answer: Answer) -> str:
    """One prediction for people."""
    found, prediction = answer.found, answer.prediction
    if prediction is None:
        return f"{answer.error}\n"
    doubts = (*(one.code for one in found.quality), *(one.code for one in found.findings))
    notes = [*prediction.reasons, *doubts]
    lines = [f"{found.file}  {prediction.segments} segments{'  ' + ', '.join(dict.fromkeys(notes)) if notes else ''}"]
    lines += [
        f"  {one.head:15} {one.label:45} p {one.probability:.4f}  logit {one.logit:+.3f}" for one in prediction.heads
    ]
    return "\n".join(lines) + "\n"
