"""The messages of a batch file, or of a file that simply lists several. Sections cited are HL7 2.5.1 chapter 2."""

import re
from collections.abc import Iterator
from itertools import pairwise

from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.hl7.message import lines

MAX_MESSAGES = 10_000  #: of one batch file

_STARTS = (b"MSH", b"FHS", b"BHS", b"BTS", b"FTS")


def messages(content: bytes) -> list[bytes]:
    """The messages of a batch file ([FHS] {[BHS] {MSH …} [BTS]} [FTS], §2.10.3), or of a file that simply lists
    several.

    Content without any MSH comes back as one item, so that the parser can say what is wrong with it. Raises Unreadable
    (`too-many-messages`).
    """
    pieces = [piece.strip(b"\r\n\x0b\x1c") for piece in _pieces(content) if piece.startswith(b"MSH")]
    if len(pieces) > MAX_MESSAGES:
        raise Unreadable("too-many-messages", f"{len(pieces)} messages in one file; the limit is {MAX_MESSAGES}")
    return pieces or [content]


def batch_count_findings(content: bytes) -> tuple[Finding, ...]:
    """Whether each BTS-1 agrees with the number of messages in its batch (§2.15.3)."""
    found, wrong = 0, False
    for piece in _pieces(content):
        if piece.startswith(b"BHS"):
            found = 0
        elif piece.startswith(b"MSH"):
            found += 1
        elif piece.startswith(b"BTS"):
            stated = re.match(rb"\d+", piece[4:])
            wrong = wrong or (stated is not None and int(stated[0][:9]) != found)
    return (Finding(code="batch-count", text="BTS-1 states another number of messages than the batch holds"),) * wrong


def _pieces(content: bytes) -> Iterator[bytes]:
    """The content cut before each MSH and each batch header or trailer that begins a line."""
    marks = content
    for mark in (b"\n", b"\x0b", b"\x1c"):
        if mark in marks:
            marks = marks.replace(mark, b"\r")
    starts = []
    for start, _ in lines(marks):
        head = marks[start : start + 64].lstrip(b" \t")[:4]
        if head[:3] in _STARTS and not head[3:].isalnum():
            starts.append(start)
    for start, end in pairwise([*starts, len(content)]):
        yield content[start:end].lstrip(b" \t")
