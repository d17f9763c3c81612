"""The list of sending applications that a port takes messages from (MSH-3, or MSH-3 and MSH-4)."""

from collections.abc import Collection

from ecgfm_connectors.base import Disposition, Received, Verdict
from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.hl7 import message

UNKNOWN_SENDER = Verdict(disposition=Disposition.REFUSED, code="unknown-sender", text="MSH-3 is not on our list")


class Senders:
    """`MSH-3` or `MSH-3|MSH-4` of each; an empty list names everyone."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed)

    def names(self, content: bytes) -> bool:
        """Whether the list names the sender of this message; never that of a message without a readable MSH."""
        if not self._allowed:
            return True
        try:
            msh = message.parse_header(content)
        except Unreadable:
            return False
        return not self._allowed.isdisjoint({msh.value(3), f"{msh.value(3)}|{msh.value(4)}"})


def refuse(received: Received) -> Verdict:
    """The Handler of unknown senders where nobody keeps what they send."""
    return UNKNOWN_SENDER
