"""How the answers of one label went from ECG to ECG of a person, as points of a small picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ecgfm_clinical.staging.records import Score
    from ecgfm_clinical.staging.story_records import EcgSummary

WIDTH, HEIGHT, LEFT, MARGIN = 640, 150, 34, 14
MOST_LABELS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One answer, where it stands in the picture."""

    ecg_id: int
    at: datetime
    probability: float
    positive: bool | None
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One label over the ECGs of a person, oldest first."""

    head: str
    label: str
    points: tuple[Point, ...]
    threshold: float | None  #: of the newest answer
    limit: float | None  #: where the threshold stands in the picture

    @property
    def line(self) -> str:
        """Of an SVG polyline."""
        return " ".join(f"{one.x:.1f},{one.y:.1f}" for one in self.points)


def trends(summaries: "Sequence[EcgSummary]") -> list[Trend]:
    """Of every label with an operating point that at least two of these ECGs have an answer of."""
    ordered = sorted(summaries, key=_at)
    names = dict.fromkeys(
        (score.head, score.label) for one in ordered for score in one.scores if score.threshold is not None
    )
    found = (_trend(head, label, ordered) for head, label in names)
    return [one for one in found if len(one.points) > 1][:MOST_LABELS]


def _trend(head: str, label: str, ordered: "Sequence[EcgSummary]") -> Trend:
    answered = list(_answers(head, label, ordered))
    first = answered[0][0] if answered else None
    span = (_at(answered[-1][0]) - _at(first)).total_seconds() if first is not None else 0.0
    points = tuple(
        Point(
            ecg_id=one.ecg_id,
            at=_at(one),
            probability=probability,
            positive=score.positive,
            x=_x((_at(one) - _at(first)).total_seconds() / span if span and first is not None else 0.5),
            y=_y(probability),
        )
        for one, score, probability in answered
    )
    threshold = answered[-1][1].threshold if answered else None
    return Trend(
        head=head,
        label=label,
        points=points,
        threshold=threshold,
        limit=None if threshold is None else _y(threshold),
    )


def _answers(head: str, label: str, ordered: "Sequence[EcgSummary]") -> "Iterator[tuple[EcgSummary, Score, float]]":
    for one in ordered:
        for score in one.scores:
            if (score.head, score.label) == (head, label) and score.probability is not None:
                yield one, score, score.probability


def _at(one: "EcgSummary") -> datetime:
    """When it was recorded, or came in where that is not known."""
    return one.acquired_at or one.received_at


def _x(share: float) -> float:
    return LEFT + MARGIN + share * (WIDTH - LEFT - 2 * MARGIN)


def _y(probability: float) -> float:
    return MARGIN + (1 - probability) * (HEIGHT - 2 * MARGIN)
