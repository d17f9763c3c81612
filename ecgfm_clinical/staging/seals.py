"""The sealed columns of the store: each with the column of its key number, and what of its row its values are bound to.

Writers, readers and the rotation of keys all go by this table, so that what was sealed opens. A binding never changes:
every value that lies in a store was sealed under it.
"""

from dataclasses import dataclass
from typing import Any  # Any: SQLAlchemy's columns of whichever type

from sqlalchemy import Column, Table

from ecgfm_clinical.staging import schema as s
from ecgfm_clinical.staging.sealing import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One sealed column."""

    name: str  #: begins every binding
    value: Column[bytes]
    key_id: Column[int | None]
    bound_by: tuple[Column[Any], ...]  #: of the same table, or of the one that shares its primary key

    @property
    def table(self) -> Table:
        return self.value.table

    @property
    def parent(self) -> Table | None:
        """The table whose row names what the value is bound to, where that is another."""
        named_in: Table = self.bound_by[0].table
        return None if named_in is self.table else named_in

    def seal(self, keyring: Keyring, plain: bytes, **bound_by: object) -> dict[str, bytes | int | None]:
        """Both columns as they are to be stored; `bound_by` gives the columns of that name."""
        number, stored = keyring.seal(plain, self._binding(bound_by))
        return {self.value.name: stored, self.key_id.name: number}

    def open(self, keyring: Keyring, row: object, *, of: object = None) -> bytes:
        """The plain value in this row; `of`: the parent's row, where there is one. Raises StoreError."""
        return self.open_value(
            keyring, getattr(row, self.key_id.name), getattr(row, self.value.name), of=row if of is None else of
        )

    def open_value(self, keyring: Keyring, number: int | None, stored: bytes, *, of: object) -> bytes:
        """The same, of a value read under another name."""
        return keyring.open(number, stored, self._binding({one.name: getattr(of, one.name) for one in self.bound_by}))

    def _binding(self, bound_by: dict[str, object]) -> str:
        return ":".join((self.name, *(str(bound_by[column.name]) for column in self.bound_by)))


PAYLOAD = Seal(name="payload", value=s.payload.c.private, key_id=s.payload.c.key_id, bound_by=(s.payload.c.sha256,))
PAYLOAD_CONTENT = Seal(
    name="payload_content",
    value=s.payload_content.c.content,
    key_id=s.payload_content.c.key_id,
    bound_by=(s.payload.c.sha256,),
)
ECG = Seal(name="ecg", value=s.ecg.c.private, key_id=s.ecg.c.key_id, bound_by=(s.ecg.c.source_key, s.ecg.c.version))
SIGNAL = Seal(
    name="signal",
    value=s.signal.c.samples,
    key_id=s.signal.c.key_id,
    bound_by=(s.ecg.c.source_key, s.ecg.c.version),
)
ACKNOWLEDGEMENT = Seal(
    name="ack", value=s.message.c.ack_private, key_id=s.message.c.key_id, bound_by=(s.message.c.control_id,)
)
ADDRESS = Seal(
    name="address",
    value=s.message.c.addressed_to,
    key_id=s.message.c.addressed_key_id,
    bound_by=(s.message.c.control_id,),
)
MESSAGE_BODY = Seal(
    name="message_body",
    value=s.message_body.c.body,
    key_id=s.message_body.c.key_id,
    bound_by=(s.message.c.control_id,),
)
OUTCOME = Seal(
    name="outcome",
    value=s.outcome.c.private,
    key_id=s.outcome.c.key_id,
    bound_by=(s.outcome.c.source_key, s.outcome.c.version),
)
LEFT_OUT = Seal(
    name="left_out",
    value=s.left_out.c.private,
    key_id=s.left_out.c.key_id,
    bound_by=(s.left_out.c.payload_id, s.left_out.c.place),
)
DOCUMENT = Seal(
    name="document",
    value=s.document.c.private,
    key_id=s.document.c.key_id,
    bound_by=(s.document.c.source_key, s.document.c.version),
)
PATIENT = Seal(
    name="patient", value=s.patient.c.private, key_id=s.patient.c.key_id, bound_by=(s.patient.c.patient_key,)
)
IDENTITY_ALIAS = Seal(
    name="identity_alias",
    value=s.identity_alias.c.private,
    key_id=s.identity_alias.c.key_id,
    bound_by=(s.identity_alias.c.retired_key,),
)
IDENTITY_EVENT = Seal(
    name="identity_event",
    value=s.identity_event.c.private,
    key_id=s.identity_event.c.key_id,
    bound_by=(s.identity_event.c.retired_key, s.identity_event.c.surviving_key),
)
IDENTITY_LINK = Seal(
    name="identity_link",
    value=s.identity_link.c.private,
    key_id=s.identity_link.c.key_id,
    bound_by=(s.identity_link.c.first_key, s.identity_link.c.second_key),
)
RECORDING_EVENT = Seal(
    name="recording_event",
    value=s.recording_event.c.private,
    key_id=s.recording_event.c.key_id,
    bound_by=(s.recording_event.c.recording_id, s.recording_event.c.number),
)
HOLD = Seal(
    name="hold",
    value=s.hold.c.private,
    key_id=s.hold.c.key_id,
    bound_by=(s.hold.c.recording_id, s.hold.c.question, s.hold.c.ecg_id),
)
SALIENCY = Seal(
    name="saliency", value=s.saliency.c.weights, key_id=s.saliency.c.key_id, bound_by=(s.saliency.c.saliency_id,)
)
PLACED_ORDER = Seal(
    name="placed_order",
    value=s.placed_order.c.private,
    key_id=s.placed_order.c.key_id,
    bound_by=(s.placed_order.c.order_key, s.placed_order.c.patient_key),
)
ORDER_ANSWER = Seal(
    name="order_answer",
    value=s.order_answer.c.private,
    key_id=s.order_answer.c.key_id,
    bound_by=(s.order_answer.c.filler,),
)
STORE_META = Seal(
    name="store_meta", value=s.store_meta.c.value, key_id=s.store_meta.c.key_id, bound_by=(s.store_meta.c.name,)
)

ALL = (
    PAYLOAD,
    PAYLOAD_CONTENT,
    ECG,
    SIGNAL,
    ACKNOWLEDGEMENT,
    ADDRESS,
    MESSAGE_BODY,
    OUTCOME,
    LEFT_OUT,
    DOCUMENT,
    PATIENT,
    IDENTITY_ALIAS,
    IDENTITY_EVENT,
    IDENTITY_LINK,
    RECORDING_EVENT,
    HOLD,
    SALIENCY,
    PLACED_ORDER,
    ORDER_ANSWER,
    STORE_META,
)
