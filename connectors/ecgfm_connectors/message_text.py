"""The body of a message for people, whatever form it has."""

from ecgfm_connectors.dicom import multipart


def text_of(body: bytes) -> str:
    """The message itself where it is text; its objects, line by line, where it is DICOM. Lines end in CR."""
    if not multipart.is_objects(body):
        return body.decode("utf-8", "replace")
    from ecgfm_connectors.dicom.outline import described

    return "".join(f"{line}\r" for part in multipart.split(body) for line in described(part))
