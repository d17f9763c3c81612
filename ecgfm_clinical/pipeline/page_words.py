"""The words of pages that other systems sent, put to what is kept of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from ecgfm_clinical.extras import sentence
from ecgfm_connectors.contents import Contents
from ecgfm_connectors.document import MAX_TEXT, Document
from ecgfm_connectors.pdf_words import PdfWords

ReadWords = Callable[[bytes], PdfWords]  #: a PDF


def unread(content: bytes) -> PdfWords:
    """Where the reader of PDFs is not installed."""
    return PdfWords(reason=sentence("pdf", "reading them"))


def with_words(contents: Contents, read: ReadWords) -> Contents:
    """Every document without its pages, and with what stands on them, or why that is not known."""
    if not any(one.pages for one in contents.documents):
        return contents
    return replace(contents, documents=tuple(_with_words(one, read) for one in contents.documents))


def _with_words(one: Document, read: ReadWords) -> Document:
    text = "\n".join(filter(None, (one.text, *(line for page in one.pages for line in _told(page, read)))))
    return replace(one, text=text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…", pages=())


def _told(page: bytes, read: ReadWords) -> Iterator[str]:
    found = read(page)
    pages = f", {found.pages} page{'s' if found.pages > 1 else ''}" if found.pages else ""
    why = f"; {'' if found.words else 'its words are not here: '}{found.reason}" if found.reason else ""
    yield f"a PDF of {len(page)} bytes{pages}{why}"
    if found.words:
        yield found.words
