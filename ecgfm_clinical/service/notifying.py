"""A word to systemd (sd_notify(3)): ready, alive, stopping. Without its socket nothing is said."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends to the socket that systemd names in NOTIFY_SOCKET."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        """Ports are bound and every task runs."""
        self._say("READY=1")

    def alive(self) -> None:
        """The watch has looked; systemd's WatchdogSec counts from here."""
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def _say(self, word: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(word.encode(), self._address)
