"""Score jobs become score rows: claim a batch, judge each ECG for each head, run the encoder once, store the scores."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from ecgfm.errors import DeviceError
from ecgfm.predictor import HeadPrediction, Prediction
from ecgfm.records import Record
from ecgfm_clinical import log
from ecgfm_clinical.ecg.evaluability import Reason, judge, signal_reasons
from ecgfm_clinical.errors import DeviceFailed, LeaseLost, StoreError
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging.holding import Holding
from ecgfm_clinical.staging.records import Job, Score, Scoring, StagedEcg
from ecgfm_clinical.staging.retry import after_failure
from ecgfm_clinical.staging.store import Store

Judged = Mapping[str, tuple[Reason, ...]]  #: head -> the reasons why it may not score this ECG


class Scores(Protocol):
    """The part of `ecgfm.predictor.Predictor` that scoring uses."""

    model_id: str
    model_name: str
    model_version: str
    preprocessing: str
    runtime: str
    demo: bool

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """head -> its labels."""

    def predict(self, records: Sequence[Record]) -> list[Prediction]: ...


class Scorer:
    """Takes score jobs from the store and finishes them with one model."""

    def __init__(
        self,
        store: Store,
        predictor: Scores,
        *,
        rules: Callable[[str], HeadRules],
        worker: str,
        clock: Callable[[], datetime],
        batch_size: int,
        lease: timedelta,
        max_attempts: int,
        jitter: Callable[[], float] = lambda: 0.5,
        meters: Meters | None = None,
    ) -> None:
        """`jitter` gives a number in [0, 1] that spreads the waits between attempts."""
        self._store = store
        self._predictor = predictor
        self._rules = {head: rules(head) for head in predictor.labels}
        self._worker = worker
        self._clock = clock
        self._batch_size = batch_size
        self._lease = lease
        self._max_attempts = max_attempts
        self._jitter = jitter
        self._meters = meters or Meters()
        self._holding = Holding(store, worker, clock=clock, max_attempts=max_attempts)

    def run_batch(self) -> int:
        """Claim and finish one batch; the number of jobs claimed, 0 where nothing was due.

        Raises DeviceFailed where the GPU failed: no ECG is at fault, and the batch is back in its queue.
        """
        with self._holding.batch():
            return self._run_batch()

    def _run_batch(self) -> int:
        now = self._clock()
        jobs = self._store.jobs.claim(worker=self._worker, limit=self._batch_size, now=now, lease=self._lease)
        if not jobs:
            return 0
        started = time.perf_counter()
        batch = self._store.ecgs.load([job.ecg_id for job in jobs])
        for one in batch:
            self._meters.begun(now - one.received_at)
        judged = {one.ecg_id: self._judge(one) for one in batch}
        outcomes = self._predict(batch, judged)
        scored, failed = [], 0
        for job, one in zip(jobs, batch, strict=True):
            outcome = outcomes[one.ecg_id]
            if isinstance(outcome, Exception):
                self._fail(job, outcome)
                failed += 1
            else:
                scored.append((job, self._scoring(one, judged[one.ecg_id], outcome, self._clock())))
        self._finish(scored)
        took = time.perf_counter() - started
        self._meters.batch(took)
        log.event("batch.scored", jobs=len(jobs), failed=failed, ms=round(1000 * took))
        return len(jobs)

    def evaluate(self, one: StagedEcg, *, now: datetime) -> Scoring:
        """The scoring of one ECG by this model, outside any job. Raises any error of the predictor on this ECG."""
        judged = self._judge(one)
        outcome = self._predict([one], {one.ecg_id: judged})[one.ecg_id]
        if isinstance(outcome, Exception):
            raise outcome
        return self._scoring(one, judged, outcome, now)

    def _judge(self, one: StagedEcg) -> Judged:
        of_signal = signal_reasons(one.ecg)
        return {
            head: judge(one.ecg, rules, of_signal=of_signal) for head, rules in self._rules.items() if rules.enabled
        }

    def _predict(
        self, batch: Sequence[StagedEcg], judged: Mapping[int, Judged]
    ) -> dict[int, Prediction | Exception | None]:
        """Predictions by ECG; None where no head may score it, the error where the ECG itself breaks the predictor."""
        evaluable = [one for one in batch if not all(judged[one.ecg_id].values())]
        outcomes: dict[int, Prediction | Exception | None] = {one.ecg_id: None for one in batch}
        try:
            together = self._predictor.predict([_record(one) for one in evaluable]) if evaluable else []
            outcomes.update(zip((one.ecg_id for one in evaluable), together, strict=True))
        except DeviceError as error:
            raise DeviceFailed(str(error)) from error
        except Exception:  # noqa: BLE001  an ECG that breaks the predictor must fail alone: score each ECG by itself to find it
            for one in evaluable:
                outcomes[one.ecg_id] = self._predict_alone(one)
        return outcomes

    def _predict_alone(self, one: StagedEcg) -> Prediction | Exception:
        try:
            return self._predictor.predict([_record(one)])[0]
        except DeviceError as error:
            raise DeviceFailed(str(error)) from error
        except Exception as error:  # noqa: BLE001  kept on the job with its attempts
            return error

    def _finish(self, scored: Sequence[tuple[Job, Scoring]]) -> None:
        try:
            self._keep(scored)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001  the scoring of one ECG cannot be stored: store each by itself to find it
            for job, scoring in scored:
                try:
                    self._keep([(job, scoring)])
                except StoreError:
                    raise
                except Exception as error:  # noqa: BLE001  kept on the job with its attempts
                    self._fail(job, error)

    def _keep(self, scored: Sequence[tuple[Job, Scoring]]) -> None:
        lost = self._store.jobs.finish(scored, now=self._clock(), worker=self._worker)
        for job, scoring in scored:
            if job.job_id in lost:
                # Another worker took this job over in the meantime; its scoring stands.
                log.event("job.lease-lost", ecg_id=job.ecg_id)
            else:
                evaluable = sum(score.probability is not None for score in scoring.scores)
                self._meters.scored("scored" if evaluable else "not_evaluable")
                log.event("ecg.scored", ecg_id=job.ecg_id, evaluable=evaluable)

    def _fail(self, job: Job, error: Exception) -> None:
        now = self._clock()
        retry = after_failure(error, attempts=job.attempts, limit=self._max_attempts, now=now, jitter=self._jitter())
        try:
            self._store.jobs.fail(job, retry, now=now, worker=self._worker)
        except LeaseLost:
            log.event("job.lease-lost", ecg_id=job.ecg_id)
            return
        self._meters.scored("failed")
        log.event("ecg.scoring-failed", ecg_id=job.ecg_id, attempt=job.attempts, error=type(error).__name__)

    def _scoring(self, one: StagedEcg, judged: Judged, prediction: Prediction | None, now: datetime) -> Scoring:
        by_head: dict[str, list[HeadPrediction]] = {}
        for predicted in prediction.heads if prediction else ():
            by_head.setdefault(predicted.head, []).append(predicted)
        unusable = tuple(
            Reason(code=code, text="the prepared signal cannot be scored") for code in _reasons(prediction)
        )
        scores: list[Score] = []
        for head, reasons in judged.items():
            if reasons or unusable:
                labels = self._predictor.labels[head]
                scores += [_not_evaluable(head, label, reasons or unusable) for label in labels]
            else:
                scores += [_score(one_label) for one_label in by_head[head]]
        return Scoring(
            ecg_id=one.ecg_id,
            model_id=self._predictor.model_id,
            model_name=self._predictor.model_name,
            model_version=self._predictor.model_version,
            preprocessing=self._predictor.preprocessing,
            runtime=self._predictor.runtime,
            input_digest=prediction.input_digest if prediction else "",
            scored_at=now,
            scores=tuple(scores),
            demo=self._predictor.demo,
            segments=prediction.segments if prediction else 0,
        )


def _record(one: StagedEcg) -> Record:
    return Record(signal=one.ecg.signal, sampling_rate=one.ecg.sampling_rate, site=one.site)


def _reasons(prediction: Prediction | None) -> tuple[str, ...]:
    return prediction.reasons if prediction else ()


def _not_evaluable(head: str, label: str, reasons: Sequence[Reason]) -> Score:
    return Score(head=head, label=label, probability=None, logit=None, reasons=tuple((r.code, r.text) for r in reasons))


def _score(predicted: HeadPrediction) -> Score:
    positive = None if predicted.threshold is None else predicted.probability >= predicted.threshold
    return Score(
        head=predicted.head,
        label=predicted.label,
        probability=predicted.probability,
        logit=predicted.logit,
        threshold=predicted.threshold,
        positive=positive,
    )
