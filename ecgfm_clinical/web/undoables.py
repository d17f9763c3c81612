"""The acts of one console that may still be undone: what is remembered of each, and for how long what they put on its
way waits.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging.records import Reissue
from ecgfm_clinical.wording import N_

if TYPE_CHECKING:
    from ecgfm_clinical.staging.failed_ecgs import Settled
    from ecgfm_clinical.staging.kept import KeptPayload

WAIT = timedelta(seconds=30)  #: how long the messages of such an act wait before they may be sent
MOST = 200  #: acts that are remembered; the oldest is forgotten first


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    """Dead letters that were put on their way again; nothing of it is sent before `due_at`."""

    done: Reissue
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """Results of these ECGs that were taken back; nothing of it is sent before `due_at`."""

    done: Reissue
    due_at: datetime
    ecg_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAgain:
    """Payloads as they were before they were read again; their ECGs are not scored before `due_at`."""

    payloads: "tuple[KeptPayload, ...]"
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """Payloads of which a person said that they need nobody; nothing follows from it, so it waits for nothing."""

    payload_ids: tuple[int, ...]
    due_at: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftUnanswered:
    """ECGs of which a person said that they stay without an answer; nothing follows from it."""

    settled: "tuple[Settled, ...]"
    due_at: None = None


Undoable = Resent | Withdrawn | ReadAgain | LookedAt | LeftUnanswered


@dataclass(slots=True)
class Undoables:
    """The acts of one console that may still be undone, each by whoever did it."""

    wait: timedelta = WAIT
    _kept: dict[str, tuple[str, Undoable]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def keep(self, one: Undoable, *, user: str) -> str:
        """The word by which it is asked for."""
        word = secrets.token_urlsafe(12)
        with self._lock:
            while len(self._kept) >= MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[word] = (user, one)
        return word

    def take(self, word: str, *, user: str) -> Undoable:
        """Once. Raises NotFound."""
        with self._lock:
            whose, one = self._kept.get(word, ("", None))
            if one is None or whose != user:
                raise NotFound(N_("there is nothing to undo any more: it was undone, or the console was started anew"))
            del self._kept[word]
            return one
