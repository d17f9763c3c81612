"""The delimiters of an HL7 v2 message, and the escape sequences that stand for them inside a leaf.

Sections cited are HL7 2.5.1 chapter 2.
"""

import re
from dataclasses import dataclass

_ESCAPE_NEEDED = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """MSH-1 and MSH-2 (§2.5.4)."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @property
    def encoding_characters(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent


STANDARD = Delimiters()


def unescape(leaf: str, delimiters: Delimiters = STANDARD, codec: str = "utf-8") -> str:
    """The text a leaf stands for (§2.7). Unknown and local (\\Z..\\) escapes stay as they are."""
    mark = delimiters.escape
    if not mark or mark not in leaf:
        return leaf
    named = _named_escapes(delimiters)
    parts = leaf.split(mark)
    result = [parts[0]]
    index, last = 1, len(parts) - 1
    while index <= last:
        body = parts[index]
        meaning = named.get(body) if index < last else None
        if meaning is None and index < last and body[:1] in (".", "X", "C", "M"):
            meaning = _meaning(body, codec)
        if meaning is None:  # not an escape: the mark was literal, and the next one may open a real escape
            result += (mark, body)
            index += 1
        else:
            result += (meaning, parts[index + 1])
            index += 2
    return "".join(result)


def escape(leaf: str, delimiters: Delimiters = STANDARD, *, formatted: bool = False) -> str:
    """A text as one leaf that nothing can break out of (§2.7): no delimiter, no control character is left.

    Line ends become `\\.br\\` in formatted text (FT, TX), hexadecimal elsewhere.
    """
    mark = delimiters.escape
    named = {
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.subcomponent: "T",
        delimiters.repetition: "R",
        mark: "E",
    }
    if formatted:
        leaf = leaf.replace("\r\n", "\n").replace("\r", "\n")
        named["\n"] = ".br"
    safe = "".join(f"{mark}{named[char]}{mark}" if char in named else char for char in leaf)
    return _ESCAPE_NEEDED.sub(lambda found: f"{mark}X{ord(found[0]):02X}{mark}", safe)


def _named_escapes(delimiters: Delimiters) -> dict[str, str]:
    return {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "P": "#",  # the truncation character, 2.7
        "H": "",  # highlighting on and off
        "N": "",
        ".br": "\n",
        ".ce": "\n",
    }


def _meaning(body: str, codec: str) -> str | None:
    """What stands between two escape characters means where it is no fixed name; None where it is no escape of
    the standard.
    """
    if re.fullmatch(r"X(?:[0-9A-Fa-f]{2})+", body):
        return bytes.fromhex(body[1:]).decode(codec, "replace")
    if re.fullmatch(r"C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4,6}", body):
        return ""  # a character set switch: the whole message was decoded at once
    if skipped := re.fullmatch(r"\.sp\s*\+?(\d{0,2})", body):
        return "\n" * int(skipped[1] or 1)
    return "" if re.fullmatch(r"\.(fi|nf|(in|ti)\s*[+-]?\d+)", body) else None
