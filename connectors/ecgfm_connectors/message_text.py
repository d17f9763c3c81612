"""The body of a message for people, whatever form it has."""

import re

from ecgfm_connectors.dicom import multipart

#: Base64, such as a page: nobody reads it.
_LONG_DATA = re.compile(r"[A-Za-z0-9+/]{400,}={0,2}")
_SHOWN = 40  #: letters of it


def _shortened(data: re.Match[str]) -> str:
    return f"{data[0][:_SHOWN]}… ({len(data[0])} letters)"


def text_of(body: bytes) -> str:
    """The message itself where it is text, its encoded data cut short; its objects, line by line, where it is DICOM.

    Lines end in CR.
    """
    if not multipart.is_objects(body):
        return _LONG_DATA.sub(_shortened, body.decode("utf-8", "replace"))
    from ecgfm_connectors.dicom.outline import described

    return "".join(f"{line}\r" for part in multipart.split(body) for line in described(part))
