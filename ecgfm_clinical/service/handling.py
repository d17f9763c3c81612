"""How long the calls of a port have been with their handlers, so that a handler that hangs is seen from outside."""

import logging
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import ParamSpec, Protocol, TypeVar

from ecgfm_clinical import log
from ecgfm_connectors.base import Listener

#: Under this name the console stands among the listeners.
CONSOLE = "[web]"

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class Handling:
    """The calls under way of one listener's handler, from any thread."""

    def __init__(self, listener: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._monotonic = monotonic
        self._since: dict[int, float] = {}
        self._numbers = count()

    def of(self, handler: Callable[Given, Answer]) -> Callable[Given, Answer]:
        """The handler, or what answers a page, watched."""
        return partial(self._handle, handler)

    @property
    def silence(self) -> float:
        """Seconds of the call that has lasted longest; 0 where none is under way."""
        since = min(self._since.copy().values(), default=None)
        return 0.0 if since is None else self._monotonic() - since

    def _handle(self, handler: Callable[Given, Answer], *given: Given.args, **named: Given.kwargs) -> Answer:
        number = next(self._numbers)
        self._since[number] = self._monotonic()
        try:
            return handler(*given, **named)
        except Exception as error:  # the sender is told to repeat, the browser gets a 500; nobody else would hear of it
            log.event("handler.failed", logging.ERROR, listener=self._listener, error=type(error).__name__)
            raise
        finally:
            del self._since[number]


class ConsolePort(Listener, Protocol):
    """The port of the console, of which the answers to pages are watched as well."""

    @property
    def handling(self) -> Handling: ...
