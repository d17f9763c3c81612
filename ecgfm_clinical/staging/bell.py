"""Who waits for work is woken when it is committed: no timer lies between an ECG's arrival and its result.

A call may be lost, with the process that was about to make it say: so whoever is woken also looks by itself from time
to time, and a call too many does no harm. How other processes hear of it stands in `hearing`.
"""

from collections.abc import Callable, Collection
from threading import Lock
from typing import Literal

#: What there is to do: ECGs to be scored, messages to be sent, questions where a model looked.
Work = Literal["score", "report", "saliency"]
WORK: tuple[Work, ...] = ("score", "report", "saliency")


class Bell:
    """Rung after each commit that left work; safe to use from any thread."""

    def __init__(self, call_others: Callable[[Collection[Work]], None] = lambda _: None) -> None:
        """`call_others`: tells other processes; it must not raise."""
        self._call_others = call_others
        self._lock = Lock()
        self._waiting: list[tuple[Work, Callable[[], None]]] = []

    def wakes(self, work: Work, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` whenever there is such work; returns how to end that."""
        entry = (work, wake)
        with self._lock:
            self._waiting.append(entry)

        def end() -> None:
            with self._lock:
                self._waiting.remove(entry)

        return end

    def ring(self, work: Collection[Work]) -> None:
        """This process has committed such work."""
        if work:
            self.heard(work)
            self._call_others(work)

    def heard(self, work: Collection[Work]) -> None:
        """Some process has committed such work."""
        with self._lock:
            waiting = list(self._waiting)
        for kind, wake in waiting:
            if kind in work:
                wake()
