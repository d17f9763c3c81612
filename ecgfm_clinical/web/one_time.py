"""A link that signs somebody in once: for the demo, whose hospital lives as long as its command."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from threading import Lock

from ecgfm_clinical.web.users import User

LASTS = timedelta(hours=1)


class OneTimeLinks:
    """Links that nobody has used yet, known by the digests of their tokens alone."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[str, tuple[User, datetime]] = {}

    def make(self, user: User, *, now: datetime) -> str:
        """The path of a new link."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._open[_digest(token)] = (user, now + LASTS)
        return f"/sign-in/once?token={token}"

    def use(self, token: str, *, now: datetime) -> User | None:
        """Whom it signs in; None where it was used already, is too old, or never was."""
        with self._lock:
            user, until = self._open.pop(_digest(token), (None, now))
        return user if now < until else None


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "replace")).hexdigest()
