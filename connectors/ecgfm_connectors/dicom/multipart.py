"""DICOM objects in one body: multipart/related as DICOMweb sends it (PS3.18 §8.7.1, RFC 2387)."""

from collections.abc import Sequence

from ecgfm_connectors.errors import ProtocolViolation

_PREFIX = b"--ecgfm-objects-"


def join(objects: Sequence[bytes], *, control_id: str) -> bytes:
    """Part 10 files as one body; the boundary follows from `control_id`, so the same objects give the same bytes."""
    boundary = _PREFIX + control_id.encode("ascii")
    head = b"\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(boundary + head + one + b"\r\n" for one in objects) + boundary + b"--\r\n"


def is_objects(body: bytes) -> bool:
    """Whether a message body is one that `join` made."""
    return body.startswith(_PREFIX)


def content_type(body: bytes) -> str:
    """The media type of a body that `join` made, with its boundary (PS3.18 §10.5.1)."""
    boundary = body.split(b"\r\n", 1)[0][2:].decode("ascii")
    return f'multipart/related; type="application/dicom"; boundary={boundary}'


def split(body: bytes) -> list[bytes]:
    """The Part 10 files of a body that `join` made. Raises ProtocolViolation."""
    return parts(body, content_type(body))


def parts(body: bytes, content_type: str) -> list[bytes]:
    """The bodies of a multipart/related answer (RFC 2387, PS3.18 §8.7.1); a plain body is its own only part.

    Raises ProtocolViolation where the multipart frame is broken.
    """
    if not content_type.lower().startswith("multipart/"):
        return [body] if body else []
    boundary = next((p.split("=", 1)[1].strip(' "') for p in content_type.split(";") if "boundary=" in p.lower()), "")
    if not boundary:
        raise ProtocolViolation("a multipart answer without a boundary")
    found: list[bytes] = []
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))[1:]:
        if piece.startswith(b"--"):
            return found
        _, separator, part = piece.partition(b"\r\n\r\n")
        if not separator:
            raise ProtocolViolation("a multipart answer with a part without headers")
        found.append(part)
    raise ProtocolViolation("a multipart answer that ends before its last boundary")
