"""Staged ECGs, their scorings and their payloads, as they come back out of the store."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, select

from ecgfm_clinical.errors import NotFound
from ecgfm_clinical.staging import codec, identity, private, recordings, seals
from ecgfm_clinical.staging.compression import Packed, unpack_payload, unpack_signal
from ecgfm_clinical.staging.records import Score, Scoring, StagedEcg
from ecgfm_clinical.staging.rows import EcgVersion, ScoreRow, ScoringRow, each_row, every_row, first_row
from ecgfm_clinical.staging.schema import ecg, payload, payload_content, score, scoring, signal
from ecgfm_clinical.staging.transaction import Reading
from ecgfm_connectors.base import Received
from ecgfm_connectors.ecg import LEADS
from ecgfm_connectors.patient import Patient

NO_SIGNAL = np.empty((len(LEADS), 0), dtype=np.float32)


def load(reading: Reading, ecg_ids: Sequence[int], *, signals: bool, as_received: bool = False) -> list[StagedEcg]:
    """In the order asked for, each with the patient to whom its recording belongs now, or `as_received` with its own.

    Without `signals` the ECGs have 0 samples. Raises NotFound.
    """
    rows = reading.connection.execute(_VERSIONS, {"wanted": list(ecg_ids)})
    versions = [(EcgVersion(*version), sha256) for *version, sha256 in rows]
    found = {row.ecg_id: row for row, _ in versions}
    digests = {row.ecg_id: sha256 for row, sha256 in versions}
    samples = _signals(reading, found) if signals else None
    staged = [_staged(reading, found, digests, samples, ecg_id) for ecg_id in ecg_ids]
    if as_received:
        return staged
    decided = recordings.standings(reading, {row.recording_id for row in found.values()})
    named = {ecg_id: decided[row.recording_id].patient for ecg_id, row in found.items() if row.recording_id in decided}
    return _registered(reading, [_of(one, named.get(one.ecg_id)) for one in staged])


_VERSIONS = (
    select(*ecg.c, payload.c.sha256)
    .join(payload, payload.c.payload_id == ecg.c.payload_id)
    .where(ecg.c.ecg_id.in_(bindparam("wanted", expanding=True)))
)


def _of(one: StagedEcg, patient: Patient | None) -> StagedEcg:
    """The ECG of the patient whom a person or its sender named for its recording."""
    return one if patient is None else replace(one, ecg=replace(one.ecg, patient=patient))


def _registered(reading: Reading, staged: list[StagedEcg]) -> list[StagedEcg]:
    """With the birth date that the hospital's register has for each patient, of which the gates on age hear."""
    keys = {
        one.ecg_id: identity.identifier_key(reading, one.ecg.patient.identifiers[0])
        for one in staged
        if one.ecg.patient.identifiers
    }
    known = identity.registered(reading, set(keys.values()))
    return [
        one if (told := known.get(keys.get(one.ecg_id, ""))) is None else _of(one, _born(one.ecg.patient, told))
        for one in staged
    ]


def _born(patient: Patient, told: Patient) -> Patient:
    return replace(patient, registered_birth_date=told.birth_date)


def signal_if_kept(reading: Reading, ecg_id: int) -> NDArray[np.float32]:
    """The samples of one ECG, (12, n) mV; 0 of them where retention has removed them."""
    row = first_row(reading.connection, EcgVersion, select(ecg).where(ecg.c.ecg_id == ecg_id))
    return NO_SIGNAL if row is None else _signals(reading, {ecg_id: row}).get(ecg_id, NO_SIGNAL)


def _signals(reading: Reading, versions: Mapping[int, EcgVersion]) -> dict[int, NDArray[np.float32]]:
    stored = reading.connection.execute(_SIGNALS, {"wanted": list(versions)})
    return {
        kept.ecg_id: unpack_signal(
            Packed(coding=kept.coding, value=seals.SIGNAL.open(reading.keyring, kept, of=versions[kept.ecg_id]))
        )
        for kept in stored
    }


_SIGNALS = select(signal).where(signal.c.ecg_id.in_(bindparam("wanted", expanding=True)))


def _staged(
    reading: Reading,
    found: Mapping[int, EcgVersion],
    digests: Mapping[int, str],
    samples: Mapping[int, NDArray[np.float32]] | None,
    ecg_id: int,
) -> StagedEcg:
    if ecg_id not in found:
        raise NotFound(f"there is no ECG {ecg_id} in the store")
    if samples is not None and ecg_id not in samples:
        raise NotFound(f"the signal of ECG {ecg_id} was removed by retention; only its bookkeeping is left")
    row = found[ecg_id]
    return StagedEcg(
        ecg_id=row.ecg_id,
        payload_id=row.payload_id,
        payload_sha256=digests[ecg_id],
        version=row.version,
        source=row.source,
        received_at=row.received_at,
        ecg=codec.ecg_from(row, private.private_of(reading, row), NO_SIGNAL if samples is None else samples[ecg_id]),
    )


def load_scoring(reading: Reading, scoring_id: int) -> Scoring:
    """Raises NotFound."""
    mine = select(scoring).where(scoring.c.scoring_id == scoring_id)
    row = first_row(reading.connection, ScoringRow, mine)
    if row is None:
        raise NotFound(f"there is no scoring {scoring_id} in the store")
    return codec.scoring_from(row, scores(reading, scoring_id))


def scores(reading: Reading, scoring_id: int | None) -> tuple[Score, ...]:
    """Of one scoring, in the order of its heads."""
    mine = select(score).where(score.c.scoring_id == scoring_id).order_by(score.c.position)
    return tuple(map(codec.score_from, each_row(reading.connection, ScoreRow, mine)))


def load_scorings(reading: Reading, ecg_id: int) -> tuple[Scoring, ...]:
    """Every scoring of one ECG, oldest first."""
    mine = select(scoring).where(scoring.c.ecg_id == ecg_id).order_by(scoring.c.scoring_id)
    rows = every_row(reading.connection, ScoringRow, mine)
    return tuple(codec.scoring_from(row, scores(reading, row.scoring_id)) for row in rows)


def load_payload(reading: Reading, payload_id: int) -> Received:
    """A payload exactly as it was received. Raises NotFound."""
    row = reading.connection.execute(
        select(
            *payload.c,
            payload_content.c.content,
            payload_content.c.coding,
            payload_content.c.key_id.label("content_key_id"),
        )
        .join(payload_content, payload_content.c.payload_id == payload.c.payload_id, isouter=True)
        .where(payload.c.payload_id == payload_id)
    ).first()
    if row is None:
        raise NotFound(f"there is no payload {payload_id} in the store")
    if row.content is None:
        raise NotFound(f"the bytes of payload {payload_id} were removed by retention; only its bookkeeping is left")
    told = json.loads(seals.PAYLOAD.open(reading.keyring, row))
    stored = seals.PAYLOAD_CONTENT.open_value(reading.keyring, row.content_key_id, row.content, of=row)
    return Received(
        transport=row.transport,
        source=row.source,
        content=unpack_payload(Packed(coding=row.coding, value=stored)),
        received_at=row.received_at,
        peer=told["peer"],
        location=told["location"],
    )
