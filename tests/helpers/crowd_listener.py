"""A port in a process of its own: says its number, listens until its standard input ends, says what was committed.

`python -m tests.helpers.crowd_listener hl7|dicom MOST_BYTES` (of a message or object)
"""

import sys
import threading
from datetime import UTC, datetime
from io import BytesIO

import pydicom

from ecgfm_connectors.base import Disposition, Listener, Received, Verdict
from ecgfm_connectors.dicom.storage import StorageScp
from ecgfm_connectors.hl7.listener import MllpListener

PLACES, OF_ONE_ADDRESS = 200, 10


class Inbox:
    """Keeps the name of each payload: MSH-10 or the SOP Instance UID."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, received: Received) -> Verdict:
        name = _sop_instance(received) if received.transport == "dicom" else _control_id(received)
        with self._lock:
            self.ids.add(name)
        return Verdict(disposition=Disposition.STAGED)


def _control_id(received: Received) -> str:
    return received.content.split(b"|", 10)[9].decode()


def _sop_instance(received: Received) -> str:
    return str(pydicom.dcmread(BytesIO(received.content), specific_tags=[]).file_meta.MediaStorageSOPInstanceUID)


def listener(protocol: str, longest: int, inbox: Inbox) -> Listener:
    """A port of one protocol."""
    if protocol == "hl7":
        return MllpListener(
            name="hl7",
            host="127.0.0.1",
            port=0,
            handler=inbox,
            clock=lambda: datetime.now(UTC),
            max_message_bytes=longest,
            max_connections=PLACES,
            max_per_host=OF_ONE_ADDRESS,
            frame_timeout=10,
        )
    return StorageScp(
        name="dicom",
        ae_title="ECGFM",
        host="127.0.0.1",
        port=0,
        handler=inbox,
        clock=lambda: datetime.now(UTC),
        max_associations=PLACES,
        max_per_host=OF_ONE_ADDRESS,
        max_object_bytes=longest,
        idle_timeout=10,
    )


def main(protocol: str, longest: int) -> None:
    inbox = Inbox()
    port = listener(protocol, longest, inbox)
    port.start()
    print(port.port, flush=True)
    sys.stdin.read()
    port.stop()
    print(*sorted(inbox.ids), sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
