"""What the store gives to cohorts: rows of ECGs and outcomes without anyone's name, signals by key, scores by month.

Words that many rows share are interned: of a million rows each would take some hundred bytes of its own.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from sys import intern

from sqlalchemy import Column, ColumnElement, func, select, true

from ecgfm_clinical.staging import codec, identity, loading, objections, recordings, seals
from ecgfm_clinical.staging.codec import About, PrivatePart
from ecgfm_clinical.staging.cohort_rows import EcgRow, OutcomeKind, OutcomeRow
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.private import private_of
from ecgfm_clinical.staging.recordings import Standing
from ecgfm_clinical.staging.rows import EcgVersion, PatientRow, each_row
from ecgfm_clinical.staging.schema import (
    ecg,
    ecg_identity,
    hold,
    identity_alias,
    identity_event,
    outcome,
    patient,
    recording_event,
    score,
    scoring,
    signal,
)
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors import ages
from ecgfm_connectors.decision import DEATH
from ecgfm_connectors.ecg import Ecg
from ecgfm_connectors.patient import Identifier, Patient
from ecgfm_connectors.people import agreed_sex

PAGE = 1000  # ECGs read at once


class Cohorts:
    """What learning may know of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ecgs(self, *, as_of: datetime | None = None) -> list[EcgRow]:
        """Every ECG received up to that moment (all where None), oldest first,
        under the patient it then belonged to.
        """
        with self._database.reading() as ask:
            return _ecg_rows(ask, as_of)

    def outcomes(self, kind: OutcomeKind, *, as_of: datetime | None = None) -> list[OutcomeRow]:
        """Every result of one kind in the newest version received up to that moment, oldest first."""
        with self._database.reading() as ask:
            return _outcome_rows(ask, outcome.c.kind == kind, as_of)

    def contacts(self, *, as_of: datetime | None = None) -> list[OutcomeRow]:
        """The same of every kind but deaths: what was taken from a living patient."""
        with self._database.reading() as ask:
            return _outcome_rows(ask, outcome.c.kind != DEATH, as_of)

    def recordings(self, keys: Sequence[str]) -> list[Ecg]:
        """The ECGs of these keys, with their signals, in order. Raises NotFound."""
        with self._database.reading() as ask:
            return [one.ecg for one in loading.load(ask, [ecg_id_of(key) for key in keys], signals=True)]

    def scored(self, head: str, label: str) -> list[tuple[str, str, float, datetime]]:
        """(ECG key, model_id, probability, acquired or received at) of every current score of one label."""
        query = (
            select(ecg.c.ecg_id, scoring.c.model_id, score.c.probability, ecg.c.acquired_at, ecg.c.received_at)
            .join(scoring, scoring.c.scoring_id == ecg.c.scoring_id)
            .join(score, score.c.scoring_id == scoring.c.scoring_id)
            .where(score.c.head == head, score.c.label == label, score.c.probability.is_not(None))
            .order_by(ecg.c.ecg_id)
        )
        with self._database.reading() as ask:
            return [
                (ecg_key(row.ecg_id), row.model_id, row.probability, row.acquired_at or row.received_at)
                for row in ask.connection.execute(query)
            ]


def _ecg_rows(reading: Reading, as_of: datetime | None) -> list[EcgRow]:
    survivors = _survivors(reading, as_of)
    known_as = _known_as(survivors)
    query = select(ecg.c.recording_id, func.max(ecg.c.version)).where(_until(ecg.c.received_at, as_of))
    newest = dict(reading.connection.execute(query.group_by(ecg.c.recording_id)).all())
    decided = _decided(reading)
    held = set(reading.connection.scalars(select(hold.c.recording_id).where(hold.c.decision.is_(None))))
    split_keys = _split_keys_of_events(reading)
    objected = objections.keys(reading)
    numbers = _further_numbers(reading) if objected else {}
    registered = _registered(reading, as_of)
    rows = []
    for row, kept in _pages(reading, as_of):
        told = private_of(reading, row)
        if row.recording_id in decided and (named := decided[row.recording_id].patient) is not None:
            told = replace(told, patient=named)
        known = None
        for first in told.patient.identifiers[:1]:
            key = identity.identifier_key(reading, first)
            known = registered.get(survivors.get(key, key))
            split_keys[row.patient_key].add(_split_key(reading, first))
        objects = bool(objected) and _objects(reading, row, told, objected, numbers)
        rows.append(
            _ecg_row(
                row,
                told,
                survivors,
                newest,
                registered=known or Patient(),
                doubtful=_is_doubtful(row.recording_id, decided, held),
                objected=objects,
                kept=kept,
            )
        )
    for place, one in enumerate(rows):  # in place: a second list of a million rows would take another gigabyte
        rows[place] = replace(one, patient_keys=_spread(one.patient, known_as, split_keys))
    return rows


