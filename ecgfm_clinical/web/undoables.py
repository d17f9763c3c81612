"""The acts of one console that may still be undone: what is remembered of each, and for how long its messages wait."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Literal

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging.records import Reissue
from ecgfm_clinical.wording import N_

WAIT = timedelta(seconds=30)  #: how long the messages of such an act wait before they may be sent
MOST = 200  #: acts that are remembered; the oldest is forgotten first


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoable:
    """One act."""

    act: Literal["resend", "withdraw"]
    done: Reissue
    due_at: datetime  #: its messages are not sent before
    ecg_ids: tuple[int, ...] = ()  #: of a withdrawal
    user: str


@dataclass(slots=True)
class Undoables:
    """The acts of one console that may still be undone."""

    wait: timedelta = WAIT
    _kept: dict[str, Undoable] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def keep(self, one: Undoable) -> str:
        """The word by which it is asked for."""
        word = secrets.token_urlsafe(12)
        with self._lock:
            while len(self._kept) >= MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[word] = one
        return word

    def take(self, word: str, *, user: str) -> Undoable:
        """Once. Raises NotFound."""
        with self._lock:
            one = self._kept.get(word)
            if one is None or one.user != user:
                raise NotFound(N_("there is nothing to undo any more: it was undone, or the console was started anew"))
            return self._kept.pop(word)
