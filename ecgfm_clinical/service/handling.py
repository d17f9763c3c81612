"""How long the payloads of a port have been with their handlers, so that a handler that hangs is seen from outside."""

import logging
import time
from collections.abc import Callable
from functools import partial
from itertools import count

from ecgfm_clinical import log
from ecgfm_connectors.base import Handler, Received, Verdict


class Handling:
    """The calls under way of one listener's handler, from any thread."""

    def __init__(self, listener: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._monotonic = monotonic
        self._since: dict[int, float] = {}
        self._numbers = count()

    def of(self, handler: Handler) -> Handler:
        """The handler, watched."""
        return partial(self._handle, handler)

    @property
    def silence(self) -> float:
        """Seconds of the call that has lasted longest; 0 where none is under way."""
        since = min(self._since.copy().values(), default=None)
        return 0.0 if since is None else self._monotonic() - since

    def _handle(self, handler: Handler, received: Received) -> Verdict:
        number = next(self._numbers)
        self._since[number] = self._monotonic()
        try:
            return handler(received)
        except Exception as error:  # the sender is told to repeat; nobody else would hear of it
            log.event("handler.failed", logging.ERROR, listener=self._listener, error=type(error).__name__)
            raise
        finally:
            del self._since[number]
