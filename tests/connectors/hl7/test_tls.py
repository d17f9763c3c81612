"""MLLP over mutual TLS: only certificates of the trusted authority get through, in both directions."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecgfm_connectors.base import Received, Verdict
from ecgfm_connectors.errors import ConnectorError, Misconfigured
from ecgfm_connectors.hl7.framing import frame
from ecgfm_connectors.hl7.listener import MllpListener
from ecgfm_connectors.rejections import Rejection
from ecgfm_connectors.testing.mllp_cart import MllpCart
from ecgfm_connectors.tls import TlsFiles, trusting
from tests.helpers.certificates import OPENSSL, CertificateAuthority
from tests.helpers.fakes import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which(OPENSSL) is None, reason="the openssl program is not installed"),
]

MESSAGE = b"MSH|^~\\&|CART|WARD|ECGFM|H|20260301||ORU^R01|M1|P|2.5.1\rPID|1||1^^^H^MR\r"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(authority: CertificateAuthority) -> TlsFiles:
    return authority.issue("server")


@pytest.fixture(scope="module")
def client(authority: CertificateAuthority) -> TlsFiles:
    return authority.issue("client")


@pytest.fixture
def received() -> list[Received]:
    return []


@pytest.fixture
def told() -> list[Rejection]:
    return []


@pytest.fixture
def listening(received: list[Received], staged: Verdict, told: list[Rejection]) -> Iterator[Callable[[TlsFiles], int]]:
    started: list[MllpListener] = []

    def keep(payload: Received) -> Verdict:
        received.append(payload)
        return staged

    def listen(tls: TlsFiles) -> int:
        listener = MllpListener(
            name="hl7",
            host="127.0.0.1",
            port=0,
            handler=keep,
            clock=lambda: datetime.now(UTC),
            tls=tls,
            turned_away=told.append,
        )
        listener.start()
        started.append(listener)
        return listener.port

    yield listen
    for listener in started:
        listener.stop()


def test_both_sides_trusted(listening: Callable[[TlsFiles], int], server: TlsFiles, client: TlsFiles) -> None:
    with MllpCart("localhost", listening(server), tls=client) as cart:
        assert [cart.send(MESSAGE).code for _ in range(3)] == ["AA"] * 3


def test_openssl_gets_through(
    listening: Callable[[TlsFiles], int], server: TlsFiles, client: TlsFiles, received: list[Received]
) -> None:
    command = [OPENSSL, "s_client", "-quiet", "-connect", f"127.0.0.1:{listening(server)}", "-verify_return_error"]
    files = ["-CAfile", client.trusted, "-cert", client.certificate, "-key", client.key]
    process = subprocess.Popen(
        [*command, *map(str, files)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(frame(MESSAGE))
    process.stdin.flush()
    answer = b""
    while not answer.endswith(b"\x1c\r"):
        answer += process.stdout.read(1)
    process.kill()
    process.communicate()
    assert b"MSA|AA|M1" in answer
    assert len(received) == 1


@pytest.mark.parametrize(
    ("kind", "reason"), [("foreign", "tls-certificate"), ("expired", "tls-certificate"), ("plain", "tls-failed")]
)
def test_other_callers_are_not_let_in(
    listening: Callable[[TlsFiles], int],
    authority: CertificateAuthority,
    server: TlsFiles,
    client: TlsFiles,
    received: list[Received],
    told: list[Rejection],
    tmp_path: Path,
    kind: str,
    reason: str,
) -> None:
    callers: dict[str, Callable[[], TlsFiles | None]] = {
        "foreign": lambda: replace(CertificateAuthority(tmp_path, "rogue").issue("client"), trusted=client.trusted),
        "expired": lambda: authority.issue("expired", days=-1),
        "plain": lambda: None,
    }
    with (
        MllpCart("localhost", listening(server), tls=callers[kind](), timeout=5) as cart,
        pytest.raises(ConnectorError),
    ):
        cart.send(MESSAGE)
    assert received == []
    wait_until(lambda: told)
    assert {(one.host, one.reason) for one in told} == {("127.0.0.1", reason)}


def test_a_certificate_that_ended_is_told_and_a_renewed_one_counts_from_the_next_connection_on(
    listening: Callable[[TlsFiles], int], authority: CertificateAuthority, client: TlsFiles, told: list[Rejection]
) -> None:
    """The port went on with what it had read at its start, and its callers' refusal was told as "no TLS"."""
    port = listening(authority.issue("renewed"))
    with MllpCart("localhost", port, tls=client) as open_before:
        assert open_before.send(MESSAGE).code == "AA"
        authority.issue("renewed", days=-1)  # in its place
        with MllpCart("localhost", port, tls=client, timeout=60) as cart, pytest.raises(ConnectorError):
            cart.send(MESSAGE)
        wait_until(lambda: [one.reason for one in told] == ["tls-refused"])
        assert open_before.send(MESSAGE).code == "AA"
    files = authority.issue("renewed")
    key = files.key.read_bytes()
    files.key.write_bytes(b"half renewed")
    with MllpCart("localhost", port, tls=client, timeout=60) as cart, pytest.raises(ConnectorError):
        cart.send(MESSAGE)  # still the one that ended: the port stays open
    files.key.write_bytes(key)
    with MllpCart("localhost", port, tls=client) as cart:
        assert cart.send(MESSAGE).code == "AA"


