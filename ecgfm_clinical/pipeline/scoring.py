"""Score jobs become score rows: claimed, judged for each head, scored in full calls of the network, stored."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, Self

from ecgfm.errors import DeviceError
from ecgfm.feeding import Prepared
from ecgfm.predictor import HeadPrediction, Prediction
from ecgfm.records import Record
from ecgfm_clinical import log
from ecgfm_clinical.ecg.evaluability import Reason
from ecgfm_clinical.engine.crew import AT_ONCE, PATIENCE, Crew
from ecgfm_clinical.errors import DeviceFailed, LeaseLost, StoreError
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.pipeline.preparing import (
    MODULES,
    Judged,
    Ready,
    begin,
    judged_by,
    lost,
    prepare_here,
    prepare_jobs,
    record_of,
)
from ecgfm_clinical.settings import HeadRules
from ecgfm_clinical.staging.holding import Holding
from ecgfm_clinical.staging.records import Job, Score, Scoring, StagedEcg
from ecgfm_clinical.staging.retry import after_failure
from ecgfm_clinical.staging.store import Store

#: Seconds in which one run makes new claims; then it is asked again which model is live.
RUN_SECONDS = 2.0
#: Seconds of work that are claimed at once, as far as the pace so far tells.
CLAIM_SECONDS = 0.25
#: ECGs whose scores are written in one transaction, unless the first of them has waited for `TOGETHER_SECONDS`.
TOGETHER = 16
TOGETHER_SECONDS = 0.05
#: Such transactions that may wait for their turn, beside the one under way: a call of the network gives some at once.
AHEAD = 3


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

    def predictions(
        self, prepared: Iterable[Prepared[Ready]]
    ) -> Iterator[tuple[Prepared[Ready], Prediction | Exception]]: ...


class _Pace:
    """How many jobs to claim at a time, so that what is urgent does not wait long behind what was claimed before."""

    def __init__(self, most: int) -> None:
        self.limit = most
        self._most = most

    def ran(self, jobs: int, seconds: float) -> None:
        """So many jobs took so long."""
        self.limit = max(1, min(self._most, int(CLAIM_SECONDS * jobs / max(seconds, 1e-9))))


class _Finishing:
    """Writes scores beside the network's work, several ECGs in one transaction where they come quickly."""

    def __init__(self, finish: Callable[[Sequence[tuple[Job, Scoring]]], None]) -> None:
        self._finish = finish
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="finish")
        self._scored: list[tuple[Job, Scoring]] = []
        self._began = time.perf_counter()
        self._under_way: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def add(self, job: Job, scoring: Scoring) -> None:
        """To be written soon. Raises what writing those before has raised."""
        self._scored.append((job, scoring))
        if len(self._scored) >= TOGETHER or time.perf_counter() - self._began > TOGETHER_SECONDS:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._scored:
            self._under_way.append(self._thread.submit(self._finish, self._scored))
        self._scored, self._began = [], time.perf_counter()
        while len(self._under_way) > AHEAD or (self._under_way and self._under_way[0].done()):
            self._under_way.popleft().result()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._hand_over()
                while self._under_way:
                    self._under_way.popleft().result()
        finally:
            self._thread.shutdown(wait=True)


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
        run_for: float = RUN_SECONDS,
        processes: int = 0,
        open_store: Callable[[], Store] | None = None,
        history: bool = False,
        hang_seconds: float = 2 * PATIENCE,
        sign: Callable[..., None] = lambda **_: None,
    ) -> None:
        """`jitter` gives a number in [0, 1] that spreads the waits between attempts; `run_for`: seconds in which a run
        makes new claims; `history`: takes only ECGs that were put in as history.

        `processes` beside this one load, judge and prepare ECGs, from stores that they open by `open_store`, which must
        be picklable; 0: a thread of this process does. `sign`: called with each answer, and with the seconds `within`
        which the next is due: `hang_seconds`.
        """
        self._store = store
        self._predictor = predictor
        self._rules = {head: rules(head) for head in predictor.labels}
        self._worker = worker
        self._clock = clock
        self._pace = _Pace(batch_size)
        self._run_for = run_for
        self._processes = processes
        self._open_store = open_store
        self._history = history
        self._crew: Crew[Job, Ready] | None = None
        self._closing = ExitStack()
        self._patience = min(PATIENCE, hang_seconds / 2)  # so that a process is given up before all of this one is
        self._sign = partial(sign, within=hang_seconds)
        self._lease = lease
        self._max_attempts = max_attempts
        self._jitter = jitter
        self._meters = meters or Meters()
        self._holding = Holding(store, worker, clock=clock, max_attempts=max_attempts)

    def run_batch(self) -> int:
        """Claim and finish what is due, one claim after the other, for `run_for` at most; the number of jobs claimed.

        0 where nothing was due. While the network scores ECGs of one claim, those of the next are loaded and judged.
        Raises DeviceFailed where the GPU failed: no ECG is at fault, and what was claimed is back in its queue.
        """
        with self._holding.batch():
            jobs = self._claim(beside_others=False)
            try:
                return self._run(jobs) if jobs else 0
            except DeviceError as error:
                raise DeviceFailed(str(error)) from error

    def close(self) -> None:
        """End the processes that prepare ECGs."""
        self._closing.close()
        self._crew = None

    def _claim(self, *, beside_others: bool) -> list[Job]:
        return self._store.jobs.claim(
            worker=self._worker,
            limit=self._pace.limit,
            now=self._clock(),
            lease=self._lease,
            beside_others=beside_others,
            heads=tuple(self._predictor.labels),
            history=self._history,
        )

    def _run(self, first: list[Job]) -> int:
        began, claimed, failed = time.perf_counter(), 0, 0
        claimed_at: dict[int, datetime] = {}  # job -> when; claims run ahead of the network
        self._sign()
        crew = self._opened()
        crew.at_once = min(AT_ONCE, self._pace.limit)

        def jobs() -> Iterator[Job]:
            nonlocal claimed
            due, now = first, self._clock()
            while due:
                claimed += len(due)
                claimed_at.update((job.job_id, now) for job in due)
                yield from due
                if time.perf_counter() - began >= self._run_for or any(job.attempts > 1 for job in first):
                    return
                now = self._clock()
                due = self._claim(beside_others=True)

        with _Finishing(self._finish) as finishing:
            for one, found in self._predictor.predictions(crew.answers(jobs())):
                self._sign()
                at = claimed_at.pop(one.what.job.job_id)
                if one.what.received_at is not None:
                    self._meters.begun(at - one.what.received_at)
                error = one.what.error or (found if isinstance(found, Exception) else None)
                if error is not None:
                    self._fail(one.what.job, error)
                    failed += 1
                else:
                    assert not isinstance(found, Exception)
                    finishing.add(
                        one.what.job, self._scoring(one.what.job.ecg_id, one.what.judged, found, self._clock())
                    )
        seconds = time.perf_counter() - began
        self._pace.ran(claimed, seconds)
        self._meters.batch(seconds)
        log.event("batch.scored", jobs=claimed, failed=failed, ms=round(1000 * seconds))
        return claimed

    def _opened(self) -> "Crew[Job, Ready]":
        if self._crew is None:
            rules, preprocessing = self._rules, self._predictor.preprocessing
            work = partial(prepare_jobs, store=self._store, rules=rules, preprocessing=preprocessing)
            begins = None
            if self._processes:
                assert self._open_store is not None, "processes need a way to open the store"
                work = partial(prepare_here, rules=rules, preprocessing=preprocessing)
                begins = partial(begin, self._open_store)
            crew: Crew[Job, Ready] = Crew(
                work,
                processes=self._processes,
                lost=lost,
                modules=MODULES,
                begin=begins,
                patience=self._patience,
                sign=self._sign,
            )
            self._crew = self._closing.enter_context(crew)
        return self._crew

    def evaluate(self, one: StagedEcg, *, now: datetime) -> Scoring:
        """The scoring of one ECG by this model, outside any job. Raises any error of the predictor on this ECG."""
        self._sign()
        judged = judged_by(one, self._rules)
        try:
            found = None if all(judged.values()) else self._predictor.predict([record_of(one)])[0]
        except DeviceError as error:
            raise DeviceFailed(str(error)) from error
        return self._scoring(one.ecg_id, judged, found, now)

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
                # Another worker took this job over in the meantime, or all its heads were paused: it waits again.
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
        log.warning("ecg.scoring-failed", ecg_id=job.ecg_id, attempt=job.attempts, error=type(error).__name__)

    def _scoring(self, ecg_id: int, judged: Judged, prediction: Prediction | None, now: datetime) -> Scoring:
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
            ecg_id=ecg_id,
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
        unshifted=predicted.unshifted,
    )
