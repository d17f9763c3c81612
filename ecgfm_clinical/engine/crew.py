"""Processes, or one thread, that read and prepare recordings ahead of whoever takes them, in order.

A process that is killed, by the system for its memory say, takes nothing with it: what was in all hands is tried again,
each piece by itself, and the piece that then kills its process twice is answered by `lost`. A process that gives no
answer for `PATIENCE` seconds is killed, and the piece that hangs its process again by itself is lost.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Generic, Self, TypeVar  # Any: what a process hands back

from ecgfm.feeding import Prepared
from ecgfm_clinical import log
from ecgfm_clinical.engine import slots
from ecgfm_clinical.errors import InputError

Task = TypeVar("Task")
T = TypeVar("T")

#: Pieces handed over at once, as many as a slot has room for at two segments each: handing one over costs as much as
#: reading a tenth of a recording.
AT_ONCE = 8
#: Portions that wait for a process at least: as many as fill a call of 64 segments, which is when answers are taken.
LEAST_WAITING = 4
#: Most processes that `usable_cores` says; beyond, one process that takes the answers can't keep up.
MOST = 16
#: Seconds without an answer of a process, for pieces that take some milliseconds each.
PATIENCE = 120.0
#: How often processes are started that are killed before their first piece.
STARTS = 3
#: s that a pool has to end by itself, and between two looks at whether it has.
_A_MOMENT = 1.0


def usable_cores() -> int:
    """How many processes may run at a time here, at most `MOST`."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, mine)


@dataclass(slots=True, eq=False)
class _Handed(Generic[Task]):
    """Pieces in the hands of a process."""

    pieces: Sequence[Task]
    slot: SharedMemory | None
    answer: Future[Any]


