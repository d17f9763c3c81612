"""Scorings become HL7 messages that a destination acknowledged: composed once, stored, sent until their fate is known."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from ecgfm_clinical import log
from ecgfm_clinical.codes import local_code
from ecgfm_clinical.errors import IdentityChanged, LeaseLost
from ecgfm_clinical.staging.records import OutboundMessage, Score, Scoring, StagedEcg
from ecgfm_clinical.staging.retry import after_failure, refused
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Destination
from ecgfm_connectors.errors import ConnectorError, NotReached, PayloadError
from ecgfm_connectors.result import Ack, Observation, Result

DEMO_NOTE = (
    "DEMONSTRATION MODEL, NOT FOR CLINICAL USE. Probabilities come from a small network trained on generated ECGs."
)
LIMIT_NOTE = "Statistical estimate from the ECG alone; not a measurement and not a stand-alone diagnosis."

Compose = Callable[[Result], bytes]
React = Callable[[Ack], Literal["done", "retry", "dead"]]


class Reporter:
    """Sends the results of one destination, in order per patient."""

    def __init__(
        self,
        store: Store,
        destination: Destination,
        *,
        compose: Compose,
        react: React,
        worker: str,
        clock: Callable[[], datetime],
        max_attempts: int | None,
        device_id: str,
        lease: timedelta,
        batch_size: int = 16,
    ) -> None:
        self._store = store
        self._destination = destination
        self._compose = compose
        self._react = react
        self._worker = worker
        self._clock = clock
        self._max_attempts = max_attempts
        self._device_id = device_id
        self._lease = lease
        self._batch_size = batch_size

    def run_batch(self) -> int:
        """Claim and send one batch; the number of messages claimed, 0 where nothing was due."""
        messages = self._store.claim_messages(
            worker=self._worker,
            destination=self._destination.name,
            limit=self._batch_size,
            now=self._clock(),
            lease=self._lease,
        )
        for message in messages:
            try:
                self._send(message)
            except LeaseLost:
                # Another sender took it over; it sends the same bytes under the same MSH-10.
                log.event("message.lease-lost", message_id=message.message_id)
        return len(messages)

    def _send(self, message: OutboundMessage) -> None:
        try:
            body = message.body if message.body is not None else self._compose_and_keep(message)
        except IdentityChanged as error:  # merged while we composed: nothing left, so it is composed anew
            self._again(message, error)
            return
        except PayloadError as error:  # nothing to file it under, say: only a person can mend that
            now = self._clock()
            self._store.fail_message(
                message, refused(error, attempts=message.attempts, now=now), now=now, worker=self._worker
            )
            log.event("message.not-composed", message_id=message.message_id, ecg_id=message.ecg_id, code=error.code)
            return
        try:
            ack = self._destination.send(body, control_id=message.control_id)
        except ConnectorError as error:  # fate unknown: the same bytes again
            self._again(message, error)
            return
        verdict = self._react(ack)
        if verdict == "done":
            self._store.finish_message(message, ack, now=self._clock(), worker=self._worker)
            log.event("message.acknowledged", message_id=message.message_id, ecg_id=message.ecg_id, code=ack.code)
        elif verdict == "retry":
            self._again(message, ack)
        else:
            now = self._clock()
            retry = refused(ack, attempts=message.attempts, now=now)
            self._store.fail_message(message, retry, now=now, worker=self._worker, ack=ack)
            log.event(
                "message.dead",
                message_id=message.message_id,
                ecg_id=message.ecg_id,
                code=ack.code,
                error=ack.error_code,
            )

    def _compose_and_keep(self, message: OutboundMessage) -> bytes:
        """Compose the message and commit its bytes before anything is sent, so that every repeat is the same."""
        staged, scoring = self._store.compose_input(message)
        result = build_result(message, staged, scoring, composed_at=self._clock(), device_id=self._device_id)
        body = self._compose(result)
        self._store.fix_body(message, body, now=self._clock(), actor=self._worker)
        return body

    def _again(self, message: OutboundMessage, cause: ConnectorError | IdentityChanged | Ack) -> None:
        now = self._clock()
        retry = after_failure(cause, attempts=message.attempts, limit=self._max_attempts, now=now)
        ack = cause if isinstance(cause, Ack) else None
        undelivered = isinstance(cause, NotReached)
        self._store.fail_message(message, retry, now=now, worker=self._worker, ack=ack, undelivered=undelivered)
        log.event(
            "message.unacknowledged", message_id=message.message_id, attempt=message.attempts, error=retry.error.kind
        )


def build_result(
    message: OutboundMessage, staged: StagedEcg, scoring: Scoring, *, composed_at: datetime, device_id: str
) -> Result:
    """The result of one scoring, ready to be composed (hospital message content, HL7 2.5.1 §7.3/7.4)."""
    ecg = staged.ecg
    return Result(
        control_id=message.control_id,
        composed_at=composed_at,
        patient=ecg.patient,
        placer_number=ecg.order.placer,
        filler_number=f"ECGFM-{staged.ecg_id}",
        ecg_filler_number=ecg.order.filler or ecg.order.accession,
        study_uid=ecg.order.study_uid,
        acquired_at=ecg.acquired.at if ecg.acquired else None,
        scored_at=scoring.scored_at,
        status=message.kind,  # a not evaluable ECG is a final answer too: its OBX-11 says X
        model_name=scoring.model_name,
        model_version=f"{scoring.model_version} {scoring.model_id[:12]}",
        device_id=device_id,
        observations=tuple(_observation(score, message.kind) for score in scoring.scores),
        notes=(DEMO_NOTE, LIMIT_NOTE) if scoring.demo else (LIMIT_NOTE,),
        test=scoring.demo or ecg.test_data,
    )


def _observation(score: Score, kind: Literal["F", "C", "W"]) -> Observation:
    code = local_code(score.head, score.label)
    return Observation(
        code=code.code,
        name=code.name,
        status="X" if score.probability is None and kind != "W" else kind,
        probability=score.probability,
        threshold=score.threshold,
        positive=score.positive,
        reasons=score.reasons,
    )
