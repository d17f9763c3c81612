"""The live model and the shadow model, changed while the service runs.

Before each batch the registry is asked which model is live. A promotion takes effect between batches, never inside a
batch, so no ECG is scored by two models. Where the live bundle cannot be opened, jobs wait: no other model scores them.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from ecgfm_clinical import log
from ecgfm_clinical.errors import DeviceFailed, ModelError
from ecgfm_clinical.pipeline.scoring import Scorer
from ecgfm_clinical.staging.model_records import ModelRow
from ecgfm_clinical.staging.records import Score, StagedEcg
from ecgfm_clinical.staging.registry import Registry
from ecgfm_clinical.staging.shadow_answers import ShadowAnswers

DEVICE_ATTEMPTS = 3  #: batches in a row in which the device fails; after them no more work is taken

OpenScorer = Callable[[ModelRow], Scorer]  #: raises ModelError


class LiveScorer:
    """A scorer that follows the registry."""

    def __init__(self, registry: Registry, open_scorer: OpenScorer) -> None:
        self._registry = registry
        self._open = open_scorer
        self._model_id = ""
        self._scorer: Scorer | None = None
        self._device_failures = 0  # batches in a row

    @property
    def opened(self) -> bool:
        """Whether the live model is open."""
        return self._scorer is not None

    def close(self) -> None:
        """End what the scorer has running beside it."""
        if self._scorer is not None:
            self._scorer.close()

    def run_batch(self) -> int:
        """Claim and finish one batch with the model that is live now; 0 where nothing was due or it cannot be
        opened. Raises DeviceFailed: then nothing of the batch was done, and it waits in its queue.
        """
        if self._device_failures >= DEVICE_ATTEMPTS:
            raise DeviceFailed(
                f"the device failed in {DEVICE_ATTEMPTS} batches in a row, so no more are taken; mend it and start the "
                "service again"
            )
        live = self._registry.live()
        assert live is not None, "a model was installed at the start"
        if live.model_id != self._model_id or self._scorer is None:
            self.close()
            self._scorer = _opened(self._open, live)
            self._model_id = live.model_id
        return self._batch(self._scorer) if self._scorer else 0

    def _batch(self, scorer: Scorer) -> int:
        """One batch. Where the device fails in it, the model is opened again before the next one is claimed: that tries
        the device without any ECG at stake.
        """
        try:
            done = scorer.run_batch()
        except DeviceFailed as error:
            self._device_failures += 1
            scorer.close()
            self._scorer = None
            log.event("device.failed", logging.ERROR, in_a_row=self._device_failures, error=str(error))
            raise
        if done:
            self._device_failures = 0
        return done


class ShadowScorer:
    """Scores, by the shadow model, the ECGs that the live model has scored; a shadow score is never sent."""

    def __init__(
        self,
        registry: Registry,
        answers: ShadowAnswers,
        open_scorer: OpenScorer,
        *,
        worker: str,
        clock: Callable[[], datetime],
        batch_size: int,
    ) -> None:
        self._registry = registry
        self._kept = answers
        self._open = open_scorer
        self._worker = worker
        self._clock = clock
        self._batch_size = batch_size
        self._model_id = ""
        self._scorer: Scorer | None = None

    def run_batch(self) -> int:
        """Score one batch; 0 where there is no shadow model, or no new ECG for it."""
        shadow = self._registry.shadow()
        if shadow is None:
            self._model_id, self._scorer = "", None
            return 0
        row, since = shadow
        if row.model_id != self._model_id or self._scorer is None:
            self._scorer = _opened(self._open, row)
            self._model_id = row.model_id
        if self._scorer is None:
            return 0
        batch = self._kept.batch(row.model_id, since, limit=self._batch_size)
        if batch:
            answers = self._answers(self._scorer, batch)
            self._kept.keep(row.model_id, answers, now=self._clock(), actor=self._worker)
            log.event("shadow.scored", ecgs=len(batch), model=row.model_id[:12])
        return len(batch)

    def _answers(self, scorer: Scorer, batch: Sequence[StagedEcg]) -> dict[int, tuple[Score, ...]]:
        try:
            return {one.ecg_id: self._answer(scorer, one) for one in batch}
        except DeviceFailed:
            self._scorer = None  # opening it again tries the device
            raise

    def _answer(self, scorer: Scorer, one: StagedEcg) -> tuple[Score, ...]:
        try:
            return scorer.evaluate(one, now=self._clock()).scores
        except DeviceFailed:
            raise
        except Exception as error:  # noqa: BLE001  an ECG that breaks the candidate must not keep it from the next ECG
            log.warning("shadow.failed", ecg_id=one.ecg_id, error=type(error).__name__)
            return ()


def _opened(open_scorer: OpenScorer, row: ModelRow) -> Scorer | None:
    """None where the bundle cannot be opened; the log says so at every try."""
    try:
        scorer = open_scorer(row)
    except ModelError as error:
        log.warning("model.unavailable", model=row.model_id[:12], error=str(error))
        return None
    log.event("model.opened", model=row.model_id[:12])
    return scorer