class Crew(Generic[Task, T]):
    """Call `work` on each of many pieces. A context manager; its processes end with it."""

    def __init__(
        self,
        work: Callable[[Sequence[Task]], Sequence[Prepared[T]]],
        *,
        processes: int,
        lost: Callable[[Task, str], Sequence[Prepared[T]]],
        at_once: int = AT_ONCE,
        modules: Sequence[str] = (),
        begin: Callable[[], None] | None = None,
        patience: float = PATIENCE,
        sign: Callable[[], None] = lambda: None,
    ) -> None:
        """`work` answers a few pieces, in order; it must be picklable, and what it raises ends everything.

        `processes`: 0 for a thread of this process, which is waited for without end; `lost`: the answer for a piece
        that kills or hangs its process, and what became of that; `at_once`: pieces handed over at once; `modules`:
        imported once for all processes; `begin`: called first in each; `patience`: s in which a process must answer;
        `sign`: called whenever one has answered, or was given up.
        """
        self._work = work
        self._processes = processes
        self._lost = lost
        self.at_once = at_once
        self._begin = begin
        self._patience = patience if processes else None
        self._sign = sign
        self._modules = list(modules)
        self._slots: list[SharedMemory] = []
        self._pool: Executor | None = None
        self._waiting: deque[_Handed[Task]] = deque()

    def __enter__(self) -> Self:
        try:
            self._pool = self._new_pool(self._processes)
            for _ in range(self._depth if self._processes else 0):
                self._slots.append(SharedMemory(create=True, size=slots.SLOT_BYTES))
        except OSError:  # /dev/shm is full, say: what was begun would stay
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._end_abandoned()
            _end(self._pool)
            self._pool = None
        for slot in self._slots:
            with suppress(BufferError):  # an array of it is still looked at: it goes with the process
                slot.close()
            slot.unlink()
        self._slots = []

    @property
    def _depth(self) -> int:
        """Portions under way at a time: one in the hands of each process, and one waiting for it; `LEAST_WAITING` where
        they are few, for whoever takes the answers stops now and then, to write say.
        """
        return self._processes + max(LEAST_WAITING, self._processes) if self._processes else 2

    def answers(self, pieces: Iterable[Task]) -> Iterator[Prepared[T]]:
        """What `work` gave for each piece, in order. Segments are valid until the next is asked for."""
        self._end_abandoned()
        if self._pool is None:
            self._pool = self._new_pool(self._processes)
        waiting = self._waiting
        free = list(self._slots)
        source = iter(pieces)
        while portion := list(islice(source, self.at_once)):
            waiting.append(self._hand(portion, free.pop() if free else None))
            if len(waiting) >= self._depth:
                yield from self._next(waiting, free)
        while waiting:
            yield from self._next(waiting, free)

    def _end_abandoned(self) -> None:
        """A process may still fill a slot for answers that broke off: filled anew, it would hold another's segments."""
        left = [one.answer for one in self._waiting if not one.answer.cancel()]
        if wait(left, self._patience).not_done:
            self._kill()
            wait(left)
        self._waiting.clear()

    def _next(self, waiting: deque[_Handed[Task]], free: list[SharedMemory]) -> Iterator[Prepared[T]]:
        """The answers of the oldest portion."""
        handed = waiting.popleft()
        self._await(handed.answer)
        try:
            answers = handed.answer.result()
        except BrokenProcessPool:
            yield from self._one_by_one([handed, *waiting])
            free += [one.slot for one in (handed, *waiting) if one.slot is not None]
            waiting.clear()
            return
        yield from answers if handed.slot is None else slots.take(handed.slot, *answers)
        if handed.slot is not None:
            free.append(handed.slot)

    def _await(self, answer: Future[Any]) -> bool:
        """Until it is there; False where its process hung and was killed."""
        answered = not wait([answer], self._patience).not_done
        self._sign()
        if answered:
            return True
        log.event("crew.hangs", logging.ERROR, seconds=round(self._patience or 0))
        self._kill()
        wait([answer])
        return False

    def _kill(self) -> None:
        """The processes of the pool, which is broken by it; a thread cannot be killed, and is never given up."""
        for process in list((getattr(self._pool, "_processes", None) or {}).values()):
            process.kill()

    def _end_broken(self) -> None:
        assert self._pool is not None
        _end(self._pool)

    def _hand(self, portion: Sequence[Task], slot: SharedMemory | None) -> _Handed[Task]:
        assert self._pool is not None
        name = None if slot is None else slot.name
        try:
            answer = self._pool.submit(_done, self._work, portion, name)
        except BrokenProcessPool as error:
            answer = Future()
            answer.set_exception(error)
        return _Handed(pieces=portion, slot=slot, answer=answer)

    def _one_by_one(self, handed: Sequence[_Handed[Task]]) -> Iterator[Prepared[T]]:
        """Again what was in hand when a process was killed, each piece by itself in a process of its own."""
        self._end_broken()
        self._pool = self._new_pool(1)
        for piece in (piece for one in handed for piece in one.pieces):
            yield from self._by_itself(piece)
        self._end_broken()
        self._pool = self._new_pool(self._processes)

    def _by_itself(self, piece: Task) -> Sequence[Prepared[T]]:
        """Twice where it is killed: the first process may be killed for something else. Once where it hangs."""
        became, answered = "was killed", True
        for _ in range(2):
            assert self._pool is not None
            try:
                answer = self._pool.submit(_done, self._work, [piece], None)
                answered = self._await(answer)
                found: Sequence[Prepared[T]] = answer.result()
                return found
            except BrokenProcessPool:
                self._end_broken()
                self._pool = self._new_pool(1)
            if not answered:
                became = f"gave no answer for {self._patience:g} s"
                break
        log.event("crew.lost", logging.ERROR, process=became)
        return self._lost(piece, became)

    def _new_pool(self, processes: int) -> Executor:
        if not processes:
            return ThreadPoolExecutor(1, thread_name_prefix="prepare")
        for _ in range(STARTS):
            pool = self._started(processes)
            if pool is not None:
                return pool
            log.event("crew.does-not-start", logging.ERROR, processes=processes)
        self._pool = None  # whoever goes on has it started anew
        raise InputError(
            f"the processes that read recordings were killed {STARTS} times while they started, by the system for its "
            "memory perhaps; see that there is enough for them, or start fewer (--workers, or [scoring] workers), and "
            "repeat: no recording was given up"
        )

    def _started(self, processes: int) -> ProcessPoolExecutor | None:
        """None where the first process is killed while it starts, which is no fault of any piece."""
        # Forked from a process that has loaded no network and runs no thread.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *self._modules, "ecgfm_clinical.engine.frozen"])
        pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(self._begin,))
        try:
            awake = pool.submit(_awake, self._work)
            wait([awake], PATIENCE)  # that a process starts slowly is no fault of its first piece
            self._sign()
            if not awake.done() or awake.exception() is None:
                return pool
        except BrokenProcessPool:
            pass
        _end(pool)
        return None


def _end(pool: Executor) -> None:
    """End a pool that is broken, or has nothing left to do.

    A process that `submit` starts in the moment in which another is killed is not among those that the broken pool
    terminates, and its own `shutdown` would wait for that one for ever.
    """
    processes: Mapping[int, BaseProcess] = getattr(pool, "_processes", None) or {}
    manager: threading.Thread | None = getattr(pool, "_executor_manager_thread", None)
    pool.shutdown(wait=manager is None, cancel_futures=True)
    if manager is None:
        return
    manager.join(_A_MOMENT)
    while manager.is_alive():
        for process in list(processes.values()):
            process.kill()
        manager.join(_A_MOMENT)


def _begin(also: Callable[[], None] | None) -> None:
    """In each new process: whoever started it says when to stop; where that one is gone, it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    if also is not None:
        also()


def _end_with(sentinel: Any) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _awake(_: object) -> None:
    """The process has loaded the work."""


_mapped: dict[str, SharedMemory] = {}  #: in a process of a crew: the slots it has seen


def _done(work: Callable[[Sequence[Task]], Sequence[Prepared[T]]], portion: Sequence[Task], slot: str | None) -> Any:
    found = list(work(portion))
    if slot is None:
        return found
    if slot not in _mapped:
        _mapped[slot] = SharedMemory(slot)
    return slots.put(_mapped[slot], found)
