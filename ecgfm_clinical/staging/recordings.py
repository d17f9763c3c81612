"""Which recording an arrival belongs to, whose it is by the newest word, and whether anything of it may be told.

A recording is what one device recorded once; each arrival of it that says something new is an `ecg` row of its own, a
version. What people and senders decide about a recording (`recording_event`) is kept beside the versions, which stay as
they came: so a later copy of the same object changes nothing that a person has decided.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Literal

import numpy as np
from sqlalchemy import ColumnElement, bindparam, insert, select, update

from ecgfm_clinical.staging import codec, identity, numbers, seals
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.rows import EcgVersion, RecordingEvent, every_row, one_row
from ecgfm_clinical.staging.schema import ecg, ecg_number, recording_event
from ecgfm_clinical.staging.sealing import to_json
from ecgfm_clinical.staging.transaction import Reading, Transaction
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.patient import Identifier, Patient

How = Literal["number", "correction", "signal"]
Withdrawn = Literal["by-sender", "by-person"]
#: What may happen to a recording after it arrived; `LIFECYCLE.md` says by which event.
EVENTS = ("assigned", "withdrawn", "rejected", "reinstated", "taken-back")

#: A recording in which fewer different sample values occur is a flat line or a calibration signal: many look alike.
LEAST_DISTINCT_SAMPLES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The recording of which an arrival is another version."""

    newest: EcgVersion
    how: How  #: by the sender's own number, by the order it corrects, or by the samples themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What was decided about one recording so far."""

    event_id: int | None = None  #: of the newest assignment
    patient: Patient | None = None  #: who was named for it; None: whom its own payload names
    generation: int = 0  #: how often it changed hands; each has a filler number of its own
    withdrawn: Withdrawn | None = None
    withdrawn_by: str | None = None  #: the source, or the person, that took it back
    reinstated: bool = False  #: it may be told again, though it says what was withdrawn
    taken_back: str | None = None  #: digest of what it said when a person took its result back: that is no news


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """By what an arrival is recognised."""

    said: str  #: equal exactly where two arrivals say the same, to the last sample
    signal: (
        str | None
    )  #: equal for the same samples of the same device at the same time; None where they may look alike
    order: str | None  #: by which its sender's correction or withdrawal finds it


def find(tx: Transaction, one: Ecg, marked: Marks) -> Known | None:
    """The recording that this arrival belongs to; None where it is a new one."""
    if row := _newest(tx, ecg.c.source_key == tx.key("source", one.source_id)):
        return Known(newest=row, how="number")
    if one.corrects:
        found = (
            by_documents(tx, one.document_ids)
            or by_order(tx, one.order_id)
            or by_filler(tx, one.order.filler, one.patient)
        )
        if len(found) == 1:
            return Known(newest=found[0], how="correction")
    if marked.signal and (row := _newest(tx, ecg.c.signal_key == marked.signal)):
        return Known(newest=row, how="signal")
    return None


def _newest(tx: Reading, condition: ColumnElement[bool]) -> EcgVersion | None:
    """The newest version of the recording of which some version fulfils the condition."""
    found = tx.connection.scalar(select(ecg.c.recording_id).where(condition).order_by(ecg.c.ecg_id.desc()).limit(1))
    return None if found is None else newest(tx, found)


def _recordings(tx: Reading, condition: ColumnElement[bool]) -> list[EcgVersion]:
    ids = tx.connection.scalars(select(ecg.c.recording_id).where(condition).distinct()).all()
    return [newest(tx, recording_id) for recording_id in sorted(ids)]


def newest(tx: Reading, recording_id: int) -> EcgVersion:
    """Its newest version."""
    return EcgVersion(*tx.connection.execute(_NEWEST, {"of": recording_id}).one())


_NEWEST = select(ecg).where(ecg.c.recording_id == bindparam("of")).order_by(ecg.c.version.desc()).limit(1)


def by_numbers(tx: Reading, source_ids: Iterable[str]) -> list[EcgVersion]:
    """The newest version of each recording that its sender knows by one of these numbers."""
    return _recordings(tx, ecg.c.source_key.in_([tx.key("source", number) for number in source_ids]))


def by_number_keys(tx: Reading, keys: Iterable[str]) -> list[EcgVersion]:
    """The newest version of each recording that is known by one of these digests (`numbers`)."""
    named = select(ecg_number.c.ecg_id).where(ecg_number.c.number_key.in_(list(keys)))
    return _recordings(tx, ecg.c.ecg_id.in_(named))


def by_order(tx: Reading, order_id: str) -> list[EcgVersion]:
    """The newest version of each recording of one sender's order."""
    return _recordings(tx, ecg.c.order_key == tx.key("order", order_id)) if order_id else []


def by_documents(tx: Reading, document_ids: Iterable[str]) -> list[EcgVersion]:
    """The newest version of each recording in one of its sender's documents."""
    keys = numbers.document_keys(tx, document_ids)
    named = select(ecg_number.c.ecg_id).where(ecg_number.c.number_key.in_(keys))
    return _recordings(tx, ecg.c.ecg_id.in_(named)) if keys else []