def test_a_caller_without_a_certificate_is_told(
    listening: Callable[[TlsFiles], int], server: TlsFiles, client: TlsFiles, told: list[Rejection]
) -> None:
    port = listening(server)
    bare = trusting(client.trusted)
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        bare.wrap_socket(plain, server_hostname="localhost") as caller,
    ):
        caller.recv(1)
    wait_until(lambda: told)
    assert [one.reason for one in told] == ["tls-no-certificate"]


def test_a_caller_that_only_looks_whether_the_port_is_open_is_none_turned_away(
    listening: Callable[[TlsFiles], int], server: TlsFiles, client: TlsFiles, told: list[Rejection]
) -> None:
    port = listening(server)
    socket.create_connection(("127.0.0.1", port)).close()
    with MllpCart("localhost", port, tls=client) as cart:
        assert cart.send(MESSAGE).code == "AA"
    assert told == []


def test_a_server_we_do_not_trust_is_misconfigured(
    listening: Callable[[TlsFiles], int], client: TlsFiles, tmp_path: Path
) -> None:
    rogue = CertificateAuthority(tmp_path, "rogue").issue("server")
    port = listening(replace(rogue, trusted=client.trusted))
    with MllpCart("localhost", port, tls=client) as cart, pytest.raises(Misconfigured, match="not trusted"):
        cart.send(MESSAGE)


def test_a_silent_caller_blocks_nobody(
    listening: Callable[[TlsFiles], int], server: TlsFiles, client: TlsFiles
) -> None:
    port = listening(server)
    with socket.create_connection(("127.0.0.1", port)), MllpCart("localhost", port, tls=client) as cart:
        assert cart.send(MESSAGE).code == "AA"


def closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:  # taken and dropped again
        pass
    return False


def test_stopping_answers_the_message_at_work_still_encrypted(
    server: TlsFiles, client: TlsFiles, staged: Verdict, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    begun, committing = threading.Event(), threading.Event()

    def commit(payload: Received) -> Verdict:
        begun.set()
        assert committing.wait(20)
        return staged

    listener = MllpListener(
        name="hl7", host="127.0.0.1", port=0, handler=commit, clock=lambda: datetime.now(UTC), tls=server
    )
    listener.start()
    with MllpCart("localhost", listener.port, tls=client) as cart, ThreadPoolExecutor(2) as threads:
        answer = threads.submit(cart.send, MESSAGE)
        assert begun.wait(20)
        stopped = threads.submit(listener.stop)
        wait_until(lambda: closed(listener.port))
        committing.set()
        assert answer.result(20).code == "AA"
        stopped.result(20)


def test_unusable_files_are_said_when_the_port_opens(
    listening: Callable[[TlsFiles], int], server: TlsFiles, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match="TLS files"):
        listening(replace(server, certificate=tmp_path / "missing.crt"))
