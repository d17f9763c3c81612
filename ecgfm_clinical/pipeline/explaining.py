"""Questions where a model looked are answered one by one, whenever no ECG waits for its score.

The model that gave the answer is asked, whether it is still live or not. It is computed on the CPU in full precision,
so that no device that scores is touched; the network is let go once no question waits.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecgfm.errors import EcgFmError
from ecgfm_clinical import log
from ecgfm_clinical.errors import LeaseLost, ModelError, StoreUnavailable
from ecgfm_clinical.staging.holding import Holding
from ecgfm_clinical.staging.records import StagedEcg
from ecgfm_clinical.staging.retry import after_failure, refused
from ecgfm_clinical.staging.saliencies import LARGEST, SaliencyJob
from ecgfm_clinical.staging.store import Store


class LookedAt(Protocol):
    """A network that can be asked."""

    def __call__(self, one: StagedEcg, *, head: str, label: str) -> NDArray[np.float64]:
        """(12, steps) from 0 to 1, 25 steps a second. Raises EcgFmError where it cannot be computed."""


class Explaining:
    """Takes questions from the store and answers them."""

    def __init__(
        self,
        store: Store,
        open_model: Callable[[str], LookedAt],
        *,
        worker: str,
        clock: Callable[[], datetime],
        lease: timedelta,
        max_attempts: int,
        jitter: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """`open_model`: by the digest of its bundle; raises ModelError."""
        self._store = store
        self._open = open_model
        self._worker = worker
        self._clock = clock
        self._lease = lease
        self._max_attempts = max_attempts
        self._jitter = jitter
        self._model: tuple[str, LookedAt] | None = None
        self._holding = Holding(store, worker, clock=clock, max_attempts=max_attempts)

    def run_one(self) -> int:
        """Answer the oldest question; 0 where none is due, or scoring goes first."""
        with self._holding.batch():
            job = self._store.saliencies.claim(worker=self._worker, now=self._clock(), lease=self._lease)
            if job is None:
                self._model = None
                return 0
            try:
                self._answer(job)
            except LeaseLost:
                log.event("saliency.lease-lost", ecg_id=job.ecg_id)
            return 1

    def _answer(self, job: SaliencyJob) -> None:
        try:
            (one,) = self._store.ecgs.load([job.ecg_id])
            found = self._looked_at(job.model_id)(one, head=job.head, label=job.label)
            weights = np.rint(found * LARGEST).astype(np.uint8)
            self._store.saliencies.finish(job, weights, now=self._clock(), worker=self._worker)
        except (StoreUnavailable, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001  kept with the question, for whoever asked it
            self._fail(job, error)
        else:
            log.event("saliency.computed", ecg_id=job.ecg_id)

    def _looked_at(self, model_id: str) -> LookedAt:
        if self._model is None or self._model[0] != model_id:
            self._model = None  # two networks at a time would need twice the memory
            self._model = (model_id, self._open(model_id))
        return self._model[1]

    def _fail(self, job: SaliencyJob, error: Exception) -> None:
        now = self._clock()
        if isinstance(error, EcgFmError):  # they name no patient
            error = ModelError(str(error))
        if isinstance(error, ModelError):  # the same model says the same again
            retry = refused(error, attempts=job.attempts, now=now)
        else:
            retry = after_failure(
                error, attempts=job.attempts, limit=self._max_attempts, now=now, jitter=self._jitter()
            )
        self._store.saliencies.fail(job, retry, now=now, worker=self._worker)
        log.warning("saliency.failed", ecg_id=job.ecg_id, attempt=job.attempts, error=type(error).__name__)
