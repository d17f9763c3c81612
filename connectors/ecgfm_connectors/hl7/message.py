"""Splits an HL7 v2 message (2.1–2.9) into segments, fields and leaves, whatever line ends and characters it came with.

This is the path every inbound ECG takes, so it costs a few string splits; hl7apy, which builds an object per
component, serves the outgoing side and the conformance tests. Sections cited are HL7 2.5.1 chapter 2.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.hl7 import charset
from ecgfm_connectors.hl7.escapes import STANDARD, Delimiters, unescape

# fmt: off
VERSIONS = (
    "2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9", "2.9.1",
)
# fmt: on

MAX_SEGMENTS = 50_000  #: of one message; each costs memory many times its bytes

_LONG, _FEW = 4096, 64  # characters, and delimiters among them
_SEGMENT_START = re.compile(rb"[A-Z][A-Z0-9]{2}")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; field numbers are the standard's, so `MSH` counts MSH-1 as the field separator."""

    fields: tuple[str, ...] = field(repr=False)  #: fields[0] is the name; still escaped
    delimiters: Delimiters = STANDARD
    codec: str = "utf-8"  #: for \X..\ escapes
    span: tuple[int, int] = (0, 0)  #: byte offsets in the content that was parsed

    @property
    def name(self) -> str:
        return self.fields[0]

    def raw(self, number: int) -> str:
        """Field `number` as sent, repetitions and escapes included; empty where absent."""
        index = number - 1 if self.fields[0] in ("MSH", "FHS", "BHS") else number
        if index == 0:
            return self.delimiters.field
        return self.fields[index] if 0 < index < len(self.fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field, still escaped; [] where the field is empty."""
        raw = self.raw(number)
        return _split(raw, self.delimiters.repetition) if raw else []

    def components(self, number: int, repetition: int = 0) -> list[str]:
        """The components of one repetition (0-based), still escaped."""
        found = self.repetitions(number)
        return _split(found[repetition], self.delimiters.component) if repetition < len(found) else []

    def value(self, number: int, component: int = 1, subcomponent: int = 1, repetition: int = 0) -> str:
        """One leaf, unescaped and stripped. `""` (two quotes: "delete the value") comes back as empty."""
        parts = self.components(number, repetition)
        return self.leaf(parts, component, subcomponent)

    def leaf(self, components: list[str], component: int, subcomponent: int = 1) -> str:
        """A leaf of a field that was split already."""
        if component > len(components):
            return ""
        leaves = _split(components[component - 1], self.delimiters.subcomponent)
        if subcomponent > len(leaves):
            return ""
        leaf = leaves[subcomponent - 1]
        if self.delimiters.escape in leaf:
            leaf = unescape(leaf, self.delimiters, self.codec)
        leaf = leaf.strip()
        return "" if leaf == '""' else leaf

    def text(self, number: int) -> str:
        """A whole field as one text for people: repetitions become lines, everything is unescaped."""
        return "\n".join(unescape(part, self.delimiters, self.codec) for part in self.repetitions(number)).strip()


@dataclass(frozen=True, slots=True)
class Message:
    """One HL7 message: its segments in the order they came, unknown and Z segments included."""

    segments: tuple[Segment, ...] = field(repr=False)
    codec: str
    findings: tuple[Finding, ...] = ()

    @property
    def msh(self) -> Segment:
        return self.segments[0]

    @property
    def delimiters(self) -> Delimiters:
        return self.msh.delimiters

    @property
    def code(self) -> str:
        """MSH-9.1, e.g. ORU."""
        return self.msh.value(9, 1).upper()

    @property
    def event(self) -> str:
        """MSH-9.2, e.g. R01."""
        return self.msh.value(9, 2).upper()

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.msh.value(10)

    @property
    def version(self) -> str:
        """MSH-12.1, empty where the sender left it out."""
        return self.msh.value(12)

    def all(self, name: str) -> Iterator[Segment]:
        return (segment for segment in self.segments if segment.name == name)

    def first(self, name: str) -> Segment | None:
        return next(self.all(name), None)


def parse(content: bytes) -> Message:
    """Split one message. Raises Unreadable: not HL7, line ends lost, unusable delimiters or character set."""
    content = _without_wrapping(content)
    delimiters, findings = _delimiters(content)
    spans, repairs = _segment_spans(content, delimiters.field.encode("latin-1"))
    if len(spans) > MAX_SEGMENTS:
        raise Unreadable("too-many-segments", f"{len(spans)} segments; the limit is {MAX_SEGMENTS}")
    if len(spans) < 2:
        raise Unreadable("single-segment", "only one segment was found: the segment ends (CR) were lost on the way")
    codec, remarks = charset.choose(content, _declared_charset(content[slice(*spans[0])], delimiters))
    view = memoryview(content)
    segments = tuple(_segment(view, span, delimiters, codec) for span in spans)
    return Message(segments, codec, (*findings, *repairs, *remarks))


def parse_header(content: bytes) -> Segment:
    """The MSH alone, from a message that may be damaged further on. Raises Unreadable."""
    content = _without_wrapping(content)
    delimiters, _ = _delimiters(content)
    ends = [end for end in (content.find(b"\r"), content.find(b"\n")) if end >= 0]
    line = content[: min(ends, default=len(content))]
    codec, _ = charset.choose(line, _declared_charset(line, delimiters))
    return _segment(memoryview(line), (0, len(line)), delimiters, codec)


def lines(content: bytes) -> Iterator[tuple[int, int]]:
    """Where each line lies that is not empty; the content is not copied, for it may be one line of 20 MB."""
    start, size = 0, len(content)
    while start < size:
        end = content.find(b"\r", start)
        if end < 0:
            end = size
        if end > start:
            yield start, end
        start = end + 1


def _without_wrapping(content: bytes) -> bytes:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            content = content.decode("utf-16").encode("utf-8")
        except UnicodeError as error:
            raise Unreadable("charset-unsupported", "starts as UTF-16 but does not decode") from error
    return content.removeprefix(b"\xef\xbb\xbf").strip(b"\r\n\t \x0b\x1c\x00")


def _delimiters(content: bytes) -> tuple[Delimiters, tuple[Finding, ...]]:
    if not content.startswith(b"MSH") or len(content) < 8:
        raise Unreadable("not-hl7", "does not start with an MSH segment")
    head = content[:12].decode("latin-1")
    separator = head[3]
    if separator.isalnum() or ord(separator) < 33 or ord(separator) > 126:
        raise Unreadable("bad-delimiters", "MSH-1 is not a usable field separator")
    declared = head[4:].split(separator)[0].split("\r")[0].split("\n")[0]
    chosen = "".join(dict.fromkeys(declared))  # `^~\\&` with a doubled backslash is seen where a template was quoted
    if len(chosen) > 5 or any(char.isalnum() or ord(char) < 33 for char in chosen):
        raise Unreadable("bad-delimiters", "MSH-2 does not hold encoding characters")
    findings: tuple[Finding, ...] = ()
    if chosen != declared or len(chosen) < 4:
        findings = (Finding(code="encoding-characters", text="MSH-2 is short or repeats a character; completed"),)
    rest = [char for char in STANDARD.encoding_characters if char not in chosen and char != separator]
    full = (chosen + "".join(rest))[:4].ljust(4, "\x00")  # a missing character can then never match
    return Delimiters(separator, *full), findings


def _segment_spans(content: bytes, separator: bytes) -> tuple[list[tuple[int, int]], tuple[Finding, ...]]:
    """Where each segment lies: between the ends that MSH has.

    Where CR ends MSH, as §2.5.2 wants, a line feed is text. Where a bare LF does, each LF ends a segment, and a line
    that names none continues the one above.
    """
    ended, line_feeds = _ends(content)
    spans: list[tuple[int, int]] = []
    continued = False
    for start, end in lines(ended):
        start = _indented(content, start, end)
        named = _SEGMENT_START.match(content, start, end) and content[start + 3 : start + 4] == separator
        if named or not spans:
            spans.append((start, end))
        elif not content[start:end].isspace():
            spans[-1] = (spans[-1][0], end)
            continued = True
    repairs = []
    if line_feeds:
        repairs.append(Finding(code="line-ends", text="segments end with LF, not CR"))
    if continued:
        repairs.append(
            Finding(code="segment-continued", text="lines that name no segment were joined to the one above")
        )
    return spans, tuple(repairs)


def _ends(content: bytes) -> tuple[bytes, bool]:
    """The content with CR for each segment end and nowhere else at a line feed's place; whether LF ended segments."""
    cr, lf = content.find(b"\r"), content.find(b"\n")
    if lf < 0:
        return content, False
    if cr < 0 or lf < cr:
        return content.replace(b"\n", b"\r"), True
    return content.replace(b"\r\n", b"\r\r"), content.startswith(b"\r\n", cr)


def _indented(content: bytes, start: int, end: int) -> int:
    """Where a segment begins that was indented for the eye."""
    first = start
    while first < end and content[first] in b" \t" and first < start + 16:
        first += 1
    return first if _SEGMENT_START.match(content, first, end) else start


def _declared_charset(msh: bytes, delimiters: Delimiters) -> str:
    """MSH-18, which must be known before the rest can be decoded."""
    fields = msh.split(delimiters.field.encode("latin-1"), 18)
    return fields[17].decode("latin-1") if len(fields) > 17 else ""


def _segment(content: memoryview, span: tuple[int, int], delimiters: Delimiters, codec: str) -> Segment:
    text = str(content[span[0] : span[1]], codec, "replace")
    return Segment(tuple(_split(text, delimiters.field)), delimiters, codec, span)


def _split(text: str, mark: str) -> list[str]:
    """`text.split(mark)`. A long text with few marks, an embedded file, is searched by memchr: `split` looks at each
    character.
    """
    if len(text) < _LONG:
        return text.split(mark)
    parts: list[str] = []
    start = 0
    while (end := text.find(mark, start)) >= 0:
        if len(parts) == _FEW:
            return text.split(mark)
        parts.append(text[start:end])
        start = end + 1
    return [*parts, text[start:]]
