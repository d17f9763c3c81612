"""Group commit: what arrives while a commit is under way shares the next one.

A durable commit waits for the disk, and SQLite lets one writer in at a time. Eight carts that each wait for a commit of
their own wait eight times; together they wait once. Nobody is answered before the commit that holds his own item.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ecgfm_clinical.errors import StoreUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class _Place(Generic[Item, Answer]):
    """One caller's item, and what came of it."""

    item: Item
    woken: threading.Event = field(default_factory=threading.Event)
    settled: bool = False
    answers: tuple[Answer, ...] = ()  #: its own answer, once it is committed
    error: Exception | None = None


class GroupCommit(Generic[Item, Answer]):
    """Calls of many threads, run in groups.

    The first caller leads: it commits its own item alone, at once. Those who come meanwhile are the next group, and the
    first of them leads that one. So a lone caller pays nothing, and nobody waits for more than the commit before his.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Answer]]) -> None:
        """`commit` does all items in one transaction, giving an answer for each in their order, or does none."""
        self._commit = commit
        self._lock = threading.Lock()
        self._waiting: list[_Place[Item, Answer]] = []
        self._led = False

    def __call__(self, item: Item) -> Answer:
        """The answer for `item`, after its commit. Raises what `commit` raises for this item alone."""
        place = _Place[Item, Answer](item)
        with self._lock:
            self._waiting.append(place)
            leads, self._led = not self._led, True
        if not leads:
            place.woken.wait()
        if not place.settled:
            self._lead()
        if place.error is not None:
            raise place.error
        return place.answers[0]

    def _lead(self) -> None:
        with self._lock:
            group, self._waiting = self._waiting, []
        try:
            self._settle(group)
        finally:
            with self._lock:
                following = self._waiting[:1]
                self._led = bool(following)
            for place in (*group, *following):
                place.woken.set()

    def _settle(self, group: Sequence[_Place[Item, Answer]]) -> None:
        try:
            answers = self._commit([place.item for place in group])
        except Exception as error:  # noqa: BLE001  raised again for the caller whose item it is
            self._part(group, error)
        else:
            for place, answer in zip(group, answers, strict=True):
                place.answers, place.settled = (answer,), True

    def _part(self, group: Sequence[_Place[Item, Answer]], failure: Exception) -> None:
        """Nothing of `group` is committed. Each gets a commit of its own, so that no item costs the others theirs."""
        for place in group:
            if len(group) == 1 or isinstance(failure, StoreUnavailable):  # who does not answer one answers none
                place.error, place.settled = failure, True
            else:
                self._settle([place])
                failure = place.error or failure
