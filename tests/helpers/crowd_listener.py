"""An MLLP port in a process of its own: says its port, listens until its standard input ends, says what was committed.

`python -m tests.helpers.crowd_listener MAX_MESSAGE_BYTES`
"""

import sys
import threading
from datetime import UTC, datetime

from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.hl7.listener import MllpListener


class Inbox:
    """Keeps the control id of each message."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, received: Received) -> Verdict:
        with self._lock:
            self.ids.add(received.content.split(b"|", 10)[9].decode())
        return Verdict(disposition=Disposition.STAGED)


def main(longest: int) -> None:
    inbox = Inbox()
    listener = MllpListener(
        name="hl7",
        host="127.0.0.1",
        port=0,
        handler=inbox,
        clock=lambda: datetime.now(UTC),
        max_message_bytes=longest,
        max_connections=200,
        max_per_host=10,
        frame_timeout=10,
    )
    listener.start()
    print(listener.port, flush=True)
    sys.stdin.read()
    listener.stop()
    print(*sorted(inbox.ids), sep="\n", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