def by_filler(tx: Reading, filler: str, patient: Patient) -> list[EcgVersion]:
    """The newest version of each recording of this patient that came by itself (C-STORE) and names this filler number.

    An object says nothing of the system that will correct it, so its number alone means nothing: another department's
    may read alike.
    """
    if not filler or not patient.identifiers:
        return []
    named = select(ecg_number.c.ecg_id).where(ecg_number.c.number_key.in_(numbers.keys(tx, [filler])))
    found = _recordings(tx, ecg.c.ecg_id.in_(named) & ecg.c.order_key.is_(None))
    mine = [row for row in found if same_person(tx, patient_of(tx, row), patient)]
    return [row for row in mine if numbers.bare(private_of(tx, row).order.filler) == numbers.bare(filler)]


def marks(tx: Reading, one: Ecg) -> Marks:
    """The keyed digests of one arrival."""
    samples = hashlib.sha256(codec.signal_bytes(one)).hexdigest()
    words = to_json([codec.about(one), codec.said(one)]).decode()
    device = one.device.serial or one.device.station or one.device.model
    comparable = one.acquired is not None and device and not _looks_like_others(one)
    return Marks(
        said=tx.key("said", one.format, repr(one.sampling_rate), samples, words),
        signal=tx.key("signal", samples, repr(one.sampling_rate), _moment(one), device) if comparable else None,
        order=tx.key("order", one.order_id) if one.order_id else None,
    )


def _moment(one: Ecg) -> str:
    return one.acquired.at.astimezone(UTC).isoformat() if one.acquired else ""


def _looks_like_others(one: Ecg) -> bool:
    """Flat lines and calibration pulses: a few values, repeated."""
    lead = one.signal[1][: round(10 * one.sampling_rate)]
    return np.unique(lead[np.isfinite(lead)]).size < LEAST_DISTINCT_SAMPLES


def standing(tx: Reading, recording_id: int) -> Standing:
    """What was decided about the recording."""
    return standings(tx, [recording_id]).get(recording_id, Standing())


def standings(tx: Reading, recording_ids: Iterable[int]) -> Mapping[int, Standing]:
    """What was decided, by recording; one about which nothing was decided is left out."""
    found: dict[int, Standing] = {}
    for event in tx.connection.execute(_DECIDED, {"of": list(recording_ids)}).all():
        row = RecordingEvent(*event)
        before = found.get(row.recording_id, Standing())
        found[row.recording_id] = _after(tx, before, row)
    return found


_DECIDED = (
    select(recording_event)
    .where(recording_event.c.recording_id.in_(bindparam("of", expanding=True)))
    .order_by(recording_event.c.event_id)
)


def _after(tx: Reading, before: Standing, row: RecordingEvent) -> Standing:
    match row.kind:
        case "assigned":
            return replace(
                before,
                event_id=row.event_id,
                patient=named_in(tx, row),
                generation=before.generation + bool(row.moved),
                taken_back=None if row.moved else before.taken_back,
            )
        case "taken-back":
            said = seals.RECORDING_EVENT.open(tx.keyring, row).decode()
            return replace(before, taken_back=said, reinstated=False)
        case "reinstated":
            taken_back = before.taken_back if row.private is None else None
            return replace(before, withdrawn=None, taken_back=taken_back, reinstated=True)
        case "rejected":
            return replace(before, withdrawn="by-person", withdrawn_by=row.actor, reinstated=False)
        case _ if before.withdrawn == "by-person":  # what a person decided is not its sender's to undo
            return replace(before, reinstated=False)
        case _:
            return replace(before, withdrawn="by-sender", withdrawn_by=row.actor, reinstated=False)


def named_in(tx: Reading, row: RecordingEvent) -> Patient:
    """The patient whom an assignment names."""
    return codec.patient_from(json.loads(seals.RECORDING_EVENT.open(tx.keyring, row)))


def patient_of(tx: Reading, row: EcgVersion) -> Patient:
    """Whose the recording of this version is: whom a person or its sender named, else whom the version itself names."""
    return standing(tx, row.recording_id).patient or own_patient(tx, row)


def own_patient(tx: Reading, row: EcgVersion) -> Patient:
    """Whom this version itself names."""
    return private_of(tx, row).patient


def assign(tx: Transaction, row: EcgVersion, patient: Patient, *, moved: bool, reason: str) -> None:
    """The recording of this version belongs to `patient` from now on; `moved`: it belonged to another."""
    number = _next_number(tx, row.recording_id)
    named = to_json(codec.patient_dict(patient))
    sealed = seals.RECORDING_EVENT.seal(tx.keyring, named, recording_id=row.recording_id, number=number)
    _keep(tx, row.recording_id, number, "assigned", moved=moved, reason=reason, sealed=sealed)
    key = identity.patient_key(tx, patient, row.source_key)
    tx.connection.execute(update(ecg).where(ecg.c.recording_id == row.recording_id).values(patient_key=key))


