"""What a DICOM port holds in memory stays within its bound over all associations, half received or not yet stored."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest

from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.dicom import storage
from ecgfm_connectors.dicom.memory import Memory, NoRoom, Share
from ecgfm_connectors.dicom.storage import StorageScp
from tests.helpers import dicom_wire
from tests.helpers.fakes import wait_until

LOOPBACK = "127.0.0.1"
SIZE = 40_000  #: bytes of an object's one element


def _nobody() -> None:
    raise AssertionError("this association was not to be ended")


# --- the bound by itself ----------------------------------------------------------------------------------------------


def _goes(memory: Memory, share: Share, size: int) -> threading.Thread:
    """Takes so much, as soon as it may."""
    taking = threading.Thread(target=memory.take, args=(share, size, 120))
    taking.start()
    return taking


def test_where_nothing_moves_who_holds_most_half_received_gives_way() -> None:
    memory, ended = Memory(100, stuck_after=0.1), list[str]()
    large, beyond = memory.share(lambda: ended.append("large")), memory.share(_nobody)
    small = memory.share(_nobody)
    memory.take(large, 90, 0)
    memory.take(beyond, 20, 0)
    taken = _goes(memory, small, 20)
    wait_until(lambda: ended)
    with pytest.raises(NoRoom):
        memory.take(large, 1, 0)
    assert small.held == 0, "the bytes of the one that was ended are still in memory"
    memory.leave(large)
    taken.join(120)
    assert memory.held == 40


def test_one_association_goes_beyond_the_bound_and_the_next_one_after_it() -> None:
    """Those that are half received do not wait for each other for ever, and none of them is ended."""
    memory = Memory(100)
    shares = [memory.share(_nobody) for _ in range(4)]
    for one in shares:
        memory.take(one, 25, 0)
    memory.take(shares[0], 25, 0)
    memory.take(shares[0], 25, 0)
    with pytest.raises(TimeoutError):
        memory.take(shares[1], 25, 0.01)
    memory.whole(shares[0])
    taken = [_goes(memory, one, 50) for one in shares[1:]]
    memory.stored(shares[0])
    for _ in shares[1:]:
        wait_until(lambda: any(one.held == 75 for one in shares))
        whole = next(one for one in shares if one.held == 75)
        memory.whole(whole)
        memory.stored(whole)
    for taking in taken:
        taking.join(120)
    assert memory.held == 0


def test_what_came_whole_is_waited_for_and_nobody_is_ended_meanwhile() -> None:
    memory = Memory(100, stuck_after=0)
    stored, beyond, waiting = memory.share(_nobody), memory.share(_nobody), memory.share(_nobody)
    memory.take(stored, 90, 0)
    memory.whole(stored)
    memory.take(beyond, 20, 0)
    with pytest.raises(TimeoutError):
        memory.take(waiting, 20, 0.2)
    taken = _goes(memory, waiting, 20)
    memory.stored(stored)
    taken.join(120)
    assert memory.held == 40


def test_one_object_has_room_however_long_it_is() -> None:
    memory = Memory(100)
    memory.take(memory.share(_nobody), 5000, 0)


def test_an_association_that_ended_while_it_waited_takes_nothing() -> None:
    memory = Memory(100)
    full, waiting = memory.share(_nobody), memory.share(_nobody)
    memory.take(full, 101, 0)
    memory.whole(full)
    found: list[type[Exception]] = []

    def takes(share: Share) -> None:
        try:
            memory.take(share, 1, 120)
        except OSError as error:
            found.append(type(error))

    taking = threading.Thread(target=takes, args=(waiting,))
    taking.start()
    memory.end(waiting)
    taking.join(120)
    assert found == [NoRoom]
    assert memory.held == 101


# --- a port -----------------------------------------------------------------------------------------------------------


class Store:
    """Keeps nothing until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked = 0
        self.most = 0  #: at once
        self._at_once = 0
        self._lock = threading.Lock()

    def __call__(self, _: Received) -> Verdict:
        with self._lock:
            self.asked += 1
            self._at_once += 1
            self.most = max(self.most, self._at_once)
        assert self.open.wait(120)
        with self._lock:
            self._at_once -= 1
        return Verdict(disposition=Disposition.STAGED)