def _decided(reading: Reading) -> Mapping[int, Standing]:
    """What people and senders decided about recordings, by recording; the others are left out."""
    decided = set(reading.connection.scalars(select(recording_event.c.recording_id).distinct()))
    return recordings.standings(reading, decided)


def _is_doubtful(recording_id: int, decided: Mapping[int, Standing], held: Collection[int]) -> bool:
    """Whether it is not certain whose the recording is, or its sender or a person took it back."""
    return recording_id in held or (recording_id in decided and decided[recording_id].withdrawn is not None)


def _split_key(reading: Reading, one: Identifier) -> str:
    """By which a patient falls into training, validation or test: as the first schemas made keys, because a patient who
    was tested on once must never be trained on."""
    return reading.key("patient", one.authority, one.type, one.value)


def _split_keys_of_events(reading: Reading) -> defaultdict[str, set[str]]:
    """Identity -> its keys for splitting, of the identities that merges named."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in reading.connection.execute(select(identity_event)).all():
        both = json.loads(seals.IDENTITY_EVENT.open(reading.keyring, row))
        for key, told in ((row.retired_key, both["retired"]), (row.surviving_key, both["surviving"])):
            found[key].add(_split_key(reading, Identifier(**told)))
    return found


def _spread(
    patient: str, known_as: Mapping[str, tuple[str, ...]], split_keys: Mapping[str, set[str]]
) -> tuple[str, ...]:
    """Every key for splitting of one person; the identity itself for an ECG that names nobody."""
    keys = known_as.get(patient, (patient,))
    return tuple(sorted({one for key in keys for one in split_keys.get(key, {key})}))


def _until(column: Column[datetime], as_of: datetime | None) -> ColumnElement[bool]:
    return true() if as_of is None else column <= as_of


def _pages(reading: Reading, as_of: datetime | None) -> Iterator[tuple[EcgVersion, bool]]:
    """Each version, and whether its signal is still kept."""
    last = 0
    kept = signal.c.ecg_id.is_not(None).label("kept")
    every = select(*ecg.c, kept).join(signal, signal.c.ecg_id == ecg.c.ecg_id, isouter=True)
    query = every.where(_until(ecg.c.received_at, as_of)).order_by(ecg.c.ecg_id).limit(PAGE)
    while rows := reading.connection.execute(query.where(ecg.c.ecg_id > last)).all():
        yield from ((EcgVersion(*version), bool(is_kept)) for *version, is_kept in rows)
        last = rows[-1].ecg_id


def _survivors(reading: Reading, as_of: datetime | None) -> dict[str, str]:
    """Retired patient key -> surviving key, chains followed to their end."""
    query = select(identity_alias.c.retired_key, identity_alias.c.surviving_key)
    alias = dict(reading.connection.execute(query.where(_until(identity_alias.c.since, as_of))).all())
    found = {}
    for retired, surviving in alias.items():
        seen, key = {retired}, surviving
        while key in alias and key not in seen:
            seen.add(key)
            key = alias[key]
        found[retired] = key
    return found


def _known_as(survivors: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Surviving key -> every key of that person."""
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for retired, surviving in sorted(survivors.items()):
        keys[surviving].append(retired)
    return {surviving: (surviving, *retired) for surviving, retired in keys.items()}


