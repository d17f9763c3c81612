"""Messages with outcomes, damaged in every way: always a reading or one of our errors, never a part of a number."""

import os
import random

import pytest

from ecgfm_connectors.context import ReadingContext
from ecgfm_connectors.errors import PayloadError
from ecgfm_connectors.hl7 import inbound
from ecgfm_connectors.reading import read
from tests.connectors.outcomes import evaluate

SHORT, LONG = 2_000, 100_000
PIECES = (
    b"", b"|", b"^", b"~", b"&", b"\\", b"\r", b"\n", b" ", b"<", b">", b"%", b".", b",", b"-", b"/", b":", b"0", b"9",
    b"1e9", b"\xc2\xa0", b"\xe2\x80\xaf", b"\xff", b"\x00", b"->", b"EF ", b"LVEF 99%", b"\\X0A\\", b"\\.br\\",
    b"OBX|", b"PID|",
)  # fmt: skip


def mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(changed))
        changed[at : at + chance.choice((0, 0, 1, 2, 8))] = chance.choice(PIECES)
    return bytes(changed)


def survive(number: int, context: ReadingContext) -> int:
    """Read so many mutated messages without the catch-all of `read`; how many gave an outcome."""
    chance = random.Random(11)
    seeds = [item.message for item in evaluate.load("open")]
    found = 0
    for _ in range(number):
        content = mutated(chance.choice(seeds), chance)
        try:
            contents = inbound.read_message(content, context, read)
        except PayloadError:
            continue
        found += bool(contents.outcomes)
        for one in contents.outcomes:
            low, high = (3, 95) if one.kind == "lvef" else (0, 20_000_000)
            assert one.status == "withdrawn" or low <= one.value <= high
            assert one.patient.identifiers
    return found


@pytest.mark.slow
def test_mutated_messages_never_crash(context: ReadingContext) -> None:
    assert survive(SHORT, context) > SHORT / 10


@pytest.mark.skipif("ECGFM_LONG_FUZZ" not in os.environ, reason="set ECGFM_LONG_FUZZ to mutate 100 000 messages")
def test_a_hundred_thousand_mutated_messages_never_crash(context: ReadingContext) -> None:
    assert survive(LONG, context) > LONG / 10
