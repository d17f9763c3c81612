"""What a model in the shadow answered: written to tables that no sender reads.

`staging/registry.py` says which model is in the shadow and since when.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, insert, select

from ecgfm_clinical.staging import cohorts, loading
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.records import Score, StagedEcg
from ecgfm_clinical.staging.schema import ecg, score, shadow_score, shadow_scoring
from ecgfm_clinical.staging.transaction import Transaction


class ShadowAnswers:
    """The shadow scores of one store; every method is one transaction and raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def batch(self, model_id: str, since: datetime, *, limit: int) -> list[StagedEcg]:
        """ECGs received since then that the live model has answered and this one has not, oldest first."""
        done = select(shadow_scoring.c.ecg_id).where(shadow_scoring.c.model_id == model_id)
        query = (
            select(ecg.c.ecg_id)
            .where(ecg.c.received_at >= since, ecg.c.scoring_id.is_not(None), ecg.c.ecg_id.not_in(done))
            .order_by(ecg.c.ecg_id)
            .limit(limit)
        )
        with self._database.reading() as ask:
            return loading.load(ask, ask.connection.scalars(query).all(), signals=True)

    def keep(self, model_id: str, answers: Mapping[int, Sequence[Score]], *, now: datetime, actor: str) -> None:
        """Keep what the shadow answered, ecg_id -> scores; another worker's earlier answer stands."""
        with self._database.writing(now, actor) as tx:
            tx.lock_models()
            there = set(
                tx.connection.scalars(
                    select(shadow_scoring.c.ecg_id).where(
                        shadow_scoring.c.model_id == model_id, shadow_scoring.c.ecg_id.in_(answers)
                    )
                )
            )
            for ecg_id, scores in answers.items():
                if ecg_id not in there:
                    _keep(tx, model_id, ecg_id, scores)

    def pairs(self, model_id: str, head: str, label: str) -> list[tuple[str, float, float]]:
        """(ECG key, live probability, shadow probability) of every ECG that both gave one."""
        live = score.alias("live")
        query = (
            select(ecg.c.ecg_id, live.c.probability.label("live"), shadow_score.c.probability.label("shadow"))
            .join(shadow_scoring, shadow_scoring.c.ecg_id == ecg.c.ecg_id)
            .join(shadow_score, shadow_score.c.shadow_id == shadow_scoring.c.shadow_id)
            .join(live, live.c.scoring_id == ecg.c.scoring_id)
            .where(
                *(shadow_scoring.c.model_id == model_id, shadow_score.c.head == head, shadow_score.c.label == label),
                *(live.c.head == head, live.c.label == label),
                *(live.c.probability.is_not(None), shadow_score.c.probability.is_not(None)),
            )
            .order_by(ecg.c.ecg_id)
        )
        with self._database.reading() as ask:
            return [(cohorts.ecg_key(row.ecg_id), row.live, row.shadow) for row in ask.connection.execute(query)]

    def labels(self, model_id: str) -> list[tuple[str, str]]:
        """(head, label) of everything that this model answered in the shadow."""
        query = (
            select(shadow_score.c.head, shadow_score.c.label)
            .join(shadow_scoring, shadow_scoring.c.shadow_id == shadow_score.c.shadow_id)
            .where(shadow_scoring.c.model_id == model_id)
            .distinct()
            .order_by(shadow_score.c.head, shadow_score.c.label)
        )
        with self._database.reading() as ask:
            return [(row.head, row.label) for row in ask.connection.execute(query)]

    def count(self, model_id: str) -> int:
        """How many live ECGs this model has answered in the shadow."""
        with self._database.reading() as ask:
            query = select(func.count()).where(shadow_scoring.c.model_id == model_id)
            return ask.connection.scalar(query) or 0


def _keep(tx: Transaction, model_id: str, ecg_id: int, scores: Sequence[Score]) -> None:
    values = {"ecg_id": ecg_id, "model_id": model_id, "scored_at": tx.now}
    shadow_id = tx.connection.execute(insert(shadow_scoring).returning(shadow_scoring.c.shadow_id), values).scalar_one()
    rows = list(_score_rows(shadow_id, scores))
    if rows:
        tx.connection.execute(insert(shadow_score), rows)


def _score_rows(shadow_id: int, scores: Sequence[Score]) -> Iterator[dict[str, object]]:
    for position, one in enumerate(scores):
        yield {
            "shadow_id": shadow_id,
            "position": position,
            "head": one.head,
            "label": one.label,
            "probability": one.probability,
            "logit": one.logit,
            "threshold": one.threshold,
            "positive": one.positive,
            "reasons": [list(reason) for reason in one.reasons],
        }
