"""Stateless scoring of files, for research: no store, no messages, the same numbers that the service gives."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfm.predictor import Prediction
from ecgfm.records import Record
from ecgfm_clinical.ecg.evaluability import signal_reasons
from ecgfm_clinical.errors import InputError
from ecgfm_clinical.files.reading import read_ecgs
from ecgfm_clinical.settings import Settings
from ecgfm_connectors.ecg import Ecg

if TYPE_CHECKING:
    from ecgfm.predictor import Predictor


def predict_files(
    paths: Sequence[Path], predictor: "Predictor", settings: Settings | None = None
) -> Iterator[dict[str, Any]]:
    """One document per ECG in `paths`, in order; a file that cannot be read gives a document with its error.

    Quality reasons stand beside the numbers instead of replacing them: a researcher decides what to leave out. Only
    what the network cannot take at all (a missing or constant lead, less than 5 s) has no numbers.
    """
    for path in paths:
        try:
            ecgs = read_ecgs(path, settings)
        except InputError as error:
            yield {"file": str(path), "error": str(error)}
            continue
        records = [Record(signal=ecg.signal, sampling_rate=ecg.sampling_rate) for ecg in ecgs]
        for ecg, prediction in zip(ecgs, predictor.predict(records), strict=True):
            yield _document(path, ecg, prediction)


def _document(path: Path, ecg: Ecg, prediction: Prediction) -> dict[str, Any]:
    return {
        "file": str(path),
        "format": ecg.format,
        "sampling_rate": ecg.sampling_rate,
        "duration_seconds": round(ecg.duration, 3),
        "segments": prediction.segments,
        "model_id": prediction.model_id,
        "preprocessing": prediction.preprocessing,
        "runtime": prediction.runtime,
        "input_digest": prediction.input_digest,
        "not_scored": list(prediction.reasons),
        "quality": [{"code": reason.code, "text": reason.text} for reason in signal_reasons(ecg)],
        "findings": [{"code": finding.code, "text": finding.text} for finding in ecg.findings],
        "heads": [
            {
                "head": one.head,
                "label": one.label,
                "probability": one.probability,
                "logit": one.logit,
                "segment_probabilities": list(one.segment_probabilities),
                "threshold": one.threshold,
            }
            for one in prediction.heads
        ],
    }


def document_text(found: dict[str, Any]) -> str:
    """One document for people."""
    if "error" in found:
        return f"{found['error']}\n"
    notes = [*found["not_scored"], *(one["code"] for one in (*found["quality"], *found["findings"]))]
    lines = [f"{found['file']}  {found['segments']} segments{'  ' + ', '.join(dict.fromkeys(notes)) if notes else ''}"]
    lines += [
        f"  {one['head']:15} {one['label']:45} p {one['probability']:.4f}  logit {one['logit']:+.3f}"
        for one in found["heads"]
    ]
    return "\n".join(lines) + "\n"
