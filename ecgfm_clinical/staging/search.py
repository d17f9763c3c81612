"""Finding ECGs by what people have in hand: a number that the EHR, the PACS, the order or a log line shows.

Numbers of a hospital are looked up by their keyed digests, as patients are; none is stored in clear. A number may
fit several recordings (one accession, two ECGs): all are given, and nobody chooses among them here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Text, and_, cast, exists, or_, select

from ecgfm_clinical.staging import identity, numbers, received_messages
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.ecgs import summary
from ecgfm_clinical.staging.received_messages import HeardMessage
from ecgfm_clinical.staging.records import EcgState
from ecgfm_clinical.staging.rows import EcgVersion, every_row
from ecgfm_clinical.staging.schema import ecg, ecg_identity, ecg_number, message, score
from ecgfm_clinical.staging.story_records import EcgSummary
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.patient import Identifier

#: What a head may have answered.
ANSWERS = ("positive", "negative", "not-evaluable")
#: ECGs that one page looks through at most, so that a filter that few fulfil costs the same in any store.
WINDOW = 10_000
#: The page after this ECG: (received_at, ecg_id) of the last one seen.
Keyset = tuple[datetime, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an ECG must fulfil; what is left empty is not asked."""

    number: str = ""  #: ECG id, SOP Instance UID, OBR-3, MSH-10 (sent or received), accession, placer or filler number
    patient: Identifier | None = None  #: with every number merged into it
    source: str = ""
    state: EcgState | None = None
    head: str = ""  #: one of its labels answered so; any head where only `answer` is given
    answer: str = ""  #: of `ANSWERS`
    reason: str = ""  #: code of a reason why a label is not evaluable
    device: str = ""  #: in the name of its maker or model
    since: datetime | None = None  #: received at this time or later
    until: datetime | None = None  #: received before this time
    after: Keyset | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EcgPage:
    """Some ECGs, newest first."""

    found: tuple[EcgSummary, ...]
    further: Keyset | None  #: where the next page begins; None where there is none
    is_whole: bool  #: False: the page ended because it had looked through `WINDOW` ECGs


