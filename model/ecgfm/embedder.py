"""`EcgFmEmbedder`: pooled ECG-FM embeddings as a scikit-learn transformer, for pipelines, searches and `clone`."""

from functools import lru_cache
from typing import Any, Self  # Any: what scikit-learn hands over

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ecgfm.predictor import Predictor
from ecgfm.records import Record
from ecgfm.signal import LEADS


class EcgFmEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """ECGs -> (n, width) float32: the mean of each ECG's segment embeddings, as `Predictor.embed` gives them.

    `X` is (n, 12, samples) in mV, rows in the order of `ecgfm.signal.LEADS`, or the same as (n, 12 * samples), lead
    after lead, as estimators that know tables alone pass it on. `fit` learns nothing: it opens the bundle and notes the
    length. Fitted: `model_id_`, `n_features_in_`. The weights are no part of the object; where it is unpickled, the
    bundle must be there, and be the same.

    `model`: a bundle folder, or `demo`. `unscorable`: what `transform` does with an ECG that the network cannot take
    (`too-short`, `nan-lead`, `constant-lead`): `raise` a ValueError that counts them, or give a row of `nan`.
    """

    def __init__(
        self,
        model: str = "demo",
        *,
        sampling_rate: float = 500.0,
        device: str = "auto",
        unscorable: str = "raise",
    ) -> None:
        self.model = model
        self.sampling_rate = sampling_rate
        self.device = device
        self.unscorable = unscorable

    def fit(self, X: Any, y: Any = None) -> Self:
        """Open the bundle and note what an ECG looks like. Raises ValueError, BundleError."""
        if self.unscorable not in ("raise", "nan"):
            raise ValueError(f"unscorable is 'raise' or 'nan', not {self.unscorable!r}")
        self._signals(self._checked(X, reset=True))
        predictor = _opened(self.model, self.device)
        self.model_id_ = predictor.model_id
        self._n_features_out = predictor.width
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """(n, width). Raises ValueError where an ECG cannot be embedded, or the bundle is another than when fitted."""
        check_is_fitted(self)
        signals = self._signals(self._checked(X, reset=False))
        predictor = _opened(self.model, self.device)
        if predictor.model_id != self.model_id_:
            raise ValueError(f"{self.model} holds another model than the one that was fitted; fit again")
        records = [Record(signal=one, sampling_rate=self.sampling_rate) for one in signals]
        return self._rows(predictor.embed(records))

    def _checked(self, X: Any, *, reset: bool) -> NDArray[np.floating[Any]]:
        """(n, 12 * samples) of numbers."""
        shape: tuple[int, ...] = np.shape(X) if getattr(X, "ndim", 2) == 3 or isinstance(X, list) else ()
        if len(shape) == 3:
            if shape[1] != len(LEADS):
                raise ValueError(f"ECGs are (n, 12, samples), not {shape}")
            X = np.reshape(X, (shape[0], -1))
        finite = self.unscorable == "raise"
        found: NDArray[np.floating[Any]] = validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=finite
        )
        return found

    def _signals(self, X: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """(n, 12 * samples) -> (n, 12, samples). Raises ValueError."""
        if X.shape[1] % len(LEADS):
            raise ValueError(f"an ECG is twelve leads of as many samples each, not {X.shape[1]} numbers")
        return X.reshape(len(X), len(LEADS), -1)

    def _rows(self, found: list[NDArray[np.float32] | None]) -> NDArray[np.float32]:
        without = [place for place, row in enumerate(found) if row is None]
        if without and self.unscorable == "raise":
            named = ", ".join(map(str, without[:5])) + (" …" if len(without) > 5 else "")
            raise ValueError(
                f"{len(without)} of {len(found)} ECGs cannot be embedded (rows {named}): "
                "shorter than 5 s, or a lead is constant; leave them out, or set unscorable='nan'"
            )
        nothing = np.full(self._n_features_out, np.nan, np.float32)
        return np.stack([nothing if row is None else row for row in found])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.unscorable == "nan"
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.requires_fit = True
        return tags


@lru_cache(maxsize=2)
def _opened(model: str, device: str) -> Predictor:
    """Opened once a process: clones of a pipeline share it."""
    return Predictor.from_bundle(model, runtime="torch", device=device)
