"""Stored result messages are sent; the destination's answer decides: done, the same bytes again, or a person
must act.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from ecgfm_clinical import log
from ecgfm_clinical.errors import LeaseLost, PageStale
from ecgfm_clinical.monitoring.meters import Meters
from ecgfm_clinical.staging.destinations import DestinationState, DestinationStatus
from ecgfm_clinical.staging.holding import Holding
from ecgfm_clinical.staging.home import Mark
from ecgfm_clinical.staging.outbox import COUNTED_ANSWERS
from ecgfm_clinical.staging.pauses import Part
from ecgfm_clinical.staging.records import Draft, DrawnPage, OutboundMessage, Retry
from ecgfm_clinical.staging.retry import after_failure, attempt_error, refused, wait
from ecgfm_clinical.staging.store import Store
from ecgfm_connectors.base import Destination
from ecgfm_connectors.errors import ConnectorError, NotReached, PayloadError, Unreachable
from ecgfm_connectors.patient import Patient
from ecgfm_connectors.result import Ack

#: How often a message is repeated to a receiver whose AE may mean "busy"; after that its content counts as refused.
BUSY_ANSWERS = 5

#: While a destination can't be reached, one message is tried at least this often.
LONGEST_OUTAGE_WAIT = timedelta(seconds=30)

#: A receiver that asks for more patience than that is asked again all the same.
LONGEST_ASKED_WAIT = timedelta(hours=1)

#: How often the page of a message is drawn anew, because its patient changed meanwhile or its sender did not come back;
#: then the message goes without.
DRAWINGS = 3

DrawPage = Callable[[Draft], bytes]  #: a result with the signal of its ECG -> PDF
React = Callable[[Ack], Literal["done", "retry", "dead"]]


class Reporter:
    """Sends the results of one destination, in order per patient."""

    def __init__(
        self,
        store: Store,
        destination: Destination,
        *,
        react: React,
        worker: str,
        clock: Callable[[], datetime],
        max_attempts: int | None,
        lease: timedelta,
        batch_size: int = 16,
        jitter: Callable[[], float] = lambda: 0.5,
        mark: Path | None = None,
        meters: Meters | None = None,
        stopping: Callable[[], bool] = lambda: False,
        elapsed: Callable[[], float] = time.perf_counter,
        draw_page: DrawPage | None = None,
    ) -> None:
        """`jitter` gives a number in [0, 1] that spreads the waits between attempts; `mark`: the file beside the store
        that names the last message sent; once `stopping`, a batch ends with the message under way. `draw_page`: for a
        destination whose results go with a page.
        """
        self._draw_page = draw_page
        self._stopping = stopping
        self._meters = meters or Meters()
        self._elapsed = elapsed
        self._mark = mark
        self._at_home = False  #: looked at before the first message, and until a displaced store was adopted
        self._store = store
        self._destination = destination
        self._react = react
        self._worker = worker
        self._clock = clock
        self._max_attempts = max_attempts
        self._lease = lease
        self._batch_size = batch_size
        self._jitter = jitter
        self._is_paused = store.pauses.watch(Part(kind="destination", name=destination.name))
        self._holding = Holding(store, worker, clock=clock)
        self._outage = DestinationStatus()

    def run_batch(self) -> int:
        """Claim and send one batch; the number of messages claimed, 0 where nothing was due."""
        with self._holding.batch():
            return self._run_batch()

    def close(self) -> None:
        """Leave the destination; the next batch connects anew."""
        self._destination.close()

    def _run_batch(self) -> int:
        now, name = self._clock(), self._destination.name
        if not self._at_home and self._store.home.look(self._mark, now=now, actor=self._worker) is not None:
            return 0
        self._at_home = True
        status = self._store.destinations.status(name, now=now)
        if status.state is DestinationState.OPEN:
            return 0
        self._outage = status
        tried_alone = status.state is DestinationState.HALF_OPEN
        messages = self._store.outbox.claim(
            worker=self._worker,
            destination=name,
            limit=1 if tried_alone else self._batch_size,
            now=now,
            lease=self._lease,
        )
        body = None
        for message, following in zip_longest(messages, messages[1:]):
            if self._stopping() or (body is None and self._is_paused()):  # what was begun is sent
                self._store.leases.release(self._worker, now=self._clock())  # for the next process
                break
            try:
                body = self._send(message, body, following)
            except LeaseLost:
                body = None
                # Another sender took it over; it sends the same bytes under the same MSH-10.
                log.event("message.lease-lost", message_id=message.message_id)
            except _Unreached:
                self._store.leases.release(self._worker, now=self._clock())  # the others wait for the recovery
                break
        return len(messages)

    def _send(self, message: OutboundMessage, body: bytes | None, following: OutboundMessage | None) -> bytes | None:
        """Send one message; `body` where its sending was begun already. Returns the body of the next one, if begun."""
        try:
            if body is None:
                body = self._begin(message)
        except PayloadError as error:  # such as a result without a patient: only a person can mend that
            now = self._clock()
            self._store.outbox.fail(
                message, refused(error, attempts=message.attempts, now=now), now=now, worker=self._worker
            )
            log.warning("message.not-composed", message_id=message.message_id, ecg_id=message.ecg_id, code=error.code)
            return None
        if self._mark is not None:  # that it may be on the wire is committed
            Mark(message_id=message.message_id, control_id=message.control_id).write(self._mark)
        began = self._elapsed()
        try:
            ack = self._destination.send(body, control_id=message.control_id)
        except ConnectorError as error:  # nothing arrived, or its fate is unknown: the same bytes again
            self._meters.answered(self._destination.name, "unreached")
            self._not_reached(message, error)
            raise _Unreached from error
        self._answered()
        verdict = self._react(ack)
        if verdict == "done":
            took, now = self._elapsed() - began, self._clock()
            following = None if self._is_paused() else following
            begun = self._store.outbox.finish(message, ack, now=now, worker=self._worker, following=following)
            self._delivered(message, took, now)
            log.event("message.acknowledged", message_id=message.message_id, ecg_id=message.ecg_id, code=ack.code)
            return begun
        self._meters.answered(self._destination.name, "again" if verdict == "retry" else "refused")
        if verdict == "retry":
            self._again(message, ack)
        else:
            now = self._clock()
            retry = refused(ack, attempts=message.attempts, now=now)
            self._store.outbox.fail(message, retry, now=now, worker=self._worker, ack=ack)
            log.warning(
                "message.dead",
                message_id=message.message_id,
                ecg_id=message.ecg_id,
                code=ack.code,
                error=ack.error_code,
            )
        return None

    def _begin(self, message: OutboundMessage) -> bytes:
        """The bytes of the message, with its page where one is due. Raises LeaseLost, PayloadError."""
        for _ in range(DRAWINGS):
            page = self._drawn(message)
            try:
                return self._store.outbox.begin(message, now=self._clock(), worker=self._worker, page=page)
            except PageStale:  # its patient was named anew while it was drawn
                log.event("page.stale", message_id=message.message_id, ecg_id=message.ecg_id)
        page = DrawnPage(patient=Patient(), refused="its patient changed each time that it was drawn")
        return self._store.outbox.begin(message, now=self._clock(), worker=self._worker, page=page)

    def _drawn(self, message: OutboundMessage) -> DrawnPage | None:
        """The page of the message where it is due, drawn outside any transaction; what fails holds no result up."""
        if self._draw_page is None:
            return None
        draft = self._store.outbox.page_due(message, now=self._clock())
        if draft is None:
            return None
        if message.attempts > DRAWINGS:  # each time its sender did not come back, perhaps because of it
            return DrawnPage(patient=draft.ecg.patient, refused="drawing it did not end, several times")
        if not draft.ecg.signal.size:
            return DrawnPage(patient=draft.ecg.patient, refused="the signal was removed by retention")
        try:
            return DrawnPage(patient=draft.ecg.patient, pdf=self._draw_page(draft))
        except Exception as error:  # noqa: BLE001  whatever a drawing library raises: the numbers go
            kind = type(error).__name__
            log.event("page.not-drawn", logging.WARNING, message_id=message.message_id, error=kind)
            return DrawnPage(patient=draft.ecg.patient, refused=f"drawing it failed ({kind})")

    def _delivered(self, message: OutboundMessage, took: float, now: datetime) -> None:
        name, first = self._destination.name, message.kind == "F" and message.result_version == 1
        self._meters.answered(name, "acknowledged")
        since = now - message.ecg_received_at if first and message.ecg_received_at is not None else None
        self._meters.delivered(name, took, since_receipt=since)

    def _again(self, message: OutboundMessage, ack: Ack) -> None:
        """The receiver wants it later, or says something that may mean so."""
        now = self._clock()
        attempts, limit = message.attempts, self._max_attempts
        if ack.code in COUNTED_ANSWERS:
            attempts, limit = (
                1 + self._store.outbox.answers(message, COUNTED_ANSWERS),
                min(limit or BUSY_ANSWERS, BUSY_ANSWERS),
            )
        retry = after_failure(ack, attempts=attempts, limit=limit, now=now, jitter=self._jitter())
        retry = replace(retry, error=replace(retry.error, attempt=message.attempts))
        self._store.outbox.fail(message, retry, now=now, worker=self._worker, ack=ack)
        log.warning(
            "message.unacknowledged", message_id=message.message_id, attempt=message.attempts, error=retry.error.kind
        )

    def _not_reached(self, message: OutboundMessage, error: ConnectorError) -> None:
        """The message waits with all others for the destination; one that is never answered is set aside in the end."""
        now = self._clock()
        undelivered = isinstance(error, NotReached)
        failed = attempt_error(error, attempts=message.attempts, now=now)
        if not undelivered and self._max_attempts is not None and message.attempts >= self._max_attempts:
            self._store.outbox.fail(message, Retry(due_at=None, error=failed), now=now, worker=self._worker)
        else:
            self._store.outbox.postpone(message, failed, now=now, worker=self._worker, undelivered=undelivered)
        attempts = self._outage.attempts + 1
        pause = wait(attempts, self._jitter(), longest_wait=LONGEST_OUTAGE_WAIT)
        if isinstance(error, Unreachable) and error.retry_after is not None:
            pause = min(max(pause, error.retry_after), LONGEST_ASKED_WAIT)
        next_attempt_at = now + pause
        self._store.destinations.failed(
            self._destination.name, failed.text, next_attempt_at=next_attempt_at, now=now, actor=self._worker
        )
        log.warning(
            "message.unacknowledged", message_id=message.message_id, attempt=message.attempts, error=failed.kind
        )

    def _answered(self) -> None:
        """The first answer after an outage lets all others follow."""
        if self._outage.state is not DestinationState.CLOSED:
            self._store.destinations.answered(self._destination.name, now=self._clock(), actor=self._worker)
            self._outage = DestinationStatus()
            log.event("destination.recovered", destination=self._destination.name)


class _Unreached(Exception):
    """The destination could not be reached; what was claimed with the message waits for it too."""
