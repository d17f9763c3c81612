"""Results of a recording that stand at an identity to which it does not belong, as merges stand now."""

from sqlalchemy import select

from ecgfm_clinical.staging import identity, message_rows
from ecgfm_clinical.staging.records import TAKES_BACK
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.schema import message
from ecgfm_clinical.staging.told import SentMessage, standing
from ecgfm_clinical.staging.transaction import Reading


def waits(tx: Reading, recording_id: int) -> bool:
    """Whether a result of the recording, other than a withdrawal, is about to be sent."""
    unsent = (message_rows.UNFINISHED, message.c.in_doubt == 0, message.c.kind.not_in(TAKES_BACK))
    mine = select(message.c.message_id).where(message.c.recording_id == recording_id, *unsent).limit(1)
    return tx.connection.scalar(mine) is not None


def elsewhere(tx: Reading, row: EcgVersion) -> list[SentMessage]:
    """Results of the recording that some receiver holds at an identity to which the recording does not belong now."""
    return not_at(tx, row, row.patient_key)


def not_at(tx: Reading, row: EcgVersion, key: str) -> list[SentMessage]:
    """Results of the recording that some receiver holds at another identity than the one with this key."""
    now = identity.resolve(tx.connection, key)
    held = _held_anywhere(tx, row.recording_id)
    return [one for one in held if identity.resolve(tx.connection, one.filed_key) != now]


def _held_anywhere(tx: Reading, recording_id: int) -> list[SentMessage]:
    """What each receiver holds or may hold: a correction that waits does not hide the result that it will replace.

    What is being taken back is left out: that message goes on its way.
    """
    destinations = tx.connection.scalars(
        select(message.c.destination).where(message.c.recording_id == recording_id).distinct()
    ).all()
    held = []
    for to in destinations:
        told = message_rows.told_so_far(tx, recording_id, to)
        staying = {one.filler for one in standing(told)}
        left = standing(one for one in told if one.may_have_left)
        held += [one for one in left if one.filler in staying]
    return held
