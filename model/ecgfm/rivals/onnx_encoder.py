"""Any other encoder as an ONNX file: its embeddings under the same linear probe that a head is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import RuntimeUnavailable
from ecgfm.finetuning.dataset import Example, Reader, Segments, read_segments
from ecgfm.finetuning.embedding import Embedding
from ecgfm.signal import PREPROCESSING


class OnnxEncoder:
    """An encoder that takes segments (B, 12, 2500), z-scored, 500 Hz, float32, and whose first output is an embedding
    (B, width), or frames (B, frames, width), of which the mean is taken.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        """Raises RuntimeUnavailable where the file is no such encoder; `threads`: 0 leaves it to ONNX Runtime."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own errors share no base class
            raise RuntimeUnavailable(f"{path} cannot be opened as an ONNX model: {error}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 3:
            raise RuntimeUnavailable(
                f"{path} is no encoder of ECG segments: it must take one input (batch, 12, 2500) and takes "
                f"{', '.join(f'{one.name} {one.shape}' for one in inputs)}; export the encoder alone"
            )
        self._path, self._input, self._output = path, inputs[0].name, self._session.get_outputs()[0].name

    def embed(self, examples: Sequence[Example], read: Reader) -> list[Embedding]:
        """Per example (segments, width). Raises RuntimeUnavailable where the encoder refuses the segments."""
        return [self._rows(read_segments(read, PREPROCESSING, example)) for example in examples]

    def _rows(self, segments: Segments) -> Embedding:
        rows = []
        for one in segments:  # one at a time: an export may have fixed its batch at 1
            try:
                (found,) = self._session.run([self._output], {self._input: np.ascontiguousarray(one[None])})
            except Exception as error:
                raise RuntimeUnavailable(f"{self._path} refuses segments (1, 12, 2500) float32: {error}") from error
            rows.append(_pooled(np.asarray(found, np.float32), self._path))
        return np.stack(rows)


def _pooled(found: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    if found.ndim not in (2, 3) or not np.isfinite(found).all():
        raise RuntimeUnavailable(
            f"the first output of {path} has the shape {found.shape} or is not finite; it must be (1, width) or "
            "(1, frames, width)"
        )
    return np.asarray(found[0] if found.ndim == 2 else found[0].mean(axis=0))
