"""Keeping what a model answered about an ECG: the scoring, its scores, the ECG's state, and what is to be told."""

from dataclasses import replace

from sqlalchemy import bindparam, insert, update

from ecgfm_clinical.staging import announcing, codec, loading, pauses
from ecgfm_clinical.staging.records import EcgState, Scoring
from ecgfm_clinical.staging.rows import EcgVersion
from ecgfm_clinical.staging.schema import ecg, score, scoring
from ecgfm_clinical.staging.transaction import Transaction

_INSERT_SCORING = insert(scoring).returning(scoring.c.scoring_id)
_INSERT_SCORES = insert(score)


def keep(
    tx: Transaction,
    row: EcgVersion,
    found: Scoring,
    *,
    tell: bool,
    silent: frozenset[str],
    stands: announcing.Before | None,
) -> None:
    """One scoring of the ECG in this row; `tell`: it goes out whether it is news or not; `silent`: heads of which no
    answer is kept; `stands`: of its recording, where that was asked already.
    """
    was = _heads_of(tx, row.scoring_id)
    owed = {one.head for one in found.scores} & silent
    found = replace(found, scores=tuple(one for one in found.scores if one.head not in silent)) if owed else found
    pauses.withhold(tx, row.ecg_id, owed, received_at=row.received_at, source=row.source)
    scoring_id: int = tx.connection.execute(
        _INSERT_SCORING,
        {
            "ecg_id": found.ecg_id,
            "model_id": found.model_id,
            "model_name": found.model_name,
            "model_version": found.model_version,
            "preprocessing": found.preprocessing,
            "runtime": found.runtime,
            "input_digest": found.input_digest,
            "output_digest": codec.output_digest(found),
            "scored_at": found.scored_at,
            "demo": found.demo,
            "segments": found.segments,
        },
    ).scalar_one()
    if found.scores:
        tx.connection.execute(_INSERT_SCORES, codec.score_rows(scoring_id, found))
    heads = codec.head_states(found.scores)
    state = EcgState.SCORED if "scored" in heads.values() else EcgState.NOT_EVALUABLE
    move(tx, row, state, scoring_id=scoring_id)
    for head, answer in was.items():
        tx.count(-1, received_at=row.received_at, source=row.source, head=head, state=answer)
    for head, answer in heads.items():
        tx.count(1, received_at=row.received_at, source=row.source, head=head, state=answer)
    tx.note(f"ecg.{state.value.replace('_', '-')}", ecg_id=row.ecg_id, scoring_id=scoring_id, model_id=found.model_id)
    announcing.announce(tx, row, scoring_id, found, again=tell, stands=stands)


def _heads_of(tx: Transaction, scoring_id: int | None) -> dict[str, str]:
    """Head -> its answer in this scoring."""
    if scoring_id is None:
        return {}
    return codec.head_states(loading.scores(tx, scoring_id))


_MOVE = (
    update(ecg).where(ecg.c.ecg_id == bindparam("moved")).values(state=bindparam("to"), scoring_id=bindparam("now_by"))
)


def move(tx: Transaction, row: EcgVersion, state: EcgState, *, scoring_id: int | None) -> None:
    """The ECG's state and its newest scoring, in its row and in the tally."""
    tx.connection.execute(_MOVE, {"moved": row.ecg_id, "to": state.value, "now_by": scoring_id})
    tx.count(-1, received_at=row.received_at, source=row.source, state=row.state)
    tx.count(1, received_at=row.received_at, source=row.source, state=state.value)