def _ecg_row(
    row: EcgVersion,
    told: PrivatePart,
    survivors: Mapping[str, str],
    newest: Mapping[int, int],
    *,
    registered: Patient,
    doubtful: bool,
    objected: bool,
    kept: bool,
) -> EcgRow:
    patient = intern(survivors.get(row.patient_key, row.patient_key))
    about = codec.about_of(row)
    device = about.device
    return EcgRow(
        key=ecg_key(row.ecg_id),
        patient=patient,
        patient_keys=(patient,),
        identified=bool(told.patient.identifiers),
        acquired_at=row.acquired_at,
        sampling_rate=row.sampling_rate,
        samples=row.samples,
        age=_age(told, about, registered.birth_date),
        sex=agreed_sex(told.patient.sex, registered.sex),
        device=intern(" ".join(filter(None, (device.manufacturer, device.model)))),
        site=intern(device.institution or row.source),
        statements=told.statements,
        codes=tuple(f"{one.source}:{one.code}" for one in told.coded),
        test_data=about.test_data,
        superseded=row.version < newest[row.recording_id],
        doubtful=doubtful,
        objected=objected,
        recording=_recording(row),
        kept=kept,
    )


def _further_numbers(reading: Reading) -> Mapping[int, set[str]]:
    """Of each ECG the keys of its patient's numbers beyond the first."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for row in reading.connection.execute(select(ecg_identity.c.ecg_id, ecg_identity.c.identity_key)):
        found[row.ecg_id].add(row.identity_key)
    return found


def _objects(
    reading: Reading, row: EcgVersion, told: PrivatePart, objected: Collection[str], numbers: Mapping[int, set[str]]
) -> bool:
    """Whether any number that the ECG came in under, or was given by a person, objects."""
    given = {identity.identifier_key(reading, one) for one in told.patient.identifiers}
    return not ({row.patient_key} | given | numbers.get(row.ecg_id, set())).isdisjoint(objected)


def _recording(row: EcgVersion) -> str:
    """Equal for recordings of one patient at one instant with as many samples: one recording under two numbers.

    The samples themselves are not compared: a C-STORE copy and an HL7 copy of one ECG may differ in the last bit.
    """
    if row.acquired_at is None:
        return ""
    told = f"{row.patient_key} {row.acquired_at.isoformat()} {row.sampling_rate:g} {row.samples}"
    return hashlib.sha256(told.encode()).hexdigest()


def _registered(reading: Reading, as_of: datetime | None) -> Mapping[str, Patient]:
    """Patient key -> what the hospital's register says of the patient, where it was told by then."""
    query = select(patient).where(_until(patient.c.updated_at, as_of))
    rows = each_row(reading.connection, PatientRow, query)
    return {row.patient_key: identity.described_in(reading.keyring, row) for row in rows}


def _age(told: PrivatePart, about: About, registered: date | None) -> float | None:
    """In years, as before scoring; None where it is not known, or what tells it disagrees."""
    acquired = None if told.acquired is None else told.acquired.at
    return ages.at_acquisition(told.patient.birth_date, acquired, about.measurements, registered=registered).years


def ecg_key(ecg_id: int) -> str:
    """An ECG's name in cohorts, caches and reports."""
    return f"ecg:{ecg_id}"


def ecg_id_of(key: str) -> int:
    return int(key.partition(":")[2])


def _outcome_rows(reading: Reading, wanted: ColumnElement[bool], as_of: datetime | None) -> list[OutcomeRow]:
    survivors = _survivors(reading, as_of)
    newest = (
        select(outcome.c.source_key, func.max(outcome.c.version).label("version"))
        .where(wanted, _until(outcome.c.received_at, as_of))
        .group_by(outcome.c.source_key)
        .subquery()
    )
    rows = reading.connection.execute(
        select(outcome)
        .join(newest, (newest.c.source_key == outcome.c.source_key) & (newest.c.version == outcome.c.version))
        .order_by(outcome.c.observed_at, outcome.c.outcome_id)
    )
    return [
        OutcomeRow(
            key=f"outcome:{row.outcome_id}",
            patient=intern(survivors.get(row.patient_key, row.patient_key)),
            kind=intern(row.kind),
            status=row.status,
            value=row.value,
            upper_value=row.upper_value,
            comparator=intern(row.comparator),
            unit=intern(row.unit),
            code=intern(row.code),
            assay=intern(row.assay),
            upper_reference_limit=row.upper_reference_limit,
            observed_at=row.observed_at,
            observed_precision=row.observed_precision,
        )
        for row in rows
    ]
