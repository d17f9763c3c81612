"""What a DICOM port holds in memory stays within its bound over all associations, half received or not yet stored."""

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


def test_the_largest_half_received_object_gives_way_to_a_small_one() -> None:
    memory, ended = Memory(100), list[str]()
    large, small, new = memory.share(lambda: ended.append("large")), memory.share(_nobody), memory.share(_nobody)
    memory.take(large, 80, 0)
    memory.take(small, 10, 0)
    taken = threading.Thread(target=memory.take, args=(new, 20, 120))
    taken.start()
    wait_until(lambda: ended)
    assert taken.is_alive(), "the bytes of the one that was ended are still in memory"
    with pytest.raises(NoRoom):
        memory.take(large, 1, 0)
    memory.leave(large)
    taken.join(120)
    assert memory.held == 30


def test_who_holds_most_itself_makes_room() -> None:
    memory, ended = Memory(100), list[str]()
    one, other = memory.share(lambda: ended.append("one")), memory.share(_nobody)
    memory.take(one, 60, 0)
    memory.take(other, 30, 0)
    with pytest.raises(NoRoom):
        memory.take(one, 20, 0)
    assert memory.held == 90


def test_what_came_whole_is_waited_for_and_never_given_up() -> None:
    memory = Memory(100)
    stored, waiting = memory.share(_nobody), memory.share(_nobody)
    memory.take(stored, 90, 0)
    memory.whole(stored)
    with pytest.raises(TimeoutError):
        memory.take(waiting, 20, 0.01)
    taken = threading.Thread(target=memory.take, args=(waiting, 20, 120))
    taken.start()
    memory.stored(stored)
    taken.join(120)
    assert memory.held == 20


def test_one_object_has_room_however_long_it_is() -> None:
    memory = Memory(100)
    memory.take(memory.share(_nobody), 5000, 0)


def test_an_association_that_ended_while_it_waited_takes_nothing() -> None:
    memory = Memory(100)
    full, waiting = memory.share(_nobody), memory.share(_nobody)
    memory.take(full, 100, 0)
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
    assert memory.held == 100


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
    with caller.makefile("rb") as answers:
        head = answers.read(6)
        content = answers.read(int.from_bytes(head[2:], "big"))
    assert head[:1] == b"\x04", "the association was ended"
    at = content.find(b"\x00\x00\x00\x09\x02\x00\x00\x00")
    return int.from_bytes(content[at + 8 : at + 10], "little")


def memory_of(port: StorageScp) -> Memory:
    assert port._server is not None
    return port._server.memory


def test_objects_that_wait_for_the_store_count_and_the_others_wait_outside() -> None:
    """They counted as nothing once they had come whole: so many associations, so many objects."""
    store, content = Store(), dicom_wire.store(bytes(SIZE), "2.25.1")
    with serving(store, 3 * SIZE) as port, ExitStack() as callers:
        most, all_callers = memory_of(port), [calling(port, callers) for _ in range(8)]
        for one in all_callers:
            one.sendall(content)
        wait_until(lambda: store.asked == 2)
        assert 2 * SIZE < most.held <= 3 * SIZE
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
