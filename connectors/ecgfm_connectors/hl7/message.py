"""Splits an HL7 v2 message (2.1–2.9) into segments, fields and leaves, whatever line ends and characters it came with.

This is the path every inbound ECG takes, so it costs a few string splits; hl7apy, which builds an object per
component, serves the outgoing side and the conformance tests. Sections cited are HL7 2.5.1 chapter 2.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from ecgfm_connectors.ecg import Finding
from ecgfm_connectors.errors import Unreadable
from ecgfm_connectors.hl7 import charset

# fmt: off
VERSIONS = (
    "2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9", "2.9.1",
)
# fmt: on

MAX_SEGMENTS = 50_000  #: of one message; each costs memory many times its bytes
MAX_MESSAGES = 10_000  #: of one batch file

_LONG, _FEW = 4096, 64  # characters, and delimiters among them
_SEGMENT_START = re.compile(rb"[A-Z][A-Z0-9]{2}")
_STARTS = (b"MSH", b"FHS", b"BHS", b"BTS", b"FTS")
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
    for start, _ in _lines(marks):
        head = marks[start : start + 64].lstrip(b" \t")[:4]
        if head[:3] in _STARTS and not head[3:].isalnum():
            starts.append(start)
    for start, end in pairwise([*starts, len(content)]):
        yield content[start:end].lstrip(b" \t")


def _lines(content: bytes) -> Iterator[tuple[int, int]]:
    """Where each line lies that is not empty; the content is not copied, for it may be one line of 20 MB."""
    start, size = 0, len(content)
    while start < size:
        end = content.find(b"\r", start)
        if end < 0:
            end = size
        if end > start:
            yield start, end
        start = end + 1


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
    lines, line_feeds = _ends(content)
    spans: list[tuple[int, int]] = []
    continued = False
    for start, end in _lines(lines):
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
