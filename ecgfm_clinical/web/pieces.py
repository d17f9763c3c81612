"""Sentences of outcomes in pieces, so that a page can mark the numbers in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecgfm_clinical.staging.outcomes import KeptLeftOut, KeptOutcome

LONGEST = 600  #: characters of a sentence that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a sentence."""

    text: str
    marked: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A result that became a label."""

    kept: "KeptOutcome"
    sentence: tuple[Piece, ...]  #: empty until somebody opens it


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What did not become one."""

    kept: "KeptLeftOut"
    sentence: tuple[Piece, ...]


def marked(text: str, spans: "Sequence[tuple[tuple[int, int], str]]") -> Iterator[Piece]:
    """The text in pieces; each span (start, end) inside it is one, with its reason. What overlaps is marked once."""
    at = 0
    for (start, end), why in sorted(spans):
        if not at <= start < end <= len(text):
            continue
        if start > at:
            yield Piece(text=_short(text[at:start]), marked=False)
        yield Piece(text=text[start:end], marked=True, why=why)
        at = end
    if at < len(text):
        yield Piece(text=_short(text[at:]), marked=False)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
