"""One look: what is wrong, and everything that is due told to every channel."""

import smtplib
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING

from ecgfm_clinical import log
from ecgfm_clinical.alerting.channels import TIMEOUT, Channel, Word, opener
from ecgfm_clinical.alerting.conditions import audit_conditions, conditions
from ecgfm_clinical.staging.alerts import Condition, Notice, Route, Severity

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Alerts, Settings
    from ecgfm_clinical.staging.store import Store

#: How often the whole audit trail is read for faults.
AUDIT_EVERY = timedelta(days=1)
_SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
FAILURES = (OSError, ValueError, smtplib.SMTPException, HTTPException, subprocess.TimeoutExpired)


class Alerting:
    """The alerts of one installation."""

    def __init__(
        self,
        settings: "Settings",
        store: "Store",
        channels: Mapping[str, Channel],
        *,
        clock: Callable[[], datetime],
        holder: str,
        ping_url: str = "",
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`holder`: of the lease by which one process alerts at a time; `beat` is called after each telling."""
        self._settings = settings
        self._store = store
        self._channels = channels
        self._clock = clock
        self._holder = holder
        self._ping_url = ping_url
        self._beat = beat
        self._audited_at: datetime | None = None
        self._audit: tuple[Condition, ...] = ()

    def run(self) -> None:
        """Look, tell, and let the dead man's switch know that we live. Raises StoreUnavailable."""
        now, limits = self._clock(), self._settings.alerts
        term = timedelta(seconds=3 * limits.every_seconds)
        if not self._store.coordination.acquire("alerts", self._holder, now=now, duration=term):
            return
        self._store.elapsed.look(now)  # a jump of the clock must be known before anything is held to be over
        self._store.alerts.look(
            [*conditions(self._settings, self._store, now=now), *self._audited(now)],
            routes=routes(limits),
            clear_after=limits.clear_after,
            escalate_after=limits.escalate_after,
            now=now,
            actor=self._holder,
        )
        for one in self._store.alerts.due(now=now):
            self._tell(one)
            self._beat()
        if self._ping_url:
            ping(self._ping_url, opener(environment_proxy=self._settings.alerts.environment_proxy))

    def _audited(self, now: datetime) -> Iterator[Condition]:
        if self._audited_at is None or now - self._audited_at >= AUDIT_EVERY or now < self._audited_at:
            self._audit, self._audited_at = tuple(audit_conditions(self._store)), now
        yield from self._audit

    def _tell(self, one: Notice) -> None:
        channel = self._channels.get(one.channel)
        if channel is None:  # the settings name it no longer
            self._store.alerts.told(one.notice_id, now=self._clock(), actor=self._holder)
            return
        try:
            channel.tell(Word(state=one.state, alert=one.alert, site=self._settings.site.name))
        except Exception as error:  # noqa: BLE001  whatever breaks in one channel, the others are told
            kind = type(error).__name__
            self._store.alerts.failed(one.notice_id, kind, now=self._clock(), actor=self._holder)
            log.warning("alert.not-told", channel=one.channel, alert=one.alert.condition, error=kind)
        else:
            self._store.alerts.told(one.notice_id, now=self._clock(), actor=self._holder)
            log.event("alert.told", channel=one.channel, alert=one.alert.condition, state=one.state)


def routes(limits: "Alerts") -> list[Route]:
    """Which notices each channel takes."""
    return [
        Route(
            channel=part.name,
            severities=frozenset(_SEVERITIES[_SEVERITIES.index(part.at_least) :]),
            escalation=part.escalation,
        )
        for part in limits.channels
    ]


def ping(url: str, asks: urllib.request.OpenerDirector) -> None:
    """Tell a dead man's switch that we live; that it does not answer is its own matter."""
    try:
        with asks.open(url, timeout=TIMEOUT) as answer:
            answer.read(1024)
    except (OSError, HTTPException) as error:
        log.warning("alert.ping-failed", error=type(error).__name__)