def renumber(tx: Transaction, row: EcgVersion, *, reason: str) -> bool:
    """The recording stays whose it is, and its next result gets another filler number.

    What a person took back stays taken back: whether nothing was.
    """
    decided = standing(tx, row.recording_id)
    assign(tx, row, decided.patient or own_patient(tx, row), moved=True, reason=reason)
    if decided.taken_back is None:
        return True
    result_taken_back(tx, row.recording_id, decided.taken_back, reason=reason)
    return False


def withdraw(tx: Transaction, recording_id: int, *, by: Withdrawn, reason: str) -> None:
    """Nothing of the recording is told any more: until its sender sends it anew, or, where a person said so,
    for good.
    """
    kind = "withdrawn" if by == "by-sender" else "rejected"
    _keep(tx, recording_id, _next_number(tx, recording_id), kind, moved=False, reason=reason)


def reinstate(tx: Transaction, recording_id: int, *, also_taken_back: bool, reason: str) -> None:
    """It may be told again: its sender sent it anew after taking it back, or a person says so.

    `also_taken_back`: what a person took back as well, as a person brings it back, or a scoring that says something
    else makes it a matter of the past. Then something, though empty, is sealed with the event.
    """
    number = _next_number(tx, recording_id)
    if not also_taken_back:
        _keep(tx, recording_id, number, "reinstated", moved=False, reason=reason)
        return
    sealed = seals.RECORDING_EVENT.seal(tx.keyring, b"", recording_id=recording_id, number=number)
    _keep(tx, recording_id, number, "reinstated", moved=False, reason=reason, sealed=sealed)


def result_taken_back(tx: Transaction, recording_id: int, output_digest: str, *, reason: str) -> None:
    """A person took the result back: a scoring that says the same again is no news, also where nothing had left yet."""
    number = _next_number(tx, recording_id)
    sealed = seals.RECORDING_EVENT.seal(tx.keyring, output_digest.encode(), recording_id=recording_id, number=number)
    _keep(tx, recording_id, number, "taken-back", moved=False, reason=reason, sealed=sealed)


def _keep(
    tx: Transaction,
    recording_id: int,
    number: int,
    kind: str,
    *,
    moved: bool,
    reason: str,
    sealed: Mapping[str, bytes | int | None] | None = None,
) -> None:
    tx.connection.execute(
        insert(recording_event).values(
            recording_id=recording_id,
            number=number,
            kind=kind,
            moved=moved,
            at=tx.now,
            actor=tx.actor,
            reason=reason,
            **(sealed or {}),
        )
    )


def _next_number(tx: Transaction, recording_id: int) -> int:
    mine = select(recording_event.c.number).where(recording_event.c.recording_id == recording_id)
    return 1 + max(tx.connection.scalars(mine), default=0)


def same_person(tx: Reading, one: Patient, other: Patient) -> bool:
    """Whether two descriptions share an identity in use, merges followed; without numbers, whether they are equal.

    A visit or insurance number that both name says nothing where the numbers under which results go out contradict:
    who corrects the patient often leaves the rest as it was.
    """
    if not one.identifiers or not other.identifiers:
        return one == other
    ones, others = identity.in_use(tx, one.identifiers), identity.in_use(tx, other.identifiers)
    leading = {known[0].identity[:2] for known in (ones, others)}  # authority and kind
    shared = {known.identity for known in ones} & {known.identity for known in others}
    return bool(shared) and not any(_contradict(ones, others, authority) for authority in leading)


def _contradict(ones: Sequence[Identifier], others: Sequence[Identifier], authority: tuple[str, str]) -> bool:
    """Whether this authority gave both a number of this kind, and none in common."""
    numbers, other = ({one.identity for one in known if one.identity[:2] == authority} for known in (ones, others))
    return bool(numbers and other) and not numbers & other


def named_before(tx: Reading, row: EcgVersion, patient: Patient) -> bool:
    """Whether an earlier version of the recording named this person: then it is a copy of what is decided already."""
    others = select(ecg).where(ecg.c.recording_id == row.recording_id, ecg.c.ecg_id != row.ecg_id)
    versions = every_row(tx.connection, EcgVersion, others)
    return any(same_person(tx, patient, own_patient(tx, one)) for one in versions)


def keep_patient(tx: Transaction, row: EcgVersion) -> None:
    """Every version is filed under the patient to whom the recording belongs by the newest word:
    `row` is the newest.
    """
    key = identity.patient_key(tx, patient_of(tx, row), row.source_key)
    others = (ecg.c.recording_id == row.recording_id, ecg.c.patient_key != key)
    tx.connection.execute(update(ecg).where(*others).values(patient_key=key))


def version(tx: Reading, ecg_id: int) -> EcgVersion:
    """One version by its number."""
    return one_row(tx.connection, EcgVersion, select(ecg).where(ecg.c.ecg_id == ecg_id))