class Search:
    """Questions for ECGs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ecgs(self, wanted: Wanted, *, limit: int = 100, now: datetime, actor: str) -> list[EcgSummary]:
        """Newest first. One page by `after` costs the same however far back it lies.

        That somebody looked for a patient is in the audit trail before the answer is given.
        """
        if wanted.patient is None:
            with self._database.reading() as ask:
                return _page(ask, wanted, limit)
        with self._database.writing(now, actor) as tx:
            found = _page(tx, wanted, limit)
            tx.note("patient.searched", of_ecg=found[0].ecg_id if found else None)
            return found

    def page(self, wanted: Wanted, *, limit: int) -> EcgPage:
        """Newest first, out of the next `WINDOW` ECGs: what a page costs depends neither on the store nor on the
        filter. `wanted` names no patient.
        """
        assert wanted.patient is None, "a search for a patient is `ecgs`, which notes it"
        with self._database.reading() as ask:
            return _bounded(ask, wanted, limit)

    def by_number(self, number: str) -> tuple[int, ...]:
        """The ECGs to which a number belongs, whatever kind of number it is."""
        with self._database.reading() as ask:
            return tuple(sorted(_numbered(ask, number)))

    def heard(self, number: str) -> list[HeardMessage]:
        """The messages that came in under this number (MSH-10), oldest first, from whomever: all, for two senders may
        use one number.
        """
        with self._database.reading() as ask:
            return received_messages.heard(ask, number)


def _bounded(reading: Reading, wanted: Wanted, limit: int) -> EcgPage:
    order = (ecg.c.received_at.desc(), ecg.c.ecg_id.desc())
    looked_at = select(ecg.c.ecg_id, ecg.c.received_at).where(*_between(wanted)).order_by(*order).limit(WINDOW)
    window = looked_at.subquery("looked_at")
    fulfil = select(ecg).join(window, window.c.ecg_id == ecg.c.ecg_id).where(*_conditions(reading, wanted))
    rows = list(every_row(reading.connection, EcgVersion, fulfil.order_by(*order).limit(limit + 1)))
    found = tuple(summary(reading, row) for row in rows[:limit])
    if len(rows) > limit:
        return EcgPage(found=found, further=(rows[limit - 1].received_at, rows[limit - 1].ecg_id), is_whole=True)
    last = reading.connection.execute(looked_at.offset(WINDOW - 1).limit(1)).first()
    further = None if last is None else (last.received_at, last.ecg_id)
    return EcgPage(found=found, further=further, is_whole=last is None)


def _page(reading: Reading, wanted: Wanted, limit: int) -> list[EcgSummary]:
    query = select(ecg).where(*_conditions(reading, wanted))
    query = query.order_by(ecg.c.received_at.desc(), ecg.c.ecg_id.desc()).limit(limit)
    return [summary(reading, row) for row in every_row(reading.connection, EcgVersion, query)]


def _conditions(reading: Reading, wanted: Wanted) -> Sequence[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.number:
        found.append(ecg.c.ecg_id.in_(_numbered(reading, wanted.number)))
    if wanted.patient is not None:
        tree = identity.retired_into(reading.connection, identity.identifier_key(reading, wanted.patient))
        further = select(ecg_identity.c.ecg_id).where(ecg_identity.c.identity_key.in_(tree))
        found.append(or_(ecg.c.patient_key.in_(tree), ecg.c.ecg_id.in_(further)))
    if wanted.source:
        found.append(ecg.c.source == wanted.source)
    if wanted.state is not None:
        found.append(ecg.c.state == wanted.state.value)
    if wanted.head or wanted.answer:
        found.append(_answered(wanted.head, wanted.answer))
    if wanted.reason:
        found.append(_not_evaluable_for(wanted.reason))
    if wanted.device:
        names = [ecg.c.about["device"][name].as_string() for name in ("manufacturer", "model")]
        found.append(or_(*(name.icontains(wanted.device, autoescape=True) for name in names)))
    return [*found, *_between(wanted)]


def _between(wanted: Wanted) -> Sequence[ColumnElement[bool]]:
    """The time of receipt, and the place after the page before."""
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(ecg.c.received_at >= wanted.since)
    if wanted.until is not None:
        found.append(ecg.c.received_at < wanted.until)
    if wanted.after is not None:
        at, ecg_id = wanted.after
        found.append(ecg.c.received_at <= at)  # said by itself, for the index
        found.append(or_(ecg.c.received_at < at, and_(ecg.c.received_at == at, ecg.c.ecg_id < ecg_id)))
    return found


def _not_evaluable_for(reason: str) -> ColumnElement[bool]:
    """Whether a label of the scoring that counts has this reason, by its code."""
    told = cast(score.c.reasons, Text)
    named = told.contains(f'["{reason}"', autoescape=True)
    return exists().where(score.c.scoring_id == ecg.c.scoring_id, score.c.probability.is_(None), named)


def _answered(head: str, answer: str) -> ColumnElement[bool]:
    """Whether a label of the scoring that counts got this answer."""
    conditions = [score.c.scoring_id == ecg.c.scoring_id]
    if head:
        conditions.append(score.c.head == head)
    if answer == "not-evaluable":
        conditions.append(score.c.probability.is_(None))
    elif answer:
        conditions.append(score.c.positive.is_(answer == "positive"))
    return exists().where(*conditions)


def _numbered(reading: Reading, number: str) -> set[int]:
    number, bare = number.strip(), numbers.bare(number)
    same_source = ecg.c.source_key == reading.key("source", number)
    sent = or_(message.c.control_id == bare, message.c.filler == bare)
    ordered = ecg_number.c.number_key.in_(numbers.keys(reading, (number,)))
    found = set(reading.connection.scalars(select(ecg.c.ecg_id).where(same_source)))
    found |= set(reading.connection.scalars(select(message.c.ecg_id).where(sent)))
    found |= set(reading.connection.scalars(select(ecg_number.c.ecg_id).where(ordered)))
    found |= set(reading.connection.scalars(received_messages.ecgs_of(reading, number)))
    if number.isascii() and number.isdigit() and len(number) < 19:
        found |= set(reading.connection.scalars(select(ecg.c.ecg_id).where(ecg.c.ecg_id == int(number))))
    return found
