"""What cardiologists say of the answers of a head, kept for good; of each one's words on a label the newest counts.

An opinion is about one answer that the cardiologist saw: whoever learns or judges by it must know that it was not given
blindly. It changes no result and sends nothing.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from ecgfm_clinical.errors import NotFound, StoreError
from ecgfm_clinical.staging.cohorts import ecg_key
from ecgfm_clinical.staging.database import Database
from ecgfm_clinical.staging.schema import ecg, opinion, score
from ecgfm_clinical.staging.transaction import Reading, Transaction

Label = tuple[str, str]  #: head, label


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One cardiologist's word on one answer."""

    opinion_id: int
    ecg_id: int
    scoring_id: int
    head: str
    label: str
    agrees: bool
    present: bool  #: the label is there, as the cardiologist says
    cardiologist: str
    word: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How often cardiologists agree with a label; each one's newest word on each ECG counts."""

    head: str
    label: str
    agree: int
    disagree: int
    ecgs: int


class Opinions:
    """The opinions of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def say(
        self,
        ecg_id: int,
        *,
        head: str,
        label: str,
        agrees: bool,
        word: str,
        cardiologist: str,
        scoring_id: int | None = None,
        now: datetime,
        actor: str,
    ) -> Opinion:
        """Keep one. Raises NotFound where that label has no answer yes or no, and StoreError where the ECG was scored
        anew since somebody saw the scoring `scoring_id`.
        """
        with self._database.writing(now, actor) as tx:
            of, positive = _answer(tx, ecg_id, head, label)
            if scoring_id not in (None, of):
                raise StoreError(f"ECG {ecg_id} was scored anew since you saw it: look at the new answer first")
            values = {
                "ecg_id": ecg_id,
                "scoring_id": of,
                "head": head,
                "label": label,
                "agrees": agrees,
                "present": positive is agrees,
                "cardiologist": cardiologist,
                "word": word,
                "at": now,
            }
            made = tx.connection.execute(insert(opinion).values(values).returning(*opinion.c)).mappings().one()
            tx.note("opinion.given", ecg_id=ecg_id, head=head, label=label, agrees=agrees)
            return Opinion(**made)

    def of(self, ecg_id: int) -> list[Opinion]:
        """Every opinion on the answers of one ECG, oldest first."""
        query = select(opinion).where(opinion.c.ecg_id == ecg_id).order_by(opinion.c.opinion_id)
        with self._database.reading() as ask:
            return [Opinion(**row) for row in ask.connection.execute(query).mappings()]

    def agreement(self) -> list[Agreement]:
        """By head and label."""
        with self._database.reading() as ask:
            counting = _counting(ask)
        counts: defaultdict[Label, Counter[bool]] = defaultdict(Counter)
        ecgs: defaultdict[Label, set[int]] = defaultdict(set)
        for one in counting:
            counts[one.head, one.label][one.agrees] += 1
            ecgs[one.head, one.label].add(one.ecg_id)
        return [
            Agreement(head=head, label=label, agree=told[True], disagree=told[False], ecgs=len(ecgs[head, label]))
            for (head, label), told in sorted(counts.items())
        ]

    def labels(self, head: str, labels: Sequence[str]) -> Mapping[str, tuple[float, ...]]:
        """ECG key -> 1, 0, or NaN where nobody or nobody clearly said, in the order of `labels`: most of the
        cardiologists who judged that label decide.
        """
        with self._database.reading() as ask:
            counting = [one for one in _counting(ask) if one.head == head]
        said: defaultdict[int, defaultdict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
        for one in counting:
            said[one.ecg_id][one.label].append(one.present)
        return {
            ecg_key(ecg_id): tuple(_most(own.get(label, [])) for label in labels)
            for ecg_id, own in sorted(said.items())
        }


def _answer(tx: Transaction, ecg_id: int, head: str, label: str) -> tuple[int, bool]:
    """The scoring that counts, and whether it found the label. Raises NotFound."""
    query = (
        select(score.c.scoring_id, score.c.positive)
        .join(ecg, ecg.c.scoring_id == score.c.scoring_id)
        .where(ecg.c.ecg_id == ecg_id, score.c.head == head, score.c.label == label)
    )
    row = tx.connection.execute(query).first()
    if row is None or row.positive is None:
        raise NotFound(f"ECG {ecg_id} has no answer yes or no of {head} {label}: there is nothing to judge")
    return row.scoring_id, row.positive


def _counting(reading: Reading) -> list[Opinion]:
    """The newest word of each cardiologist on each label of each ECG."""
    rows = reading.connection.execute(select(opinion).order_by(opinion.c.opinion_id)).mappings()
    newest = {(row["ecg_id"], row["head"], row["label"], row["cardiologist"]): row for row in rows}
    return [Opinion(**row) for row in newest.values()]


def _most(said: Sequence[bool]) -> float:
    yes, no = sum(said), len(said) - sum(said)
    return math.nan if yes == no else float(yes > no)
