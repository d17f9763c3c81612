"""The MLLP port answers every message once, in order, after its verdict, whatever the peer does to the connection."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.errors import Misconfigured
from ecgfm_connectors.hl7 import ack
from ecgfm_connectors.hl7 import listener as listener_module
from ecgfm_connectors.hl7.framing import Framer, frame
from ecgfm_connectors.hl7.listener import MllpListener
from ecgfm_connectors.hl7.senders import UNKNOWN_SENDER
from ecgfm_connectors.rejections import Rejection
from ecgfm_connectors.result import Ack

STAGED = Verdict(disposition=Disposition.STAGED)


def body(control_id: str = "M1", size: int = 0, modes: str = "|", sender: str = "CART") -> bytes:
    head = f"MSH|^~\\&|{sender}|WARD|ECGFM|H|20260301||ORU^R01^ORU_R01|{control_id}|P|2.5.1|||{modes}"
    return f"{head}\rPID|1||1^^^H^MR\rOBX|1|ED|||{'A' * size}\r".encode()


class Peer:
    """One connection of a sender."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        self._framer = Framer()
        self._waiting: list[bytes] = []

    def send(self, *chunks: bytes) -> None:
        for chunk in chunks:
            self.socket.sendall(chunk)

    def answer(self) -> Ack:
        while not self._waiting:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError("closed")
            self._waiting += self._framer.feed(data)
        return ack.parse(self._waiting.pop(0))

    def closed(self) -> bool:
        """Waits until the other side closes."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def received() -> list[Received]:
    return []


@pytest.fixture
def listening(received: list[Received]) -> Iterator[Callable[..., MllpListener]]:
    started: list[MllpListener] = []

    def start(handler: Callable[[Received], Verdict] | None = None, **options: object) -> MllpListener:
        def keep(payload: Received) -> Verdict:
            received.append(payload)
            return STAGED

        listener = MllpListener(
            name="hl7",
            host="127.0.0.1",
            port=0,
            handler=handler or keep,
            clock=lambda: datetime(2026, 3, 1, 9, tzinfo=UTC),
            **options,  # type: ignore[arg-type]  # each test passes options of the right type
        )
        listener.start()
        started.append(listener)
        return listener

    yield start
    for listener in started:
        listener.stop()


@pytest.fixture
def peer(listening: Callable[..., MllpListener]) -> Iterator[Peer]:
    peer = Peer(listening().port)
    yield peer
    peer.socket.close()


def test_two_frames_in_one_write(peer: Peer, received: list[Received]) -> None:
    peer.send(frame(body("M1")) + frame(body("M2")))
    assert [peer.answer().control_id for _ in range(2)] == ["M1", "M2"]
    assert [payload.content for payload in received] == [body("M1"), body("M2")]


def test_several_messages_on_one_connection_are_each_answered_once(peer: Peer) -> None:
    for number in range(20):
        peer.send(frame(body(f"M{number}")))
        assert peer.answer().control_id == f"M{number}"


def test_end_block_in_separate_packets(peer: Peer, received: list[Received]) -> None:
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    whole = frame(body())
    for byte in (whole[:1], whole[1:9], whole[9:-2], whole[-2:-1], whole[-1:]):
        peer.send(byte)
    assert peer.answer().code == "AA"
    assert received[0].content == body()


def test_bytes_before_the_frame_are_skipped(peer: Peer) -> None:
    peer.send(b"\r\nnoise" + frame(body()))
    assert peer.answer() == Ack(code="AA", control_id="M1")


def test_a_frame_that_is_not_hl7_reaches_the_handler_and_is_answered(listening: Callable[..., MllpListener]) -> None:
    damaged = Verdict(disposition=Disposition.UNREADABLE, code="not-hl7", text="does not start with an MSH segment")
    peer = Peer(listening(lambda payload: damaged).port)
    peer.send(frame(b"hello"))
    answer = peer.answer()
    assert (answer.code, answer.control_id, answer.error_code) == ("AE", "", "100")


def test_without_a_control_id(peer: Peer) -> None:
    peer.send(frame(body("")))
    assert peer.answer() == Ack(code="AA", control_id="")


@pytest.mark.parametrize(
    "content",
    [
        body().replace(b"2.5.1", b"2.9"),
        body().replace(b"\r", b"\n"),
        body().replace(b"\r", b"\r\n"),
        body().replace(b"PID|1", b"PID|\xff\xfe"),
        body(size=160_000),
        body(size=20_000_000),
    ],
    ids=["2.9", "LF", "CRLF", "invalid UTF-8", "160 kB", "20 MB"],
)
def test_what_other_servers_stumble_over(peer: Peer, received: list[Received], content: bytes) -> None:
    peer.send(frame(content))
    assert peer.answer() == Ack(code="AA", control_id="M1")
    assert received[0].content == content


def test_a_repeat_is_handed_on_and_answered_again(peer: Peer, received: list[Received]) -> None:
    peer.send(frame(body()), frame(body()))
    assert [peer.answer().control_id for _ in range(2)] == ["M1", "M1"]
    assert len(received) == 2


def test_enhanced_mode_over_the_wire(peer: Peer) -> None:
    peer.send(frame(body("M1", modes="AL|AL")) + frame(body("M2", modes="NE|NE")) + frame(body("M3", modes="AL|NE")))
    answers = [peer.answer() for _ in range(3)]
    assert [(answer.code, answer.control_id) for answer in answers] == [("CA", "M1"), ("AA", "M1"), ("CA", "M3")]


def test_no_answer_before_the_verdict(listening: Callable[..., MllpListener]) -> None:
    committing = threading.Event()

    def commit(payload: Received) -> Verdict:
        committing.wait(20)
        return STAGED

    peer = Peer(listening(commit).port)
    peer.send(frame(body()))
    peer.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.answer()
    peer.socket.settimeout(20)
    committing.set()
    assert peer.answer().code == "AA"


def test_a_failing_handler_asks_for_a_repeat(listening: Callable[..., MllpListener]) -> None:
    def fail(payload: Received) -> Verdict:
        raise RuntimeError("store away")

    peer = Peer(listening(fail).port)
    peer.send(frame(body()), frame(body("M2")))
    assert [(peer.answer().code, peer.answer().error_code)] == [("AE", "207")]


def test_one_slow_message_does_not_stop_the_others(listening: Callable[..., MllpListener]) -> None:
    slow = threading.Event()

    def commit(payload: Received) -> Verdict:
        if b"|SLOW|" in payload.content:
            slow.wait(20)
        return STAGED

    port = listening(commit).port
    waiting, other = Peer(port), Peer(port)
    waiting.send(frame(body("SLOW")))
    other.send(frame(body()))
    assert other.answer().code == "AA"
    slow.set()
    assert waiting.answer().control_id == "SLOW"


def test_too_long_a_message_closes_the_connection(
    listening: Callable[..., MllpListener], received: list[Received]
) -> None:
    peer = Peer(listening(max_message_bytes=1000).port)
    peer.send(frame(body(size=2000)))
    assert peer.closed()
    assert received == []


def test_half_received_messages_are_bounded_over_all_connections(listening: Callable[..., MllpListener]) -> None:
    port = listening(max_message_bytes=10_000).port
    peers = [Peer(port) for _ in range(12)]
    for peer in peers:
        peer.send(b"\x0b" + b"A" * 9_000)
    let_go, _, _ = select.select([peer.socket for peer in peers], [], [], 20)
    assert let_go


@pytest.mark.parametrize("start", [b"", b"\x0bMSH|half"])
def test_a_silent_peer_is_let_go(listening: Callable[..., MllpListener], start: bytes) -> None:
    peer = Peer(listening(idle_timeout=0.1, frame_timeout=0.1).port)
    peer.send(start)
    assert peer.closed()


def test_no_more_connections_than_allowed(listening: Callable[..., MllpListener]) -> None:
    port = listening(max_connections=1).port
    first = Peer(port)
    first.send(frame(body()))
    first.answer()
    assert Peer(port).closed()
    first.send(frame(body()))
    assert first.answer().code == "AA"


def test_one_address_leaves_room_for_the_others(listening: Callable[..., MllpListener]) -> None:
    """A hundred silent connections of one address: it is refused further ones, and everybody else is served."""
    port = listening(max_connections=20).port
    silent = [Peer(port, source="127.0.0.2") for _ in range(40)]
    other = Peer(port, source="127.0.0.3")
    other.send(frame(body()))
    assert other.answer().code == "AA"
    assert sum(_ended(peer) for peer in silent) >= 25
    for peer in (*silent, other):
        peer.socket.close()


def test_silent_connections_of_many_addresses_give_way(listening: Callable[..., MllpListener]) -> None:
    """The one that was silent longest without ever having sent anything goes; who has sent something stays."""
    passed = iter(range(0, 10_000, 20))
    listener = listening(max_connections=4, monotonic=lambda: float(next(passed)))
    port = listener.port
    first = Peer(port, source="127.0.0.2")
    first.send(frame(body()))
    assert first.answer().code == "AA"
    silent = [Peer(port, source=f"127.0.0.{n}") for n in (3, 4, 5)]
    for n in (6, 7, 8):  # one more than there are silent ones might find a full house of those that have sent something
        late = Peer(port, source=f"127.0.0.{n}")
        late.send(frame(body()))
        assert late.answer().code == "AA"
        late.socket.close()
    assert silent[0].closed()
    first.send(frame(body()))
    assert first.answer().code == "AA"
    for peer in (first, *silent):
        peer.socket.close()


def test_a_trickle_of_bytes_does_not_outlive_the_time_of_a_message(listening: Callable[..., MllpListener]) -> None:
    peer = Peer(listening(frame_timeout=60, message_timeout=0.3).port)
    peer.send(b"\x0bMSH|")
    ended = threading.Event()
    pause = threading.Event()

    def trickle() -> None:
        try:
            for _ in range(3000):
                peer.send(b"A")
                if pause.wait(0.02):
                    return
        except OSError:
            ended.set()

    sender = threading.Thread(target=trickle)
    sender.start()
    assert ended.wait(60)
    pause.set()
    sender.join(20)


def test_noise_between_messages_does_not_hold_a_connection(listening: Callable[..., MllpListener]) -> None:
    peer = Peer(listening(idle_timeout=0.3).port)
    stop = threading.Event()

    def trickle() -> None:
        with suppress(OSError):
            while not stop.wait(0.02):
                peer.send(b"\n")

    sender = threading.Thread(target=trickle)
    sender.start()
    assert peer.closed()
    stop.set()
    sender.join(20)


def _ended(peer: Peer) -> bool:
    peer.socket.settimeout(0.05)
    try:
        return peer.socket.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def test_only_listed_hosts(listening: Callable[..., MllpListener]) -> None:
    assert Peer(listening(allowed_hosts=("10.0.0.0/8",)).port).closed()
    peer = Peer(listening(allowed_hosts=("127.0.0.0/8",)).port)
    peer.send(frame(body()))
    assert peer.answer().code == "AA"
    with pytest.raises(Misconfigured, match="allowed_hosts"):
        listening(allowed_hosts=("ward-3",))


def test_only_listed_senders(listening: Callable[..., MllpListener], received: list[Received]) -> None:
    peer = Peer(listening(allowed_senders=("CART|WARD", "MUSE")).port)
    for sender, code in (("CART", "AA"), ("MUSE", "AA"), ("OTHER", "AR")):
        peer.send(frame(body(sender=sender)))
        assert peer.answer().code == code
    assert len(received) == 2


def test_who_is_turned_away_is_told(listening: Callable[..., MllpListener]) -> None:
    told: list[Rejection] = []
    aside: list[Received] = []

    def set_aside(payload: Received) -> Verdict:
        aside.append(payload)
        return UNKNOWN_SENDER

    strict = listening(
        allowed_hosts=("127.0.0.1",),
        allowed_senders=("CART",),
        strangers=set_aside,
        max_connections=1,
        turned_away=told.append,
    )
    assert Peer(strict.port, source="127.0.0.2").closed()
    peer = Peer(strict.port)
    peer.send(frame(body(sender="OTHER")))
    assert peer.answer().code == "AR"
    assert Peer(strict.port).closed()
    assert [(one.listener, one.host, one.reason) for one in told] == [
        ("hl7", "127.0.0.2", "address-not-allowed"),
        ("hl7", "127.0.0.1", "unknown-sender"),
        ("hl7", "127.0.0.1", "too-many-connections"),
    ]
    assert [one.content for one in aside] == [body(sender="OTHER")]


def test_a_taken_port_is_said(listening: Callable[..., MllpListener]) -> None:
    port = listening().port
    second = MllpListener(
        name="b", host="127.0.0.1", port=port, handler=lambda _: STAGED, clock=lambda: datetime.now(UTC)
    )
    with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}"):
        second.start()


def test_stopping_finishes_the_message_at_work(listening: Callable[..., MllpListener]) -> None:
    begun, committing = threading.Event(), threading.Event()

    def commit(payload: Received) -> Verdict:
        begun.set()
        committing.wait(20)
        return STAGED

    listener = listening(commit)
    idle, busy = Peer(listener.port), Peer(listener.port)
    busy.send(frame(body()))
    begun.wait(20)
    stopper = threading.Thread(target=listener.stop)
    stopper.start()
    assert idle.closed()
    committing.set()
    assert busy.answer().code == "AA"
    assert busy.closed()
    stopper.join(20)
    assert not stopper.is_alive()


def test_stop_does_not_wait_for_a_handler_that_does_not_end(listening: Callable[..., MllpListener]) -> None:
    release, begun = threading.Event(), threading.Event()

    def stuck(_: Received) -> Verdict:
        begun.set()
        release.wait(120)
        return STAGED

    listener = listening(stuck)
    waiting = Peer(listener.port)
    waiting.send(frame(body("M1")))
    assert begun.wait(120)
    listener.stop(grace=0.1)
    assert not release.is_set()
    with pytest.raises(ConnectionResetError):
        waiting.answer()
    waiting.socket.close()
    release.set()


def test_few_messages_are_handled_at_once_and_who_waits_too_long_is_told_to_repeat(
    listening: Callable[..., MllpListener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "_LONGEST_WAIT", 0.2)
    let_go, at_work = threading.Event(), threading.Semaphore(0)

    def waits(_: Received) -> Verdict:
        at_work.release()
        assert let_go.wait(120)
        return STAGED

    port = listening(waits).port
    peers = [Peer(port) for _ in range(listener_module._WORKERS)]
    for peer in peers:
        peer.send(frame(body()))
        assert at_work.acquire(timeout=120)
    late = Peer(port)
    late.send(frame(body()))
    assert late.answer().code == "AE"
    let_go.set()
    assert {peer.answer().code for peer in peers} == {"AA"}
    late.send(frame(body()))
    assert late.answer().code == "AA"
