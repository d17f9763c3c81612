"""Trying the channels: a word that says that it is one of trial."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from ecgfm_clinical.alerting import channels
from ecgfm_clinical.alerting.alerting import FAILURES
from ecgfm_clinical.alerting.channels import Word
from ecgfm_clinical.staging.alerts import Alert

if TYPE_CHECKING:
    from ecgfm_clinical.settings import Settings


def tell(settings: "Settings", names: Iterable[str], *, now: datetime) -> dict[str, str | None]:
    """Channel -> None where it took the word, else the class of the error. Raises SettingsError."""
    word = Word(state="opened", alert=_alert(now), site=settings.site.name)
    built = channels.build(settings)
    return {name: _tried(built[name], word) for name in names}


def _tried(channel: channels.Channel, word: Word) -> str | None:
    try:
        channel.tell(word)
    except FAILURES as error:
        return type(error).__name__
    return None


def _alert(now: datetime) -> Alert:
    return Alert(
        alert_id=0,
        condition="trial",
        subject="",
        severity="info",
        text="This is a trial of the channel: nothing is wrong.",
        opened_at=now,
        seen_at=now,
        escalated_at=None,
        acknowledged_at=None,
        acknowledged_by=None,
        silenced_until=None,
        reason=None,
        cleared_at=None,
    )