@contextmanager
def serving(store: Callable[[Received], Verdict], held: int) -> Iterator[StorageScp]:
    port = StorageScp(
        name="dicom",
        ae_title="ECGFM",
        host=LOOPBACK,
        port=0,
        handler=store,
        clock=lambda: datetime.now(UTC),
        max_held_bytes=held,
    )
    port.start()
    try:
        yield port
    finally:
        port.stop(grace=1)


def calling(port: StorageScp, callers: ExitStack) -> socket.socket:
    caller = callers.enter_context(socket.create_connection((LOOPBACK, port.port), timeout=120))
    caller.sendall(dicom_wire.associate())
    dicom_wire.wait_accepted(caller)
    return caller


def status(caller: socket.socket) -> int:
    """Of the next answer; nothing is read ahead."""
    with caller.makefile("rb", buffering=0) as answers:
        head = exactly(answers, 6)
        content = exactly(answers, int.from_bytes(head[2:], "big"))
    assert head[:1] == b"\x04", "the association was ended"
    at = content.find(b"\x00\x00\x00\x09\x02\x00\x00\x00")
    return int.from_bytes(content[at + 8 : at + 10], "little")


def exactly(answers: io.RawIOBase, size: int) -> bytes:
    """So many bytes, or fewer where the connection ends."""
    found = b""
    while len(found) < size and (more := answers.read(size - len(found))):
        found += more
    return found


def memory_of(port: StorageScp) -> Memory:
    assert port._server is not None
    return port._server.memory


def test_objects_that_wait_for_the_store_count_and_the_others_wait_outside() -> None:
    """They counted as nothing once they had come whole: so many associations, so many objects."""
    store, content = Store(), dicom_wire.store(bytes(SIZE), "2.25.1")
    with serving(store, 3 * SIZE) as port, ExitStack() as callers:
        most, all_callers = memory_of(port), [calling(port, callers) for _ in range(8)]
        for one in all_callers[:3]:
            one.sendall(content)
        wait_until(lambda: store.asked == 3)
        for one in all_callers[3:]:
            one.sendall(content)
        assert most.held <= 4 * SIZE
        store.open.set()
        assert [status(one) for one in all_callers] == [0x0000] * 8
        wait_until(lambda: most.held == 0)
    assert store.asked == 8


def test_a_caller_that_does_not_wait_for_answers_fills_no_memory() -> None:
    """All that it sent was read and kept, for each object that was handled began the count anew."""
    store, content = Store(), dicom_wire.store(bytes(SIZE), "2.25.1")
    with serving(store, 100 * SIZE) as port, ExitStack() as callers:
        caller = calling(port, callers)
        sending = threading.Thread(target=caller.sendall, args=(30 * content,))
        sending.start()
        wait_until(lambda: store.asked)
        assert port._server is not None
        (association,) = port._server.active_associations
        held = memory_of(port).held
        assert held < 2 * SIZE
        assert association.dimse.msg_queue.qsize() == 0
        store.open.set()
        assert [status(caller) for _ in range(30)] == [0x0000] * 30
        sending.join(120)


def test_few_objects_are_handled_at_once_and_who_waits_too_long_is_told_to_repeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "_LONGEST_WAIT", 0.2)
    store, content = Store(), dicom_wire.store(bytes(100), "2.25.1")
    with serving(store, 100 * SIZE) as port, ExitStack() as callers:
        first = [calling(port, callers) for _ in range(storage._WORKERS)]
        for one in first:
            one.sendall(content)
        wait_until(lambda: store.asked == storage._WORKERS)
        late = calling(port, callers)
        late.sendall(content)
        assert status(late) == 0xA700
        store.open.set()
        assert [status(one) for one in first] == [0x0000] * storage._WORKERS
        late.sendall(content)
        assert status(late) == 0x0000
    assert store.most == storage._WORKERS
