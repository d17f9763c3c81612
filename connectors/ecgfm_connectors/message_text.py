"""The body of a message for people, whatever form it has."""

import json
import re

from ecgfm_connectors.dicom import multipart

#: Base64, such as a page: nobody reads it.
_LONG_DATA = re.compile(r"[A-Za-z0-9+/]{400,}={0,2}")
_SHOWN = 40  #: letters of it


def _shortened(data: re.Match[str]) -> str:
    return f"{data[0][:_SHOWN]}… ({len(data[0])} letters)"


def text_of(body: bytes) -> str:
    """The message itself where it is text, a bundle (FHIR) with its lines indented; its objects, line by line, where it
    is DICOM. Encoded data are cut short, lines end in CR.
    """
    if not multipart.is_objects(body):
        return _LONG_DATA.sub(_shortened, _indented(body) if body.startswith(b"{") else body.decode("utf-8", "replace"))
    from ecgfm_connectors.dicom.outline import described

    return "".join(f"{line}\r" for part in multipart.split(body) for line in described(part))


def _indented(bundle: bytes) -> str:
    return json.dumps(json.loads(bundle), ensure_ascii=False, indent=1).replace("\n", "\r")
