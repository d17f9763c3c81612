"""Who is signed in. Sessions live in the memory of one process: after a restart everybody signs in again."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock

from ecgfm_clinical.web.users import User

MOST = 1000  #: sessions kept; the oldest goes first
SET_BACK = timedelta(minutes=1)  #: a clock that was set back further ends sessions: nobody knows how old they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in."""

    user: User  #: as of the sign-in
    began_at: datetime
    seen_at: datetime


class Sessions:
    """Tokens are known by their digest alone."""

    def __init__(self, *, longest: timedelta, idle: timedelta) -> None:
        self._longest = longest
        self._idle = idle
        self._lock = Lock()
        self._kept: dict[str, Session] = {}
        self._ended: list[User] = []

    def begin(self, user: User, *, now: datetime) -> str:
        """The token of a new session: 256 random bits."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._end_what_is_over(now)
            while len(self._kept) >= MOST:
                self._end(next(iter(self._kept)))
            self._kept[_digest(token)] = Session(user=user, began_at=now, seen_at=now)
        return token

    def user_of(self, token: str, *, now: datetime, is_a_click: bool = True) -> User | None:
        """Who holds this token; None where the session is over. What refreshes by itself is no click."""
        with self._lock:
            one = self._kept.get(_digest(token))
            if one is None:
                return None
            if self._is_over(one, now):
                self._end(_digest(token))
                return None
            if is_a_click:
                self._kept[_digest(token)] = replace(one, seen_at=now)
            return one.user

    def end(self, token: str) -> None:
        with self._lock:
            self._kept.pop(_digest(token), None)

    def ran_out(self, *, now: datetime) -> list[User]:
        """Whose sessions ended since this was last asked without anybody signing out."""
        with self._lock:
            self._end_what_is_over(now)
            ended, self._ended = self._ended, []
            return ended

    def _end_what_is_over(self, now: datetime) -> None:
        for digest in [key for key, one in self._kept.items() if self._is_over(one, now)]:
            self._end(digest)

    def _end(self, digest: str) -> None:
        self._ended.append(self._kept.pop(digest).user)

    def _is_over(self, one: Session, now: datetime) -> bool:
        is_set_back = now < one.seen_at - SET_BACK
        return is_set_back or now - one.began_at >= self._longest or now - one.seen_at >= self._idle


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "replace")).hexdigest()
