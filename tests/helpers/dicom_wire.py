"""A C-STORE SCU as bytes, so that one thread can be a thousand of them, slow ones and wrong ones too (PS3.7, PS3.8)."""

import asyncio
import socket
from collections.abc import Sequence
from functools import cache
from io import BytesIO

from pynetdicom import build_context
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import A_ASSOCIATE_RQ, A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import PresentationContext

from ecgfm_connectors.dicom.sop_classes import TWELVE_LEAD_ECG

_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
_MAX_PDU = 16_384
_ACCEPTED, _DATA = 2, 4  # types of PDUs
_STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00"  # (0000,0900), two bytes


@cache
def associate(called: str = "ECGFM", contexts: int = 1) -> bytes:
    """An A-ASSOCIATE-RQ that proposes 12-lead ECGs, in so many presentation contexts."""
    request = A_ASSOCIATE()
    request.application_context_name = "1.2.840.10008.3.1.1.1"
    request.calling_ae_title, request.called_ae_title = "CART", called
    request.presentation_context_definition_list = [_context(number) for number in range(contexts)]
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received = _MAX_PDU
    implementation.implementation_class_uid = "2.25.1"
    request.user_information = [longest, implementation]
    encoded: bytes = A_ASSOCIATE_RQ(request).encode()
    return encoded


def _context(number: int) -> PresentationContext:
    context = build_context(TWELVE_LEAD_ECG, _EXPLICIT_LITTLE)
    context.context_id = 2 * number + 1
    return context


def store(data_set: bytes, sop_instance: str) -> bytes:
    """The P-DATA-TF PDUs of one C-STORE-RQ; `data_set` is encoded as Explicit VR Little Endian."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = TWELVE_LEAD_ECG, sop_instance
    request.DataSet = BytesIO(data_set)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    return b"".join(P_DATA_TF(part).encode() for part in message.encode_msg(1, _MAX_PDU))


async def _pdu(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Its type and content. Raises IncompleteReadError where the connection ends."""
    head = await reader.readexactly(6)
    return head[0], await reader.readexactly(int.from_bytes(head[2:], "big"))


async def accepted(reader: asyncio.StreamReader) -> bool:
    """Whether the association that was asked for is there."""
    return (await _pdu(reader))[0] == _ACCEPTED


def wait_accepted(caller: socket.socket) -> None:
    """Read the A-ASSOCIATE-AC: data sent before it aborts the association (PS3.8 table 9-10, AA-8)."""
    with caller.makefile("rb") as answers:
        head = answers.read(6)
        assert head[:1] == bytes([_ACCEPTED]), head
        assert answers.read(int.from_bytes(head[2:], "big")), "the connection ended in the middle of an answer"


async def status(reader: asyncio.StreamReader) -> int | None:
    """Of the next C-STORE-RSP; None where the association is ended instead."""
    kind, content = await _pdu(reader)
    at = content.find(_STATUS)
    return int.from_bytes(content[at + 8 : at + 10], "little") if kind == _DATA and at >= 0 else None


def release() -> bytes:
    """An A-RELEASE-RQ."""
    encoded: bytes = A_RELEASE_RQ().encode()
    return encoded


def wrong_beginnings() -> Sequence[bytes]:
    """Half an association request, data without an association, another protocol, half an object, an endless PDU."""
    data = store(bytes(60_000), "2.25.1")
    return (
        associate()[:40],
        data,
        b"GET / HTTP/1.1\r\n" * 200,
        associate() + data[:30_000],
        associate() + b"\x04\x00\xff\xff\xff\xff" + bytes(1000),
    )
