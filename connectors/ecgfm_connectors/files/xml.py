"""Parse XML from outside without entities and within bounds, whatever encoding and namespace it uses."""

import re
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from ecgfm_connectors.errors import Refused, Unreadable

_MAX_DEPTH = 200
#: An element costs memory out of proportion to its bytes, so more elements than any recording has are refused.
_BYTES_AN_ELEMENT = 16
_FREE_ELEMENTS = 10_000
#: First bytes -> Python's name of the encoding: with a byte order mark, or `<` followed by `?` or `!` without one.
_UTF_16 = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\0?\0": "utf-16-le",
    b"<\0!\0": "utf-16-le",
    b"\0<\0?": "utf-16-be",
    b"\0<\0!": "utf-16-be",
}
_DECLARATION = re.compile(rb"\s*<\?xml[^<>]*\?>")
_CALLED_UTF_16 = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^<>]*encoding\s*=\s*[\"']utf-?16", re.IGNORECASE)
_DOCTYPE = re.compile(rb"<!DOCTYPE\s+[\w.:-]+\s+(?:SYSTEM|PUBLIC)(?:\s+(?:\"[^\"<>]*\"|'[^'<>]*'))+\s*>")


class _BoundedBuilder(TreeBuilder):
    """Builds the tree; stops at too many or too deep elements, and drops namespaces from names."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._left -= 1
        self._depth += 1
        if self._left < 0 or self._depth > _MAX_DEPTH:
            raise Refused("too-large", "more or deeper XML elements than any recording has")
        return super().start(_local(tag), {_local(name): value for name, value in attrs.items()})

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(_local(tag))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def as_utf8(content: bytes) -> bytes:
    """XML in UTF-16 as UTF-8 without its declaration; anything else unchanged.

    UTF-16 is told by its first bytes. Text that calls itself UTF-16 and is written in single bytes (exports that pass
    through a string in memory) is read as UTF-8. Raises Unreadable `not-xml` where it is no UTF-16.
    """
    encoding = next((name for start, name in _UTF_16.items() if content.startswith(start)), None)
    if encoding is None and not _CALLED_UTF_16.match(content[:200]):
        return content
    try:
        written = content.decode(encoding or "utf-8").encode()
    except UnicodeError as error:
        raise Unreadable("not-xml", "the XML is in UTF-16 and is cut short or damaged") from error
    return _DECLARATION.sub(b"", written[:300], count=1) + written[300:]


def parse(content: bytes, *, doctype: bool = False) -> Element:
    """The root element, names and attributes without namespace.

    `doctype` tolerates one reference to an external DTD, which is never fetched (GE MUSE writes one); an internal
    subset and entities of any kind are refused always. Raises Unreadable: `not-xml`; Refused: `xml-entities`,
    `too-large`.
    """
    content = as_utf8(content)
    if doctype:
        content = _DOCTYPE.sub(b"", content[:4096], count=1) + content[4096:]
    parser = DefusedXMLParser(
        target=_BoundedBuilder(_FREE_ELEMENTS + len(content) // _BYTES_AN_ELEMENT),
        forbid_dtd=True,
        forbid_entities=True,
        forbid_external=True,
    )
    try:
        parser.feed(content)
        root = parser.close()
    except DefusedXmlException as error:
        raise Refused("xml-entities", "the XML defines entities or a document type; none is ever expanded") from error
    except (ParseError, ValueError, LookupError) as error:
        raise Unreadable("not-xml", "the XML is not well-formed or in an encoding we cannot read") from error
    if not isinstance(root, Element):
        raise Unreadable("not-xml", "the XML has no element")
    return root


def text(element: Element | None, path: str = "") -> str:
    """Stripped text of `element`, or of the first element at `path` below it; empty where there is none."""
    found = element.find(path) if element is not None and path else element
    return (found.text or "").strip() if found is not None else ""


def attribute(element: Element | None, path: str, name: str) -> str:
    """Stripped attribute of the first element at `path` below `element`; empty where there is none."""
    found = element.find(path) if element is not None else None
    return found.get(name, "").strip() if found is not None else ""
